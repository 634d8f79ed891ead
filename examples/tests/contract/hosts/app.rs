//! The application below the layers.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use futures_util::stream;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use mesh_core::reply::Caller;
use tonic::Status;
use tonic::server::{Grpc, NamedService};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

/// The body of requests of HTTP.
pub(super) const TEXT: &[u8] = b"one item";
/// The body of requests of gRPC: a message without fields.
pub(super) const MESSAGE: &[u8] = &[0; 5];

/// How the application answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    AtOnce,
    /// The first request in vain: `503`, or gRPC's `UNAVAILABLE`.
    FailsFirst,
    /// The first request never.
    HangsFirst,
    Never,
    /// Begins, and never ends.
    Unending,
}

/// The application. It speaks HTTP and gRPC.
#[derive(Clone, Debug)]
pub(super) struct App {
    answer: Answer,
    calls: Arc<AtomicUsize>,
}

type Reply<B> = Pin<Box<dyn Future<Output = Result<Response<B>, Infallible>> + Send>>;

impl App {
    pub(super) fn new(answer: Answer) -> Self {
        let calls = Arc::default();
        Self { answer, calls }
    }

    fn reply(&self, request: Request<Body>) -> Reply<Body> {
        let is_first = self.calls.fetch_add(1, Ordering::Relaxed) == 0;
        match self.answer {
            Answer::Never => hang(request),
            Answer::HangsFirst if is_first => hang(request),
            Answer::FailsFirst if is_first => answer(request, StatusCode::SERVICE_UNAVAILABLE),
            Answer::Unending => {
                let nothing = stream::pending::<Result<&[u8], Infallible>>();
                Box::pin(ready(Ok(Response::new(Body::from_stream(nothing)))))
            }
            Answer::AtOnce | Answer::FailsFirst | Answer::HangsFirst => {
                answer(request, StatusCode::OK)
            }
        }
    }
}

/// Takes a request, and never answers it.
fn hang(request: Request<Body>) -> Reply<Body> {
    Box::pin(async {
        let _ = request.into_body().collect().await;
        pending().await
    })
}

fn answer(request: Request<Body>, status: StatusCode) -> Reply<Body> {
    if Caller::of(request.headers()) == Caller::Http {
        let response = Response::builder().status(status);
        return Box::pin(ready(Ok(response.body(Body::from("cart")).unwrap())));
    }
    let call = service_fn(move |_: tonic::Request<()>| {
        ready(match status {
            StatusCode::OK => Ok(tonic::Response::new("cart".to_owned())),
            _ => Err(Status::unavailable("later")),
        })
    });
    Box::pin(async move {
        let mut grpc = Grpc::new(ProstCodec::<String, ()>::default());
        let response = grpc.unary(call, request).await;
        Ok(response.map(Body::new))
    })
}

impl Service<Request<Body>> for App {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Reply<Body>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Reply<Body> {
        self.reply(request)
    }
}

/// The application as a service of tonic.
#[derive(Clone, Debug)]
pub(super) struct Cart(pub(super) App);

impl NamedService for Cart {
    const NAME: &str = "cart";
}

impl Service<Request<tonic::body::Body>> for Cart {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Reply<Body>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Reply<Body> {
        self.0.reply(request.map(Body::new))
    }
}
