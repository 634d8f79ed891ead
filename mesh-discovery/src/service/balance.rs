use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use mesh_core::reply::Caller;
use tower_service::Service;

use super::body::TrackedBody;
use super::exchange::Exchange;
use super::future::ResponseFuture;
use super::new_service::{NewService, Opaque};
use super::refusal::Refusal;
use super::seams::Random;
use crate::cluster::Upstream;

/// Sends each request to an endpoint of one cluster.
///
/// See the [module docs](super) for an example.
#[derive(Clone)]
pub struct Balance<M> {
    upstream: Arc<Upstream>,
    new_service: M,
    random: Random,
}

impl<M> Balance<M> {
    /// Balances over `upstream`, whose endpoints are served by what `new_service` makes.
    pub fn new(upstream: Arc<Upstream>, new_service: M) -> Self {
        Self {
            upstream,
            new_service,
            random: Random::default(),
        }
    }

    /// Draws by numbers from `random`, which should be uniform over all values. The default is a
    /// generator of the thread that is not fit for secrets.
    #[must_use]
    pub fn with_random(self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let random = Random::new(random);
        Self { random, ..self }
    }
}

impl<M, ReqBody, ResBody> Service<Request<ReqBody>> for Balance<M>
where
    M: NewService,
    M::Service: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default + From<Bytes>,
{
    type Response = Response<TrackedBody<ResBody>>;
    type Error = <M::Service as Service<Request<ReqBody>>>::Error;
    type Future = ResponseFuture<M::Service, ReqBody>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let upstream = Ok(Arc::clone(&self.upstream));
        forward(upstream, &self.new_service, &self.random, request)
    }
}

/// Sends a request to an endpoint, or says why not.
pub(super) fn forward<M, ReqBody>(
    upstream: Result<Arc<Upstream>, Refusal>,
    new_service: &M,
    random: &Random,
    mut request: Request<ReqBody>,
) -> ResponseFuture<M::Service, ReqBody>
where
    M: NewService,
    M::Service: Service<Request<ReqBody>>,
{
    let caller = Caller::of(request.headers());
    let begun = upstream.and_then(|upstream| Exchange::begin(upstream, random, &mut request));
    match begun {
        Ok((exchange, target)) => {
            let service = new_service.new_service(&target);
            ResponseFuture::forwarded(service, request, exchange)
        }
        Err(refusal) => ResponseFuture::refused(refusal, caller),
    }
}

impl<M> fmt::Debug for Balance<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("upstream", &self.upstream.cluster().name)
            .field("new_service", &Opaque)
            .finish_non_exhaustive()
    }
}
