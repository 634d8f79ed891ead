//! Layers that are there or not.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower::util::Either;
use tower_layer::Layer;
use tower_service::Service;

use super::telemetry::Http;
use crate::body::Body;

/// `S`, alone or under layers that not every configuration has.
///
/// Alone nothing is spent. Each layer that is there allocates its future: if the type of the one were
/// in that of the other, types would double with each layer.
pub(super) type Layered<S> = Either<Erased, S>;

/// `service`, so far without layers.
pub(super) fn bare<S: Http>(service: S) -> Layered<S> {
    Either::Right(service)
}

/// `service` under `layer`, if there is one.
pub(super) fn optional<L, S>(layer: Option<L>, service: Layered<S>) -> Layered<S>
where
    L: Layer<Layered<S>, Service: Http>,
    S: Http,
{
    match layer {
        Some(layer) => Either::Left(Erased::new(layer.layer(service))),
        None => service,
    }
}

/// A service of HTTP, whichever it is.
pub(super) struct Erased(Box<dyn ErasedHttp>);

impl Erased {
    /// Forgets the type of `service`.
    pub(super) fn new(service: impl Http) -> Self {
        Self(Box::new(service))
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>>>>;

trait ErasedHttp {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>>;

    fn call(&mut self, request: Request<Body>) -> Answering;

    fn to_box(&self) -> Box<dyn ErasedHttp>;
}

impl<S: Http> ErasedHttp for S {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <S as Service<Request<Body>>>::poll_ready(self, cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        Box::pin(<S as Service<Request<Body>>>::call(self, request))
    }

    fn to_box(&self) -> Box<dyn ErasedHttp> {
        Box::new(self.clone())
    }
}

impl Service<Request<Body>> for Erased {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        self.0.call(request)
    }
}

impl Clone for Erased {
    fn clone(&self) -> Self {
        Self(self.0.to_box())
    }
}

impl fmt::Debug for Erased {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Erased").finish_non_exhaustive()
    }
}
