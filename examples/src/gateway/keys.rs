//! Keys of those who issue tokens, fetched again and again.

use std::io;

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mesh_policy::authn::{Authenticator, Fetch, FetchError, KeyStore, MAX_DOCUMENT};
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;

/// The keys that RequestAuthentications do not hold themselves.
///
/// They are fetched in plaintext only: those of an issuer with `https` do not arrive, and its tokens
/// are not accepted.
#[derive(Debug, Default)]
pub(super) struct Keys {
    store: KeyStore,
    // Not needed before there are keys to fetch.
    runtime: Option<Runtime>,
    tasks: Vec<AbortHandle>,
}

impl Keys {
    /// The keys that are known, from one generation to the next.
    pub(super) fn store(&self) -> &KeyStore {
        &self.store
    }

    /// Fetches the keys of `authenticator` from now on, and no others.
    pub(super) fn keep(&mut self, authenticator: &Authenticator) -> io::Result<()> {
        for task in self.tasks.drain(..) {
            task.abort();
        }
        for keys in authenticator.remote_keys() {
            let runtime = match self.runtime.take() {
                Some(runtime) => runtime,
                None => Builder::new_multi_thread()
                    .worker_threads(1)
                    .thread_name("keys")
                    .enable_all()
                    .build()?,
            };
            let (keys, fetch) = (keys.clone(), Plaintext::new());
            // A failure shows where a token is refused.
            let task = runtime.spawn(async move { keys.keep_fresh(fetch, |_| ()).await });
            self.tasks.push(task.abort_handle());
            self.runtime = Some(runtime);
        }
        Ok(())
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // What is under way is not waited for.
            runtime.shutdown_background();
        }
    }
}

/// Fetches documents by HTTP.
struct Plaintext {
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Plaintext {
    fn new() -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client }
    }
}

impl Fetch for Plaintext {
    async fn fetch(&self, uri: &str) -> Result<Bytes, FetchError> {
        let uri: Uri = uri.parse().map_err(FetchError::new)?;
        let response = self.client.get(uri).await.map_err(FetchError::new)?;
        let status = response.status();
        if !status.is_success() {
            return Err(FetchError::new(format!("the answer is {status}")));
        }
        let body = Limited::new(response.into_body(), MAX_DOCUMENT);
        let body = body.collect().await.map_err(FetchError::new)?;
        Ok(body.to_bytes())
    }
}
