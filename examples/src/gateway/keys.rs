//! Keys of those who issue tokens, fetched again and again.

use std::error::Error;
use std::sync::Arc;
use std::{fmt, io};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Uri};
use http_body_util::Full;
use mesh_policy::authn::{
    Authenticator, Fetch, FetchError, KeyLocation, KeyStore, KeysError, RemoteKeys,
};
use mesh_tls::verify::Roots;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use super::secrets;
use crate::once;

/// Keys of an issuer that could not be fetched.
#[derive(Debug)]
#[non_exhaustive]
pub struct FailedKeys<'a> {
    /// Where they are.
    pub location: &'a KeyLocation,
    /// Why they did not come.
    pub error: &'a KeysError,
}

impl fmt::Display for FailedKeys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (KeyLocation::Discovery(location) | KeyLocation::Uri(location)) = self.location;
        write!(f, "keys of `{location}` are not fetched: {}", self.error)?;
        let mut source = self.error.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

type Observe = dyn Fn(&FailedKeys<'_>) + Send + Sync;

/// Is told of each fetch of keys that fails, on the thread that fetches: it has to return at once.
/// Cheap to clone.
#[derive(Clone)]
pub struct KeysObserver(Arc<Observe>);

impl KeysObserver {
    /// Calls `observe`.
    pub fn new(observe: impl Fn(&FailedKeys<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }
}

impl fmt::Debug for KeysObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeysObserver").finish_non_exhaustive()
    }
}

/// The keys that RequestAuthentications do not hold themselves.
#[derive(Debug)]
pub(super) struct Keys {
    store: KeyStore,
    // Not needed before there are keys to fetch.
    runtime: Option<Runtime>,
    kept: Vec<Kept>,
    observer: Option<KeysObserver>,
}

/// Keys, and the task that fetches them.
#[derive(Debug)]
struct Kept {
    keys: Arc<RemoteKeys>,
    task: AbortHandle,
}

impl Keys {
    /// No keys yet; `observer` is told of those that cannot be fetched.
    pub(super) fn new(observer: Option<KeysObserver>) -> Self {
        Self {
            store: KeyStore::default(),
            runtime: None,
            kept: Vec::new(),
            observer,
        }
    }

    /// The keys that are known, from one generation to the next.
    pub(super) fn store(&self) -> &KeyStore {
        &self.store
    }

    /// Fetches the keys of `authenticator` from now on, and no others. What is fetched already goes
    /// on as it is.
    pub(super) fn keep(&mut self, authenticator: &Authenticator) -> io::Result<()> {
        let wanted: Vec<_> = authenticator.remote_keys().collect();
        self.kept.retain(|kept| {
            let stays = wanted.iter().any(|keys| Arc::ptr_eq(keys, &kept.keys));
            if !stays {
                kept.task.abort();
            }
            stays
        });
        let known = |keys: &Arc<RemoteKeys>| {
            let mut kept = self.kept.iter();
            kept.any(|kept| Arc::ptr_eq(keys, &kept.keys))
        };
        let new: Vec<_> = wanted.into_iter().filter(|keys| !known(keys)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let fetcher = Fetcher::of(&new);
        for keys in new {
            let task = self.fetch(Arc::clone(keys), fetcher.clone())?;
            let keys = Arc::clone(keys);
            self.kept.push(Kept { keys, task });
        }
        Ok(())
    }

    /// Starts a task that fetches keys.
    fn fetch(&mut self, keys: Arc<RemoteKeys>, fetcher: Fetcher) -> io::Result<AbortHandle> {
        let runtime = match self.runtime.take() {
            Some(runtime) => runtime,
            None => Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name("keys")
                .enable_all()
                .build()?,
        };
        let runtime = self.runtime.insert(runtime);
        let observer = self.observer.clone();
        let task = runtime.spawn(async move {
            let report = |error: &KeysError| {
                if let Some(KeysObserver(observe)) = &observer {
                    let location = keys.location();
                    observe(&FailedKeys { location, error });
                }
            };
            keys.keep_fresh(fetcher, report).await;
        });
        Ok(task.abort_handle())
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

/// Fetches documents, each on a connection of its own: that happens rarely. Servers with `https` are
/// verified by the authorities of the system. Redirections are not followed.
#[derive(Clone)]
struct Fetcher {
    // `None` if there are no authorities.
    tls: Option<TlsConnector>,
}

impl Fetcher {
    /// Verifies servers by the authorities of the system, which are read if they are needed.
    fn of(keys: &[&Arc<RemoteKeys>]) -> Self {
        let is_https = keys.iter().any(|keys| {
            let (KeyLocation::Discovery(location) | KeyLocation::Uri(location)) = keys.location();
            location.starts_with("https://")
        });
        let roots = is_https.then(secrets::system_roots).flatten();
        Self::new(roots.as_ref())
    }

    /// Verifies servers by `roots`.
    fn new(roots: Option<&Roots>) -> Self {
        let config = |roots: &Roots| {
            let mut store = RootCertStore::empty();
            let authorities = roots.certificates().iter();
            store.add_parsable_certificates(authorities.map(|one| one.der().clone()));
            let provider = Arc::new(aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider);
            let config = config.with_safe_default_protocol_versions().ok()?;
            Some(config.with_root_certificates(store).with_no_client_auth())
        };
        let config = roots.and_then(config);
        Self {
            tls: config.map(|config| Arc::new(config).into()),
        }
    }
}

impl Fetch for Fetcher {
    async fn fetch(&self, uri: &str) -> Result<Bytes, FetchError> {
        let uri: Uri = uri.parse().map_err(FetchError::new)?;
        let authority = uri.authority().ok_or_else(|| FetchError::new("no host"))?;
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = authority
            .port_u16()
            .unwrap_or(if is_https { 443 } else { 80 });
        let host = authority.host().trim_matches(['[', ']']);
        let request = Request::get(uri.path_and_query().map_or("/", PathAndQuery::as_str))
            .header(HOST, authority.as_str())
            .body(Full::default())
            .map_err(FetchError::new)?;
        let stream = TcpStream::connect((host, port)).await;
        let stream = stream.map_err(FetchError::new)?;
        let response = if is_https {
            let tls = self.tls.as_ref();
            let tls = tls.ok_or_else(|| FetchError::new("the system knows no authorities"))?;
            let name = ServerName::try_from(host.to_owned()).map_err(FetchError::new)?;
            let stream = tls.connect(name, stream).await.map_err(FetchError::new)?;
            once::send_on(stream, request).await
        } else {
            once::send_on(stream, request).await
        };
        let response = response.map_err(FetchError::new)?;
        match response.status() {
            status if status.is_success() => Ok(response.into_body()),
            status => Err(FetchError::new(format!("the answer is {status}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::ServerConfig;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::authority::Authority;

    const ID: &str = "spiffe://cluster.local/ns/login/sa/login";

    #[tokio::test]
    async fn keys_are_fetched_by_https_from_whom_the_authorities_vouch_for() {
        let authority = Authority::new("cluster.local".parse().unwrap()).unwrap();
        let port = serve(&authority).await;
        let roots = Roots::new([authority.root().clone()]).unwrap();
        let uri = format!("https://localhost:{port}/keys");
        let fetched = Fetcher::new(Some(&roots)).fetch(&uri).await.unwrap();
        assert_eq!(fetched, "{}");

        let stranger = Authority::new("cluster.local".parse().unwrap()).unwrap();
        let strangers = Roots::new([stranger.root().clone()]).unwrap();
        for (roots, uri) in [
            (Some(&strangers), &uri),
            (None, &uri),
            // The certificate is for another name.
            (Some(&roots), &format!("https://127.0.0.1:{port}/keys")),
        ] {
            let fetched = Fetcher::new(roots).fetch(uri).await;
            assert!(fetched.is_err(), "{uri}");
        }
    }

    /// Answers all requests with an empty document. The port.
    async fn serve(authority: &Authority) -> u16 {
        let svid = authority.identity(ID, &["localhost"]).unwrap().svid;
        let chain = svid.chain().iter().map(|one| one.der().clone());
        let provider = Arc::clone(authority.provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.collect(), svid.private_key().clone_key())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let _ = stream.read(&mut [0; 1024]).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            }
        });
        port
    }
}
