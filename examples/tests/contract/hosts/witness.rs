//! Services above and below a layer, which see what it does.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Extensions, Request, Response, request};
use tower::{BoxError, Service, ServiceBuilder};

use super::deed::Deed;

/// What is told to a layer, and what it is seen to do.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    known: Extensions,
    told: Arc<Mutex<Extensions>>,
    passed: Arc<Mutex<Vec<request::Parts>>>,
}

impl Witness {
    pub(super) fn of(deed: &Deed) -> Self {
        Self {
            known: deed.request.extensions.clone(),
            told: Arc::default(),
            passed: Arc::default(),
        }
    }

    /// The extensions of the last response.
    pub(super) fn told(&self) -> Extensions {
        self.told.lock().unwrap().clone()
    }

    /// The heads of all requests that the layer let pass.
    pub(super) fn passed(&self) -> Vec<request::Parts> {
        self.passed.lock().unwrap().clone()
    }
}

/// A service above a layer. It says what the connection would, and hears what the layer says.
#[derive(Clone, Debug)]
pub(super) struct Above<S> {
    inner: S,
    witness: Witness,
}

impl<S> Above<S> {
    pub(super) fn new(inner: S, witness: &Witness) -> Self {
        let witness = witness.clone();
        Self { inner, witness }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Above<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let known = self.witness.known.clone();
        request.extensions_mut().extend(known);
        let told = Arc::clone(&self.witness.told);
        let response = self.inner.call(request);
        Box::pin(async move {
            let response = response.await?;
            *told.lock().unwrap() = response.extensions().clone();
            Ok(response)
        })
    }
}

/// A service below a layer, which notes what comes. Any body will do.
#[derive(Clone, Debug)]
pub(super) struct Below<S> {
    inner: S,
    witness: Witness,
}

impl<S> Below<S> {
    pub(super) fn new(inner: S, witness: &Witness) -> Self {
        let witness = witness.clone();
        Self { inner, witness }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Below<S>
where
    S: Service<Request<Body>, Response = Response<ResBody>, Future: Send + 'static>,
    ReqBody: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    ResBody: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (head, body) = request.into_parts();
        self.witness.passed.lock().unwrap().push(head.clone());
        let response = self.inner.call(Request::from_parts(head, Body::new(body)));
        Box::pin(async { Ok(response.await?.map(Body::new)) })
    }
}

/// A client whose responses have bodies of no particular type.
pub(super) fn unbodied<S, B>(
    client: S,
) -> impl Service<Request<Body>, Response = Response<Body>, Error = S::Error> + Clone
where
    S: Service<Request<Body>, Response = Response<B>> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    ServiceBuilder::new()
        .map_response(|response: Response<B>| response.map(Body::new))
        .service(client)
}
