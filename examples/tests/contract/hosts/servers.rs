//! Layers in the servers of axum, tonic and hyper.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::Body;
use axum::response::IntoResponse;
use axum::routing::Route;
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tower::{BoxError, Layer, Service, ServiceBuilder};
use tower_layer::layer_fn;

use super::app::{App, Cart};
use super::deed::Deed;
use super::witness::{Above, Below, Witness};
use super::{ask, by_grpc};

/// Puts `layer` on a router of axum, as [`axum::Router::layer`] does.
pub(super) async fn axum<L>(layer: L, deed: Deed)
where
    L: Layer<Route> + Clone + Send + Sync + 'static,
    L::Service: Service<
            Request<Body>,
            Response: IntoResponse + 'static,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    let witness = Witness::of(&deed);
    let noted = witness.clone();
    let app = Below::new(App::new(deed.answer), &witness);
    let app = axum::Router::new().fallback_service(app);
    let app = app.layer(layer);
    let app = app.layer(layer_fn(move |route| Above::new(route, &noted)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    ask(deed, address, false, &witness).await;
}

/// Puts `layer` on a server of tonic, as [`Server::layer`] does. The bodies of its routes cannot be
/// made of a text, and are made such that can.
pub(super) async fn tonic<L, B>(layer: L, deed: Deed)
where
    L: Layer<Below<Routes>> + Clone + Send + 'static,
    L::Service: Service<
            Request<tonic::body::Body>,
            Response = Response<B>,
            Error: Into<BoxError> + Send + 'static,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let deed = by_grpc(deed);
    let witness = Witness::of(&deed);
    let (above, below) = (witness.clone(), witness.clone());
    let layers = ServiceBuilder::new()
        .layer_fn(move |layered| Above::new(layered, &above))
        .layer(layer)
        .layer_fn(move |routes| Below::new(routes, &below));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = Server::builder().layer(layers.into_inner());
    let server = server.add_service(Cart(App::new(deed.answer)));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    ask(deed, address, true, &witness).await;
}

/// Puts `layer` on a service that hyper serves.
pub(super) async fn hyper<L, B>(layer: L, deed: Deed)
where
    L: Layer<Below<App>>,
    L::Service: Service<
            Request<Incoming>,
            Response = Response<B>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + Sync
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let witness = Witness::of(&deed);
    let app = Below::new(App::new(deed.answer), &witness);
    let address = serve(Above::new(layer.layer(app), &witness)).await;
    ask(deed, address, false, &witness).await;
}

/// Serves each connection by a clone of `service`.
pub(super) async fn serve<S, B>(service: S) -> SocketAddr
where
    S: Service<
            Request<Incoming>,
            Response = Response<B>,
            Error = Infallible,
            Future: Send + 'static,
        > + Clone
        + Send
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new());
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                // One that breaks off is what some layers are there for.
                let _ = connection.await;
            });
        }
    });
    address
}
