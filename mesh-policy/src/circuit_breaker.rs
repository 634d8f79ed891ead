//! Hold the requests to a cluster to a number at once.
//!
//! [`CircuitBreakerLayer`] enforces `connectionPool.http.http2MaxRequests` of a DestinationRule,
//! which Envoy applies to HTTP/1.1, too: a request to a cluster that has that many under way is
//! answered with `503`, Envoy's text for an overflow, `x-envoy-overloaded: true` and the flag `UO`.
//! A request is under way until the body of its response has ended; one that switches its connection
//! to another protocol until it is answered. Istio sets no limit by default.
//!
//! It is for clients that connect by themselves. mesh-discovery's `Balance` and `Dispatch` hold the
//! requests of a cluster to the same limit, beside those on its connections: a stack that has one of
//! them does without this layer.
//!
//! What else Envoy's circuit breakers limit is limited where it happens: connections and requests
//! that wait for one by the connection pool, retries by their [budget](crate::retry::budget).
//!
//! The layer stands below retries, so that each attempt counts. No lock is taken, and the inner
//! service's error type is unchanged.
//!
//! # Example
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::route::{Route, RouteMatch};
//! use mesh_core::service::ClusterName;
//! use mesh_policy::circuit_breaker::{CircuitBreakerLayer, CircuitBreakers};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cart = ClusterName::from("cart");
//! let breakers = CircuitBreakers::default().with_limit(cart.clone(), 1);
//! let service = ServiceBuilder::new()
//!     .layer(CircuitBreakerLayer::new(breakers))
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//!     }));
//!
//! let route = Arc::new(Route::forward("cart", RouteMatch::prefix("/"), cart));
//! let matched = MatchedRoute::new(route, 0);
//! let request = || Request::get("/").extension(matched.clone()).body(());
//! let first = service.clone().oneshot(request()?).await?;
//! assert_eq!(service.clone().oneshot(request()?).await?.status(), 503);
//! drop(first);
//! assert_eq!(service.oneshot(request()?).await?.status(), 200);
//! # Ok(())
//! # }
//! ```

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use mesh_core::attributes::{MatchedRoute, ResetReason, ResponseFlag, UpstreamReset};
use mesh_core::model::cluster::Cluster;
use mesh_core::reply::{self, Caller};
use mesh_core::service::ClusterName;
use mesh_core::watch::Watch;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

pub use crate::permits::CountedBody;
use crate::permits::{Permit, Permits};

const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
const OVERFLOW: &[u8] =
    b"upstream connect error or disconnect/reset before headers. reset reason: overflow";

/// The limits of all clusters that have one, and what is under way.
#[derive(Clone, Debug, Default)]
pub struct CircuitBreakers(HashMap<ClusterName, Permits>);

impl CircuitBreakers {
    /// The limits that the traffic policies of `clusters` set.
    pub fn compile(clusters: &BTreeMap<ClusterName, Arc<Cluster>>) -> Self {
        Self::default().updated(clusters)
    }

    /// The limits that the traffic policies of `clusters` set. Clusters that are known go on
    /// counting where they are.
    #[must_use]
    pub fn updated(&self, clusters: &BTreeMap<ClusterName, Arc<Cluster>>) -> Self {
        let limits = clusters.iter().filter_map(|(name, cluster)| {
            let pool = cluster.policy.connection_pool.as_ref()?;
            let most = u32::try_from(pool.http.as_ref()?.http2_max_requests).ok()?;
            // Zero is Istio's default, no limit.
            let most = Some(most).filter(|most| *most > 0)?;
            let permits = match self.0.get(name) {
                Some(known) => known.with_limit(most),
                None => Permits::new(most),
            };
            Some((name.clone(), permits))
        });
        Self(limits.collect())
    }

    /// Sets the limit of a cluster.
    #[must_use]
    pub fn with_limit(mut self, cluster: ClusterName, requests: u32) -> Self {
        self.0.insert(cluster, Permits::new(requests));
        self
    }

    /// How many requests to a cluster are under way, if it has a limit.
    pub fn under_way(&self, cluster: &ClusterName) -> Option<u32> {
        self.0.get(cluster).map(Permits::taken)
    }
}

/// Layer that applies [`CircuitBreaker`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer {
    breakers: Watch<CircuitBreakers>,
}

impl CircuitBreakerLayer {
    /// Holds requests to the limits of their clusters.
    ///
    /// Pass a [`Watch`] to replace them while serving, by [`CircuitBreakers::updated`].
    pub fn new(breakers: impl Into<Watch<CircuitBreakers>>) -> Self {
        let breakers = breakers.into();
        Self { breakers }
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreaker<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let breakers = self.breakers.clone();
        CircuitBreaker { inner, breakers }
    }
}

/// Middleware that refuses requests to clusters that have too many.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct CircuitBreaker<S> {
    inner: S,
    breakers: Watch<CircuitBreakers>,
}

impl<S> CircuitBreaker<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for CircuitBreaker<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default + From<Bytes>,
{
    type Response = Response<CountedBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let caller = Caller::of(request.headers());
        let matched = request.extensions().get::<MatchedRoute>();
        let breakers = self.breakers.load();
        let permits = matched
            .and_then(MatchedRoute::cluster)
            .and_then(|cluster| breakers.0.get(cluster));
        let permit = match permits.map(Permits::take) {
            Some(None) => return ResponseFuture::refused(caller),
            Some(permit) => permit,
            None => None,
        };
        ResponseFuture {
            response: Some(self.inner.call(request)),
            permit,
            caller,
        }
    }
}

pin_project! {
    /// Response future of [`CircuitBreaker`].
    ///
    /// # Cancel safety
    ///
    /// Dropping it gives the request's place back.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // `None` if the request is refused.
        #[pin]
        response: Option<F>,
        permit: Option<Permit>,
        caller: Caller,
    }
}

impl<F> ResponseFuture<F> {
    fn refused(caller: Caller) -> Self {
        Self {
            response: None,
            permit: None,
            caller,
        }
    }
}

impl<F, ResBody, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Default + From<Bytes>,
{
    type Output = Result<Response<CountedBody<ResBody>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(response) = this.response.as_pin_mut() else {
            return Poll::Ready(Ok(overflow(*this.caller)));
        };
        let response = ready!(response.poll(cx))?;
        let permit = this.permit.take();
        Poll::Ready(Ok(response.map(|body| CountedBody::new(body, permit))))
    }
}

fn overflow<B: Default + From<Bytes>>(caller: Caller) -> Response<B> {
    let (status, text) = (
        StatusCode::SERVICE_UNAVAILABLE,
        Bytes::from_static(OVERFLOW),
    );
    let mut response = reply::text(caller, status, text, Overflow);
    let overloaded = HeaderValue::from_static("true");
    response.headers_mut().insert(OVERLOADED, overloaded);
    let reset = UpstreamReset::before_request(ResetReason::Overflow);
    response.extensions_mut().insert(reset);
    response
}

/// Marks a `503` as sent by [`CircuitBreaker`], because the cluster has too many requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("overflow")]
#[non_exhaustive]
pub struct Overflow;

impl reply::Reason for Overflow {
    const FLAG: ResponseFlag = ResponseFlag::UpstreamOverflow;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt, Full};
    use mesh_core::model::route::{Route, RouteMatch};
    use mesh_core::resource::istio::destination_rule::{ConnectionPoolSettings, HttpSettings};
    use tower::{ServiceExt, service_fn};

    use super::*;

    fn request(cluster: &str) -> Request<()> {
        let cluster = ClusterName::from(cluster);
        let route = Arc::new(Route::forward("r", RouteMatch::prefix("/"), cluster));
        Request::get("/")
            .extension(MatchedRoute::new(route, 0))
            .body(())
            .unwrap()
    }

    fn service(
        breakers: &CircuitBreakers,
    ) -> impl Service<Request<()>, Response = Response<CountedBody<Full<Bytes>>>, Error = Infallible>
    + Clone {
        let hello = service_fn(|_: Request<()>| async {
            Ok::<_, Infallible>(Response::new(Full::from("hello")))
        });
        CircuitBreakerLayer::new(breakers.clone()).layer(hello)
    }

    fn clusters(most: i32) -> BTreeMap<ClusterName, Arc<Cluster>> {
        let name = ClusterName::from("cart");
        let mut cluster = Cluster::new(name.clone());
        let http = HttpSettings {
            http2_max_requests: most,
            ..HttpSettings::default()
        };
        cluster.policy.connection_pool = Some(Box::new(ConnectionPoolSettings {
            http: Some(http),
            ..ConnectionPoolSettings::default()
        }));
        BTreeMap::from([(name, Arc::new(cluster))])
    }

    #[tokio::test]
    async fn a_request_counts_until_its_body_has_ended() {
        let breakers = CircuitBreakers::compile(&clusters(1));
        let service = service(&breakers);
        let first = service.clone().oneshot(request("cart")).await.unwrap();
        let refused = service.clone().oneshot(request("cart")).await.unwrap();
        assert_eq!(refused.headers()["x-envoy-overloaded"], "true");
        assert_eq!(
            refused.extensions().get(),
            Some(&ResponseFlag::UpstreamOverflow)
        );
        assert_eq!(
            refused.into_body().collect().await.unwrap().to_bytes(),
            OVERFLOW
        );
        first.into_body().collect().await.unwrap();
        let next = service.oneshot(request("cart")).await.unwrap();
        assert_eq!(next.status(), 200);
    }

    #[tokio::test]
    async fn clusters_without_a_limit_have_none() {
        let breakers = CircuitBreakers::compile(&clusters(0));
        let service = service(&breakers);
        let mut responses = Vec::new();
        for _ in 0..100 {
            responses.push(service.clone().oneshot(request("cart")).await.unwrap());
        }
        assert!(responses.iter().all(|response| response.status() == 200));
    }

    #[tokio::test]
    async fn a_new_limit_counts_what_is_under_way() {
        let breakers = CircuitBreakers::compile(&clusters(2));
        let first = service(&breakers).oneshot(request("cart")).await.unwrap();
        let breakers = breakers.updated(&clusters(1));
        assert_eq!(breakers.under_way(&ClusterName::from("cart")), Some(1));
        let refused = service(&breakers).oneshot(request("cart")).await.unwrap();
        assert_eq!(
            (first.status().as_u16(), refused.status().as_u16()),
            (200, 503)
        );
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_gives_its_place_back() {
        let breakers = CircuitBreakers::compile(&clusters(1));
        let silent = service_fn(|_: Request<()>| async {
            std::future::pending::<()>().await;
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        });
        let mut service = CircuitBreakerLayer::new(breakers.clone()).layer(silent);
        let response = service.ready().await.unwrap().call(request("cart"));
        assert_eq!(breakers.under_way(&ClusterName::from("cart")), Some(1));
        drop(response);
        assert_eq!(breakers.under_way(&ClusterName::from("cart")), Some(0));
    }
}
