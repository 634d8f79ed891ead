//! Istio's admission webhooks over HTTPS: sidecars for pods, and valid resources only.
//!
//! ```sh
//! cargo run --example injector -- --certificate tls.crt --key tls.key
//! cargo run --example injector -- --check   # asks itself for a sidecar, and exits
//! ```
//!
//! `/inject` is for a MutatingWebhookConfiguration, `/validate` for a validating one. A pod gets Istio's
//! sidecar, or, with the annotation `inject.istio.io/templates: mesh-sidecar`, the one of the example
//! `sidecar`.

#![expect(clippy::print_stdout, reason = "a server says where it listens")]

mod check;

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use clap::Parser;
use examples::help;
use http::StatusCode;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use mesh_core::model::listener::{self, FilterChain, HttpConnection, NetworkFilter};
use mesh_core::resource::istio::gateway::{ServerTlsMode, ServerTlsSettings};
use mesh_policy::admission::Injector;
use mesh_policy::admission::review::{AdmissionResponse, MAX_BYTES, ReviewError, Webhook};
use mesh_policy::admission::validation::validate;
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::config::TlsCompiler;
use mesh_tls::credential::Credential;
use mesh_tls::secret::TlsSecret;
use mesh_tls::secret_store::SecretStore;
use rustls::crypto::aws_lc_rs;
use serde_json::Value;
use tokio::net::TcpListener;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Serve Istio's admission webhooks.
#[derive(Debug, Parser)]
#[command(
    name = "injector",
    after_help = help::after(
        &[
            "cargo run --example injector -- --certificate tls.crt --key tls.key",
            "cargo run --example injector -- --check",
        ],
        "It answers /inject and /validate until it is ended. With --check it asks itself, says what it was\n\
         answered, and ends.",
    )
)]
struct Options {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:15017")]
    listen: SocketAddr,
    /// Certificate chain of the server, as PEM.
    #[arg(long, required_unless_present = "check")]
    certificate: Option<PathBuf>,
    /// Private key of the server, as PEM.
    #[arg(long, required_unless_present = "check")]
    key: Option<PathBuf>,
    /// Ask for a sidecar in the API server's place, and exit.
    #[arg(long)]
    check: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let (Some(certificate), Some(key), false) = (options.certificate, options.key, options.check)
    else {
        return check::run().await;
    };
    let acceptor = acceptor(read(&certificate, &key)?)?;
    let listener = TcpListener::bind(options.listen).await?;
    println!("listening on https://{}", listener.local_addr()?);
    serve(listener, acceptor).await
}

fn read(certificate: &Path, key: &Path) -> Result<Credential, Failure> {
    let (certificate, key) = (std::fs::read(certificate)?, std::fs::read(key)?);
    let provider = aws_lc_rs::default_provider();
    Ok(Credential::from_pem(&certificate, &key, &provider)?)
}

/// Ends TLS with a certificate. Publishing another one under its name would replace it.
pub(crate) fn acceptor(credential: Credential) -> Result<TlsAcceptor, Failure> {
    let secrets = SecretStore::default();
    let secret = TlsSecret::default().with_credential(credential);
    secrets.publish(&"injector".parse()?, secret);
    let settings = ServerTlsSettings {
        mode: ServerTlsMode::Simple,
        credential_name: "injector".into(),
        ..ServerTlsSettings::default()
    };
    let http = NetworkFilter::Http(HttpConnection::new("webhooks"));
    let mut chain = FilterChain::new(http);
    chain.tls = Some(listener::ServerTls::Gateway(Box::new(settings)));
    let compiler = TlsCompiler::new(Arc::new(aws_lc_rs::default_provider()), secrets);
    let tls = compiler.server(&chain)?.ok_or("the chain ends TLS")?;
    Ok(TlsAcceptor::new(tls))
}

fn webhooks() -> Router {
    let injector = Injector::new(Default::default(), Default::default());
    let webhook = Arc::new(Webhook::new(injector, Default::default()));
    let inject = post(move |review: Bytes| async move { answer(webhook.mutate(&review)) });
    Router::new()
        .route("/inject", inject)
        .route(
            "/validate",
            post(|review: Bytes| async move { answer(validate(&review)) }),
        )
        .layer(DefaultBodyLimit::max(MAX_BYTES))
}

fn answer(
    reviewed: Result<AdmissionResponse, ReviewError>,
) -> Result<Json<Value>, (StatusCode, String)> {
    let answer = reviewed.map(|response| Json(response.to_json()));
    answer.map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

pub(crate) async fn serve(listener: TcpListener, acceptor: TlsAcceptor) -> Result<(), Failure> {
    let service = TowerToHyperService::new(webhooks());
    loop {
        let (stream, peer) = listener.accept().await?;
        let (acceptor, service) = (acceptor.clone(), service.clone());
        tokio::spawn(async move {
            let accepted = match acceptor.accept(stream).await {
                Ok(accepted) => accepted,
                Err(diagnosis) => return eprintln!("{peer}: {diagnosis}"),
            };
            let server = auto::Builder::new(TokioExecutor::new());
            let io = TokioIo::new(accepted.stream);
            if let Err(error) = server.serve_connection(io, service).await {
                eprintln!("{peer}: {error}");
            }
        });
    }
}
