//! An axum service that knows its callers by mutual TLS, and a client that proves who it is. No proxy is
//! between them: the service does itself what a PeerAuthentication asks for.
//!
//! ```sh
//! cargo run --example mtls-service
//! ```
//!
//! Both sides are compiled from the model of a mesh that says `ISTIO_MUTUAL`, and `STRICT` after it has
//! said `PERMISSIVE`, under which plaintext is let in, but not past what asks for an identity. Their
//! identities are live: one that is renewed is used from the next handshake on. Here an authority in
//! the same process issues them; in a mesh, `mesh_tls::source` keeps them fresh.

#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use examples::authority::Authority;
use examples::help::NoArguments;
use examples::{member, once};
use http::Request;
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use mesh_core::attributes::PeerIdentity;
use mesh_core::model::policy::{MtlsMode, PeerPolicy};
use mesh_tls::accept::{Inbound, InboundAcceptor};
use mesh_tls::config::ApplicationProtocol;
use mesh_tls::connect::TlsConnector;
use mesh_tls::connection::{Connection, ConnectionLayer};
use mesh_tls::diagnose::{Cause, Diagnosis};
use mesh_tls::mode::PortMode;
use mesh_tls::require_identity::{RequireIdentity, RequireIdentityLayer};
use mesh_tls::resolve::{self, LiveIdentity};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tower::{Layer, ServiceBuilder};

type Failure = Box<dyn Error + Send + Sync>;

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";
const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const THIEF: &str = "spiffe://cluster.local/ns/shop/sa/thief";

const HELP: NoArguments = NoArguments {
    name: "mtls-service",
    shows: "Serve callers that prove who they are by mutual TLS, while identities are renewed.",
    expect: "It serves itself on loopback, says why a forged identity was refused, and ends.",
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    HELP.parse();
    let authority = Authority::new("cluster.local".parse()?)?;
    let (publisher, live) = resolve::channel();
    publisher.publish(authority.identity(CART, &[])?);
    let (web, caller) = resolve::channel();
    web.publish(authority.identity(WEB, &[])?);

    // What a mesh says until its callers can prove who they are.
    let address = start(live.clone(), MtlsMode::Permissive).await?;
    assert_eq!(
        call(address, &caller).await?,
        (200, format!("hello, {WEB}"))
    );
    let request = Request::get("/").body(Full::default())?;
    let refused = once::send(address, request).await?;
    assert_eq!(refused.status(), 403, "plaintext proves nothing");

    let address = start(live, MtlsMode::Strict).await?;
    assert_eq!(
        call(address, &caller).await?,
        (200, format!("hello, {WEB}"))
    );

    // Renewed on both sides, by an authority that only the new bundles know.
    let next = Authority::new("cluster.local".parse()?)?;
    publisher.publish(next.identity(CART, &[])?);
    let refused = call(address, &caller).await;
    assert!(
        refused.is_err(),
        "the caller does not know the new authority"
    );
    web.publish(next.identity(WEB, &[])?);
    assert_eq!(
        call(address, &caller).await?,
        (200, format!("hello, {WEB}"))
    );

    let (thief, stranger) = resolve::channel();
    thief.publish(next.identity(THIEF, &[])?);
    let refused = call(address, &stranger).await?;
    assert_eq!(refused, (403, "RBAC: access denied".to_owned()));

    // Who believes the service, but has a certificate of another authority.
    let mut forged = authority.identity(WEB, &[])?;
    forged.bundles = next.identity(WEB, &[])?.bundles;
    thief.publish(forged);
    let refused = call(address, &stranger).await;
    let refused = refused.err().ok_or("it has to be refused")?;
    let diagnosis: &Diagnosis = refused.downcast_ref().ok_or("it has to be told why")?;
    assert!(matches!(diagnosis.cause(), Cause::OurIssuerUntrusted));
    println!("a forged identity: {diagnosis}");

    let request = Request::get("/").body(Full::default())?;
    let plaintext = once::send(address, request).await;
    assert!(plaintext.is_err(), "plaintext is not served");
    println!("only the expected caller was served, before and after renewal");
    Ok(())
}

/// Serves on a port of this mode.
async fn start(live: LiveIdentity, mode: MtlsMode) -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let policy = PeerPolicy {
        mode,
        ..PeerPolicy::default()
    };
    let port = PortMode::of_policy(&policy, address.port(), true);
    let acceptor = member::acceptor(live, &["h2", "http/1.1"])?;
    tokio::spawn(serve(listener, InboundAcceptor::new(port, acceptor)));
    Ok(address)
}

/// Serves the callers that the service expects, and tells them who they are.
async fn serve(listener: TcpListener, acceptor: InboundAcceptor) -> Result<(), Failure> {
    let hello =
        |Extension(peer): Extension<PeerIdentity>| async move { format!("hello, {}", peer.0) };
    let app = Router::new().route("/", get(hello));
    let app = ServiceBuilder::new()
        .layer(RequireIdentityLayer::one_of([WEB.parse()?]))
        .service(app);
    loop {
        let (stream, peer) = listener.accept().await?;
        let local = stream.local_addr()?;
        let (acceptor, app) = (acceptor.clone(), app.clone());
        tokio::spawn(async move {
            match acceptor.accept(stream).await {
                Ok(Inbound::Mesh(accepted)) => {
                    let connection = Connection::tls(peer, local, accepted.peer);
                    answer(accepted.stream, connection, app).await;
                }
                Ok(Inbound::PassedOn(stream)) => {
                    answer(stream, Connection::plaintext(peer, local), app).await;
                }
                Err(diagnosis) => println!("the service: {diagnosis}"),
            }
        });
    }
}

/// Answers the requests of a connection.
async fn answer<IO>(io: IO, connection: Connection, app: RequireIdentity<Router>)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(ConnectionLayer::new(connection).layer(app));
    let server = auto::Builder::new(TokioExecutor::new());
    // A connection that breaks off is nobody's concern.
    let _ = server.serve_connection(TokioIo::new(io), service).await;
}

/// Calls the service, as a client whose DestinationRule says `ISTIO_MUTUAL`.
async fn call(address: SocketAddr, live: &LiveIdentity) -> Result<(u16, String), Failure> {
    let tls = member::client_tls(live.clone(), address, CART)?;
    let connector = TlsConnector::new(tls, ApplicationProtocol::Http1);
    let connected = connector
        .connect(TcpStream::connect(address).await?, None)
        .await?;
    let request = Request::get("/").body(Full::<Bytes>::default())?;
    // In TLS 1.3, what the service thinks of the caller comes with the first read.
    let response = once::send_on(connected.stream, request).await;
    let response = response.map_err(|error| match broken(&error) {
        Some(error) => connector.diagnose(error).into(),
        None => Failure::from(error),
    })?;
    let body = String::from_utf8(response.body().to_vec())?;
    Ok((response.status().as_u16(), body))
}

/// What broke the connection, if that is why there is no answer.
fn broken<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    let mut source = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        source = error.source();
    }
    None
}
