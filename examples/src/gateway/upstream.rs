use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use mesh_core::attributes::MatchedRoute;
use mesh_core::model::cluster::EndpointAddress;
use mesh_discovery::cluster::Clusters;
use mesh_discovery::service::{Dispatch, NewService, Target, TrackedBody};
use tokio::time::Instant;
use tower::ServiceBuilder;
use tower_service::Service;

use crate::body::Body;
use crate::headers::router;
use crate::upstream::{Endpoint, Pool, Protocol, Sending, UpstreamError};

/// Sends requests to an endpoint of the cluster that their route names, on the connections of
/// `pool`.
pub(super) fn dispatch<B>(
    clusters: &Clusters,
    pool: &Pool<B>,
) -> impl Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: 'static>
+ Clone
+ 'static
+ use<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let endpoints = Endpoints { pool: pool.clone() };
    ServiceBuilder::new()
        .map_response(|response: Response<TrackedBody<Body>>| response.map(Body::tracked))
        .service(Dispatch::new(clusters.clone(), endpoints))
}

/// Makes the services of endpoints.
struct Endpoints<B> {
    pool: Pool<B>,
}

impl<B> Clone for Endpoints<B> {
    fn clone(&self) -> Self {
        let pool = self.pool.clone();
        Self { pool }
    }
}

impl<B> NewService for Endpoints<B> {
    type Service = ToEndpoint<B>;

    fn new_service(&self, target: &Target) -> ToEndpoint<B> {
        let protocol = match target.cluster.protocol.is_http2() {
            true => Protocol::Http2,
            false => Protocol::Http1,
        };
        let endpoint = match target.endpoint.address {
            EndpointAddress::Ip(address) => Some(Endpoint::new(address, protocol)),
            EndpointAddress::Dns { .. } | EndpointAddress::Unix(_) => None,
        };
        ToEndpoint {
            pool: self.pool.clone(),
            endpoint,
        }
    }
}

/// Sends requests to an endpoint.
struct ToEndpoint<B> {
    pool: Pool<B>,
    // `None` if there is no way to it.
    endpoint: Option<Endpoint>,
}

impl<B> Service<Request<B>> for ToEndpoint<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Exchange<B>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Exchange<B> {
        let timeout = expected_timeout(&request);
        router::set_expected_timeout(request.headers_mut(), timeout);
        Exchange {
            sending: self
                .endpoint
                .map(|endpoint| self.pool.send(endpoint, request)),
            sent: Instant::now(),
        }
    }
}

/// A request on its way to an endpoint.
struct Exchange<B> {
    sending: Option<Sending<B>>,
    sent: Instant,
}

impl<B> Future for Exchange<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { sending, sent } = self.get_mut();
        let Some(sending) = sending else {
            let unreachable = std::io::Error::from(std::io::ErrorKind::Unsupported);
            return Poll::Ready(Ok(UpstreamError::Connect(unreachable).to_response()));
        };
        Poll::Ready(Ok(match ready!(Pin::new(sending).poll(cx)) {
            Ok(mut response) => {
                router::set_upstream_service_time(response.headers_mut(), sent.elapsed());
                response
            }
            Err(error) => error.to_response(),
        }))
    }
}

/// How long the upstream has to answer: what one attempt may take, or else the whole exchange. Zero
/// is no limit.
fn expected_timeout<B>(request: &Request<B>) -> Duration {
    let matched = request.extensions().get::<MatchedRoute>();
    let Some(forward) = matched.and_then(|matched| matched.route().forward_to()) else {
        return Duration::ZERO;
    };
    let whole = forward.timeout.unwrap_or_default();
    let retry = forward.retry.as_ref();
    let attempt = retry.and_then(|retry| retry.per_try_timeout);
    // One that is not below the whole says nothing.
    let attempt = attempt.filter(|attempt| whole.is_zero() || *attempt < whole);
    attempt.unwrap_or(whole)
}
