//! Layers around hyper's client.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, Uri};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tower::{BoxError, Layer, Service};

use super::app::App;
use super::deed::Deed;
use super::servers::serve;
use super::witness::{Above, Below, Witness};
use super::{look, witness};

/// Connects to one address, whatever is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire(pub(super) SocketAddr);

impl Service<Uri> for Wire {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connecting = TcpStream::connect(self.0);
        Box::pin(async { Ok(TokioIo::new(connecting.await?)) })
    }
}

/// Puts `layer` around a client. Its errors are passed on as they are.
pub(super) async fn hyper_client<L, B>(layer: L, deed: Deed)
where
    L: Layer<Below<Client<Wire, Body>>>,
    L::Service: Service<Request<Body>, Response = Response<B>, Error = Error, Future: Send + 'static>
        + Clone
        + Send
        + Sync,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let app = Below::new(App::new(deed.answer), &Witness::of(&deed));
    let address = serve(app).await;
    let witness = Witness::of(&deed);
    let client = Client::builder(TokioExecutor::new()).build(Wire(address));
    let layered = layer.layer(Below::new(client, &witness));
    let client = witness::unbodied(Above::new(layered, &witness));
    look(deed, client, &witness).await;
}
