//! A client that proves who it is: hyper's pooled client, and reqwest.
//!
//! ```sh
//! cargo run --example mtls-client
//! ```
//!
//! Its identity is in a directory, as Kubernetes mounts a secret or SPIFFE's helper writes it, and
//! is read again when it changes. A connection that stands is used on; the next one proves the new
//! identity. Whom it calls, and how, is what the model of a mesh says: `ISTIO_MUTUAL`, to a service
//! whose name is known. In a mesh, `mesh_discovery` says where that service is.

#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use examples::authority::Authority;
use examples::help::NoArguments;
use examples::member;
use http::Uri;
use http_body_util::{BodyExt, Empty};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use mesh_core::attributes::{ConnectionInfo, PeerIdentity};
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::config::{ApplicationProtocol, ClientTls};
use mesh_tls::connect::{ConnectError, TlsConnector};
use mesh_tls::connection::{self, ConnectionLayer};
use mesh_tls::diagnose::Diagnosis;
use mesh_tls::pem;
use mesh_tls::resolve::{self, Identity};
use mesh_tls::source::{FileNames, FileSource, Keeper};
use rustls::crypto::aws_lc_rs;
use rustls::time_provider::DefaultTimeProvider;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;
use tower::Layer;
use tower_service::Service;

type Failure = Box<dyn Error + Send + Sync>;

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";
const THIEF: &str = "spiffe://cluster.local/ns/shop/sa/thief";
const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const HOST: &str = "cart.shop.svc.cluster.local";
const URL: &str = "https://cart.shop.svc.cluster.local/";

const HELP: NoArguments = NoArguments {
    name: "mtls-client",
    shows: "Prove who one is, by hyper's client and by reqwest, while the identity is renewed.",
    expect: "It serves itself on loopback, says that nothing broke and why a stranger was refused, and ends.",
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    HELP.parse();
    let authority = Authority::new("cluster.local".parse()?)?;
    let (cart, served) = resolve::channel();
    cart.publish(authority.identity(CART, &[])?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(
        listener,
        member::acceptor(served, &["h2", "http/1.1"])?,
    ));

    let directory = tempfile::tempdir()?;
    write(directory.path(), &authority.identity(WEB, &[])?)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let source = FileSource::new(directory.path(), FileNames::default(), provider)?;
    let (publisher, mut live) = resolve::channel();
    let keeper = Keeper::new(source, Arc::new(DefaultTimeProvider), fastrand::f64);
    tokio::spawn(keeper.run(publisher));
    let svid = live.ready().await;

    let tls = member::client_tls(live.clone(), address, CART)?;
    let hyper = pooled(tls.clone(), address);
    let first = call(&hyper).await?;
    assert!(first.starts_with(WEB), "{first}");
    assert_eq!(call(&hyper).await?, first);

    write(directory.path(), &authority.identity(WEB, &[])?)?;
    while live.svid().as_ref() == Some(&svid) {
        live.changed().await;
    }
    assert_eq!(call(&hyper).await?, first, "the connection stands");
    let next = call_by_reqwest(&tls, address).await?;
    assert!(next.starts_with(WEB) && next != first, "{next}");
    assert_eq!(call(&pooled(tls.clone(), address)).await?, next);
    println!("the identity was renewed, and no connection was dropped");

    // Somebody of the same mesh answers in place of the service.
    cart.publish(authority.identity(THIEF, &[])?);
    let refused = call(&pooled(tls, address)).await;
    let error = refused.err().ok_or("the server has to be refused")?;
    let diagnosis = diagnosis(error.as_ref()).ok_or("it has to be told why")?;
    assert_eq!(diagnosis.label(), "peer_names");
    println!("{diagnosis}");
    Ok(())
}

/// Writes an identity as Istio lays it out.
fn write(directory: &Path, identity: &Identity) -> io::Result<()> {
    let Identity { svid, bundles } = identity;
    let names = FileNames::default();
    let roots = bundles.iter().map(|(_, bundle)| bundle.to_pem());
    let key = pem::encode("PRIVATE KEY", svid.private_key().secret_der());
    std::fs::write(directory.join(names.roots), roots.collect::<String>())?;
    std::fs::write(directory.join(names.key), key)?;
    let chain = pem::encode_certificates(svid.chain());
    std::fs::write(directory.join(names.chain), chain)
}

/// hyper's client, which keeps connections.
fn pooled(tls: ClientTls, address: SocketAddr) -> Client<MeshConnector, Empty<Bytes>> {
    let tls = TlsConnector::new(tls, ApplicationProtocol::Http2);
    Client::builder(TokioExecutor::new()).build(MeshConnector { address, tls })
}

async fn call(client: &Client<MeshConnector, Empty<Bytes>>) -> Result<String, Failure> {
    let response = client.get(Uri::from_static(URL)).await?;
    let body = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(body.to_vec())?)
}

/// reqwest takes the configuration as it is. It sends the host of the URL as server name, which
/// servers of a mesh do not look at; whom it expects is part of the configuration.
async fn call_by_reqwest(tls: &ClientTls, address: SocketAddr) -> Result<String, Failure> {
    let config = tls.config(ApplicationProtocol::Http1);
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_backend_preconfigured(rustls::ClientConfig::clone(config))
        .resolve(HOST, address)
        .build()?;
    Ok(client.get(URL).send().await?.text().await?)
}

/// Why a handshake failed, if that is why a call did.
fn diagnosis<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Diagnosis> {
    let mut source = Some(error);
    while let Some(error) = source {
        if let Some(diagnosis) = error.downcast_ref() {
            return Some(diagnosis);
        }
        source = error.source();
    }
    None
}

/// Connects to an endpoint of the service, whatever the URI says, and speaks mesh mTLS.
#[derive(Clone, Debug)]
struct MeshConnector {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Service<Uri> for MeshConnector {
    type Response = Stream;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { address, tls } = self.clone();
        Box::pin(async move {
            let io = TcpStream::connect(address).await?;
            match tls.connect(io, uri.host()).await {
                Ok(connected) => match connected.peer.unasked() {
                    // To be served as `web`, it has to be known as `web`.
                    Some(diagnosis) => Err(diagnosis.into()),
                    None => Ok(Stream(TokioIo::new(connected.stream))),
                },
                // The diagnosis itself, for whoever looks for it among the sources.
                Err(ConnectError::Handshake(diagnosis)) => Err(diagnosis.into()),
                Err(error) => Err(error.into()),
            }
        })
    }
}

/// Tells hyper's client the version of HTTP that was settled.
#[derive(Debug)]
struct Stream(TokioIo<TlsStream<TcpStream>>);

impl Connection for Stream {
    fn connected(&self) -> Connected {
        let (_, state) = self.0.inner().get_ref();
        match state.alpn_protocol() {
            Some(b"h2" | b"istio-h2") => Connected::new().negotiated_h2(),
            _ => Connected::new(),
        }
    }
}

impl Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A service that tells its callers who they are, and by which certificate.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor) -> Result<(), Failure> {
    let app = Router::new().route("/", get(whoami));
    loop {
        let (stream, peer) = listener.accept().await?;
        let local = stream.local_addr()?;
        let (acceptor, app) = (acceptor.clone(), app.clone());
        tokio::spawn(async move {
            // The client has the same to say about a handshake that failed.
            let Ok(accepted) = acceptor.accept(stream).await else {
                return;
            };
            let connection = connection::Connection::tls(peer, local, accepted.peer);
            let service = TowerToHyperService::new(ConnectionLayer::new(connection).layer(app));
            let server = auto::Builder::new(TokioExecutor::new());
            let _ = server
                .serve_connection(TokioIo::new(accepted.stream), service)
                .await;
        });
    }
}

async fn whoami(
    Extension(PeerIdentity(id)): Extension<PeerIdentity>,
    Extension(connection): Extension<ConnectionInfo>,
) -> String {
    let mut text = format!("{id} ");
    let fingerprint = connection.tls.and_then(|tls| tls.peer_fingerprint);
    for byte in fingerprint.unwrap_or_default() {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
