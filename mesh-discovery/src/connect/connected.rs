use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body as HttpBody;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use super::body::Body;
use super::connection::{BoxError, until};
use super::host::Host;
use super::pools::EndpointService;
use super::readiness::Readiness;
use super::settings::HttpVersion;
use crate::service::Target;

/// Sends requests to one endpoint, and is ready only while there is a connection that can take one.
///
/// For balancers of tower's own, such as `tower::balance::p2c`, which send to what is ready: an endpoint
/// that cannot be reached gets nothing. [`Balance`](crate::service::Balance) takes [`EndpointService`]s
/// instead. It is made by [`EndpointService::connected`].
///
/// [`poll_ready`](Service::poll_ready) has a connection made if there is none without a request (over
/// HTTP/2: none with room for one) and none is on its way. It waits, with a timer, as long as an endpoint
/// that could not be reached is to be left alone, and never fails; where `maxConnections` leaves no place
/// it waits for a request to end. So an endpoint over HTTP/1.1 has a connection more than requests, and
/// one that is down is tried up to once a second as long as somebody polls.
///
/// Readiness takes nothing from others who share the [`Pools`](super::Pools): if they take the connection
/// first, the request waits for another, as by an [`EndpointService`], and fails as there. A connection that
/// is lost shows when `poll_ready` is called again, which tower's balancers do before each request. A clone
/// has to be polled itself. Who is dropped while it waits has nothing to give back: the connection that is
/// being made becomes one of the pool. Pings (`http2KeepAlive`) find connections whose endpoint has
/// fallen silent.
///
/// It stays with its [`Target`]. Where the client's version of HTTP is spoken (`useClientProtocol`), it is
/// ready by HTTP/1.1.
///
/// Needs a tokio runtime with a timer.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use bytes::Bytes;
/// use http::Request;
/// use http_body_util::Full;
/// use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
/// use mesh_core::service::ClusterName;
/// use mesh_discovery::circuit_breaker::{Breakers, Limits};
/// use mesh_discovery::connect::{Pools, TcpConnector};
/// use mesh_discovery::service::{NewService, Target};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio::net::TcpListener;
/// use tower::balance::p2c::Balance;
/// use tower::discover::ServiceList;
/// use tower::load::Constant;
/// use tower::{Service, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let (live, dead) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
/// let addresses = [live.local_addr()?, dead.local_addr()?];
/// drop(dead);
/// tokio::spawn(async move {
///     while let Ok((mut stream, _)) = live.accept().await {
///         tokio::spawn(async move {
///             while stream.read(&mut [0; 1024]).await? > 0 {
///                 stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
///             }
///             std::io::Result::Ok(())
///         });
///     }
/// });
///
/// let cluster = Arc::new(Cluster::new(ClusterName::from("cart")));
/// let breakers = Arc::new(Breakers::new(Limits::default()));
/// let pools = Pools::new(TcpConnector::new());
/// let services = addresses.map(|address| {
///     let target = Target {
///         endpoint: Arc::new(Endpoint::new(EndpointAddress::Ip(address))),
///         cluster: Arc::clone(&cluster),
///         breakers: Arc::clone(&breakers),
///         downstream: None,
///     };
///     Constant::new(pools.new_service(&target).connected(), 0)
/// });
/// let mut balance = Balance::new(ServiceList::new(services));
/// for _ in 0..5 {
///     let request = Request::get("http://cart.example/7").body(Full::<Bytes>::default())?;
///     let response = balance.ready().await?.call(request).await?;
///     assert_eq!(response.status(), 200);
/// }
/// # Ok(())
/// # }
/// ```
pub struct ConnectedService<C, B> {
    inner: EndpointService<C, B>,
    host: Arc<Host<B>>,
    /// Until it completes there is no connection.
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<C, B> ConnectedService<C, B> {
    pub(super) fn new(inner: EndpointService<C, B>) -> Self {
        let version = HttpVersion::of(&inner.target.cluster);
        let is_http2 = version.is_http2(Version::HTTP_11);
        let host = inner.pools.host(&inner.target, is_http2);
        Self {
            inner,
            host,
            wait: None,
        }
    }
}

impl<C, B> Service<Request<B>> for ConnectedService<C, B>
where
    C: Service<Target> + Clone + Send + 'static,
    C::Response: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    C::Error: Send,
    C::Future: Send,
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <EndpointService<C, B> as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        let EndpointService { pools, target } = &self.inner;
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            let compiled = self.host.settings(target);
            // Made before the look, so that no change in between is missed.
            let changed = self.host.changed();
            let held_back = match self.host.readiness(target, &compiled) {
                Readiness::Ready => return Poll::Ready(Ok(())),
                Readiness::Connect(attempt) => {
                    attempt.spawn(pools.connector.clone(), target.clone(), compiled);
                    None
                }
                Readiness::HeldBack(until) => Some(until),
                Readiness::Wait => None,
            };
            self.wait = Some(Box::pin(async move {
                tokio::select! {
                    () = changed => {}
                    () = until(held_back) => {}
                }
            }));
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.inner.call(request)
    }
}

impl<C: Clone, B> Clone for ConnectedService<C, B> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            host: Arc::clone(&self.host),
            wait: None,
        }
    }
}

impl<C, B> fmt::Debug for ConnectedService<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectedService")
            .field("target", &self.inner.target)
            .finish_non_exhaustive()
    }
}
