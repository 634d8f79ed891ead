//! Every layer in every host: servers of axum, tonic and hyper, and hyper's client.
//!
//! [`layers`] lists the layers once, each with a [`Deed`](deed::Deed): a request, and what the layer
//! does about it. Each is put into a real server on loopback, as those who use the host would, and
//! around a real client; the deed has to be the same everywhere. A tonic server is asked by gRPC, so
//! that what a layer refuses has to be a status of gRPC.
//!
//! That it compiles is half of the test: layers and their services can be cloned and shared among
//! threads, futures can be sent to others, errors stay what they were (`Infallible` in the servers),
//! and bodies may be of any type.

mod app;
mod client;
mod deed;
mod layers;
mod servers;
mod witness;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::ServiceExt;

use self::client::Wire;
use self::deed::{Deed, Seen};
use self::witness::Witness;
use crate::hosts::app::{MESSAGE, TEXT};

/// Sends the requests of `deed` by `client`, and looks at what came of the last.
async fn look<C>(deed: Deed, client: C, witness: &Witness)
where
    C: tower::Service<
            Request<axum::body::Body>,
            Response = http::Response<axum::body::Body>,
            Error: std::fmt::Debug,
        > + Clone,
{
    let mut answered = None;
    for _ in 0..deed.times {
        let body = axum::body::Body::from(if is_grpc(&deed) { MESSAGE } else { TEXT });
        let body = if deed.has_body { body } else { <_>::default() };
        let request = Request::from_parts(deed.request.clone(), body);
        answered = Some(client.clone().oneshot(request).await.unwrap());
    }
    let seen = Seen::of(answered.unwrap(), witness).await;
    deed.assert_seen(seen).await;
}

/// Sends the requests of `deed` to the server that `serve` starts.
async fn ask(deed: Deed, address: std::net::SocketAddr, http2: bool, witness: &Witness) {
    let mut builder = Client::builder(TokioExecutor::new());
    let wire = builder.http2_only(http2).build(Wire(address));
    look(deed, witness::unbodied(wire), witness).await;
}

fn is_grpc(deed: &Deed) -> bool {
    let content_type = deed.request.headers.get(CONTENT_TYPE);
    content_type.is_some_and(|value| value == "application/grpc")
}

/// The same request by gRPC, if it can be one.
fn by_grpc(mut deed: Deed) -> Deed {
    let can_be = [Method::GET, Method::POST].contains(&deed.request.method);
    if can_be && deed.has_body {
        deed.request.method = Method::POST;
        let grpc = HeaderValue::from_static("application/grpc");
        deed.request.headers.insert(CONTENT_TYPE, grpc);
    }
    deed
}
