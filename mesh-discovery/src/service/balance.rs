use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use mesh_core::decision::Decision;
use mesh_core::reply::Caller;
use tower_service::Service;

use super::body::TrackedBody;
use super::exchange::{self, Exchange};
use super::future::ResponseFuture;
use super::new_service::{NewService, Opaque};
use super::refusal::Refusal;
use super::seams::Random;
use crate::balance::Choice;
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

    /// Says which endpoint [`call`](Service::call) would pick for `request` now, and why: who could be
    /// picked, who is ejected until when, and by which policy that one was. Nobody's turn is changed.
    ///
    /// Where the policy draws, this draws numbers of its own; where it goes by whose turn it is or who
    /// is less busy, another request in between changes that. Limits on requests are not looked at.
    ///
    /// Needs a tokio runtime with a timer.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use http::Request;
    /// use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
    /// use mesh_core::service::ClusterName;
    /// use mesh_discovery::cluster::Upstream;
    /// use mesh_discovery::locality::Client;
    /// use mesh_discovery::service::{Balance, Target};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), std::net::AddrParseError> {
    /// let mut cluster = Cluster::new(ClusterName::from("cart"));
    /// let address = EndpointAddress::Ip("10.0.0.7:80".parse()?);
    /// cluster.endpoints.push(Endpoint::new(address));
    /// let now = tokio::time::Instant::now().into_std();
    /// let upstream = Upstream::new(Arc::new(cluster), Client::default(), now, 0);
    ///
    /// let service = Balance::new(Arc::new(upstream), |_: &Target| ());
    /// assert_eq!(
    ///     service.explain(&Request::new(())).to_string(),
    ///     "endpoint `10.0.0.7:80`: matched  [cluster]\n\
    ///      priority 0: 1 of 1 healthy, gets 100 % of the load  [cluster]\n\
    ///      endpoint `10.0.0.7:80`: picked by LEAST_REQUEST with 0 active requests  [cluster]\n\
    ///      => endpoint `10.0.0.7:80`",
    /// );
    /// # Ok(())
    /// # }
    /// ```
    pub fn explain<B>(&self, request: &Request<B>) -> Decision<Choice> {
        exchange::explain(&self.upstream, &self.random, request)
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
