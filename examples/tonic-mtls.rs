//! A tonic service that knows its callers by mutual TLS, and a tonic client that proves who it is.
//!
//! ```sh
//! cargo run --example tonic-mtls
//! ```
//!
//! Both sides are compiled from the model of a mesh, as those of `mtls-service`, and their identities are
//! live. What the handshake has proven is in the extensions of each of tonic's requests.

#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use examples::authority::Authority;
use examples::help::NoArguments;
use examples::member;
use http::Uri;
use http::uri::PathAndQuery;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use mesh_core::attributes::PeerIdentity;
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::config::ApplicationProtocol;
use mesh_tls::connect::TlsConnector;
use mesh_tls::connection::{Connection, ConnectionLayer};
use mesh_tls::resolve::{self, LiveIdentity};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::{Layer, Service, service_fn};

type Failure = Box<dyn Error + Send + Sync>;

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";
const WEB: &str = "spiffe://cluster.local/ns/shop/sa/web";
const THIEF: &str = "spiffe://cluster.local/ns/shop/sa/thief";

const HELP: NoArguments = NoArguments {
    name: "tonic-mtls",
    shows: "Serve and call gRPC over mutual TLS, and know the caller of each request.",
    expect: "It serves itself on loopback, says whom it served and whom it refused, and ends.",
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    HELP.parse();
    let ours = Authority::new("cluster.local".parse()?)?;
    let theirs = Authority::new("cluster.local".parse()?)?;
    let (cart, served) = resolve::channel();
    cart.publish(ours.identity(CART, &[])?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener, member::acceptor(served, &["h2"])?));

    let (caller, live) = resolve::channel();
    caller.publish(ours.identity(WEB, &[])?);
    let channel = connect(address, live.clone()).await?;
    assert_eq!(get(channel).await?, format!("one book for {WEB}"));

    caller.publish(ours.identity(THIEF, &[])?);
    let refused = get(connect(address, live.clone()).await?).await;
    let code = refused.err().map(|status| status.code());
    assert_eq!(code, Some(Code::PermissionDenied), "it is not expected");

    // Who believes the service, but has a certificate of another authority.
    let mut forged = theirs.identity(WEB, &[])?;
    forged.bundles = ours.identity(WEB, &[])?.bundles;
    caller.publish(forged);
    let refused = match connect(address, live).await {
        Ok(channel) => get(channel).await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "nobody believes it");
    println!("{WEB} was served, {THIEF} and a forged identity were not");
    Ok(())
}

/// Serves the connections whose handshakes succeed, each request with the identity of its caller.
async fn serve(listener: TcpListener, acceptor: TlsAcceptor) -> Result<(), Failure> {
    let app = Routes::new(Cart).into_axum_router();
    loop {
        let (stream, peer) = listener.accept().await?;
        let local = stream.local_addr()?;
        let (acceptor, app) = (acceptor.clone(), app.clone());
        tokio::spawn(async move {
            match acceptor.accept(stream).await {
                Ok(accepted) => {
                    let connection = Connection::tls(peer, local, accepted.peer);
                    answer(accepted.stream, connection, app).await;
                }
                Err(diagnosis) => println!("the service: {diagnosis}"),
            }
        });
    }
}

/// Answers the requests of a connection.
async fn answer<IO>(io: IO, connection: Connection, app: Router)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(ConnectionLayer::new(connection).layer(app));
    let server = http2::Builder::new(TokioExecutor::new());
    // A connection that breaks off is nobody's concern.
    let _ = server.serve_connection(TokioIo::new(io), service).await;
}

/// What a build script makes of `service Cart { rpc Get(StringValue) returns (StringValue); }`.
#[derive(Clone, Debug)]
struct Cart;

impl NamedService for Cart {
    const NAME: &str = "shop.Cart";
}

impl Service<http::Request<Body>> for Cart {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let get = service_fn(|request: Request<String>| async move {
            match request.extensions().get() {
                Some(PeerIdentity(caller)) if caller.as_str() == WEB => {
                    Ok(Response::new(format!("one book for {caller}")))
                }
                _ => Err(Status::permission_denied("the cart is for the web alone")),
            }
        });
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
            Ok(grpc.unary(get, request).await)
        })
    }
}

/// A channel to the service, as a client whose DestinationRule says `ISTIO_MUTUAL`.
async fn connect(address: SocketAddr, live: LiveIdentity) -> Result<Channel, Failure> {
    let tls = member::client_tls(live, address, CART)?;
    let connector = TlsConnector::new(tls, ApplicationProtocol::Http2);
    // tonic would encrypt by itself what is called `https`.
    let target = Endpoint::from_static("http://cart.shop.svc.cluster.local");
    let connect = service_fn(move |_: Uri| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            let connected = connector.connect(stream, None).await?;
            Ok::<_, Failure>(TokioIo::new(connected.stream))
        }
    });
    Ok(target.connect_with_connector(connect).await?)
}

/// What a build script makes the client of.
async fn get(channel: Channel) -> Result<String, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static("/shop.Cart/Get");
    let codec = ProstCodec::<String, String>::default();
    let response = grpc.unary(Request::new("alice".to_owned()), path, codec);
    Ok(response.await?.into_inner())
}
