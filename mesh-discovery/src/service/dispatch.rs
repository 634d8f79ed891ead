use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};
use mesh_core::attributes::MatchedRoute;
use mesh_core::decision::{Decision, Step};
use mesh_core::model::route::ClusterSpecifier;
use mesh_core::service::ClusterName;
use tower_service::Service;

use super::balance::forward;
use super::body::TrackedBody;
use super::exchange;
use super::future::ResponseFuture;
use super::named_host::named_host;
use super::new_service::{NewService, Opaque};
use super::refusal::Refusal;
use super::seams::Random;
use crate::balance::Choice;
use crate::cluster::{ClustersView, Upstream};

/// Sends each request to an endpoint of the cluster that its route names.
///
/// A destination that cannot be resolved is answered with the status that its route says.
///
/// # Example
///
/// ```
/// use std::collections::BTreeMap;
/// use std::convert::Infallible;
/// use std::sync::Arc;
///
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use mesh_core::attributes::MatchedRoute;
/// use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
/// use mesh_core::model::route::{Route, RouteMatch};
/// use mesh_core::service::ClusterName;
/// use mesh_discovery::cluster::Clusters;
/// use mesh_discovery::locality::Client;
/// use mesh_discovery::service::{Dispatch, Target};
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cart = ClusterName::from("cart");
/// let mut cluster = Cluster::new(cart.clone());
/// cluster.endpoints.push(Endpoint::new(EndpointAddress::Ip("10.0.0.7:80".parse()?)));
/// let clusters = Clusters::new(Client::default());
/// let now = tokio::time::Instant::now().into_std();
/// clusters.publish(&BTreeMap::from([(cart.clone(), Arc::new(cluster))]), now);
///
/// let connect = |_: &Target| {
///     service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) })
/// };
/// let service = Dispatch::new(clusters, connect);
/// let send = |cluster| {
///     let route = Route::forward("route", RouteMatch::prefix("/"), cluster);
///     let request = Request::get("/").extension(MatchedRoute::new(Arc::new(route), 0));
///     service.clone().oneshot(request.body(()).unwrap())
/// };
/// assert_eq!(send(cart).await?.status(), 200);
/// assert_eq!(send(ClusterName::from("unknown")).await?.status(), 503);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Dispatch<M> {
    clusters: ClustersView,
    new_service: M,
    random: Random,
}

impl<M> Dispatch<M> {
    /// Balances over `clusters`, whose endpoints are served by what `new_service` makes.
    ///
    /// Clusters that are published later are found in [`Clusters`](crate::cluster::Clusters), and not in
    /// a [snapshot](crate::cluster::Clusters::snapshot).
    pub fn new(clusters: impl Into<ClustersView>, new_service: M) -> Self {
        Self {
            clusters: clusters.into(),
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

    /// Says which endpoint [`call`](Service::call) would pick for `request` now, and why, see
    /// [`Balance::explain`](super::Balance::explain); or why there is no cluster to pick from.
    ///
    /// Needs a tokio runtime with a timer.
    pub fn explain<B>(&self, request: &Request<B>) -> Decision<Choice> {
        match self.upstream(request) {
            Ok(upstream) => exchange::explain(&upstream, &self.random, request),
            Err(refusal) => no_cluster(refusal, request),
        }
    }

    fn upstream<B>(&self, request: &Request<B>) -> Result<Arc<Upstream>, Refusal> {
        let route = request.extensions().get::<MatchedRoute>();
        let destination = route.and_then(MatchedRoute::destination);
        let found = match &destination.ok_or(Refusal::ClusterNotFound)?.cluster {
            ClusterSpecifier::Name(name) => self.clusters.get(name),
            ClusterSpecifier::Header(name) => {
                let name = header(request, name);
                name.and_then(|name| self.clusters.get(&ClusterName::from(name)))
            }
            ClusterSpecifier::Refused(status) => {
                let status = StatusCode::from_u16(*status);
                return Err(Refusal::Destination(
                    status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                ));
            }
        };
        found.ok_or(Refusal::ClusterNotFound)
    }
}

/// Why there is no cluster to pick from.
fn no_cluster<B>(refusal: Refusal, request: &Request<B>) -> Decision<Choice> {
    let (outcome, why) = match refusal {
        Refusal::Destination(status) => (
            Choice::Refused(status.as_u16()),
            "it refers to nothing that there is",
        ),
        _ => (Choice::ClusterNotFound, "there is no such cluster"),
    };
    let route = request.extensions().get::<MatchedRoute>();
    let steps = route.map(|route| {
        let subject = match route.destination().map(|found| &found.cluster) {
            Some(ClusterSpecifier::Name(name)) => format!("cluster `{name}`"),
            Some(ClusterSpecifier::Header(name)) => format!("cluster named by `{name}`"),
            Some(ClusterSpecifier::Refused(_)) | None => "destination".to_owned(),
        };
        Step::failed(subject, route.origin().clone(), why)
    });
    let steps = steps.into_iter().collect();
    Decision { outcome, steps }
}

/// The value of a header, or of a pseudo-header of those that may name a cluster.
fn header<'a, B>(request: &'a Request<B>, name: &str) -> Option<&'a str> {
    match name {
        ":authority" | "host" => named_host(request),
        ":method" => Some(request.method().as_str()),
        ":path" => request.uri().path_and_query().map(PathAndQuery::as_str),
        name => request.headers().get(name)?.to_str().ok(),
    }
}

impl<M, ReqBody, ResBody> Service<Request<ReqBody>> for Dispatch<M>
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
        let upstream = self.upstream(&request);
        forward(upstream, &self.new_service, &self.random, request)
    }
}

impl<M> fmt::Debug for Dispatch<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dispatch")
            .field("clusters", &self.clusters)
            .field("new_service", &Opaque)
            .finish_non_exhaustive()
    }
}
