use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use http::{Request, Response, Version};
use mesh_core::attributes::ResponseFlag;
use mesh_core::model::cluster::{self, Cluster, Discovery, EndpointAddress, UpstreamTls};
use mesh_core::reply::Caller;
use mesh_core::service::{ClusterName, Direction};
use mesh_discovery::cluster::{Clusters, ClustersView, Upstream};
use mesh_discovery::locality::Client;
use mesh_discovery::service::{Dispatch, NewService, Target, TrackedBody};
use mesh_discovery::source::dns::DynamicDnsError;
use mesh_tls::config::ApplicationProtocol;
use tokio::time::Instant;
use tower::ServiceBuilder;
use tower_service::Service;

use super::dynamic::{self, Dynamic};
use super::tls::Originations;
use crate::body::Body;
use crate::headers::router;
use crate::upstream::{
    Address, Asked, ConnectionLimits, Endpoint, Established, Origination, Pool, Preface, Protocol,
    Sending, UpstreamError, Way, sidecar_source,
};

/// The cluster of the ports of a workload that no service leads to.
const INBOUND_PASSTHROUGH: &str = "InboundPassthroughCluster";

/// The clusters of a generation, and how their endpoints are connected to. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Upstreams {
    clusters: ClustersView,
    tls: Originations,
    dynamic: Dynamic,
    is_redirected: bool,
}

impl Upstreams {
    /// There is no cluster.
    pub(super) fn none() -> Self {
        Self::new(
            Clusters::new(Client::default()).into(),
            Originations::none(),
        )
    }

    /// Speaks `tls` with the endpoints of `clusters` that want it.
    pub(super) fn new(clusters: ClustersView, tls: Originations) -> Self {
        Self {
            clusters,
            tls,
            dynamic: Dynamic::new(),
            is_redirected: false,
        }
    }

    /// Whether connections to the workload are redirected, so that those to its application have to
    /// be told apart from them.
    pub(super) fn redirected(self, is_redirected: bool) -> Self {
        Self {
            is_redirected,
            ..self
        }
    }

    /// Knows the hosts of `dynamic`.
    pub(super) fn with_dynamic(self, dynamic: Dynamic) -> Self {
        Self { dynamic, ..self }
    }

    /// The cluster of a name.
    pub(super) fn get(&self, name: &ClusterName) -> Option<Arc<Upstream>> {
        self.clusters.get(name)
    }

    /// Connects to an endpoint, to pass bytes on.
    pub(super) async fn connect(&self, target: &Target) -> Result<Established, UpstreamError> {
        let Target {
            endpoint, cluster, ..
        } = target;
        let address = self.address(cluster, &endpoint.address).await?;
        let tls = towards(&self.tls, cluster, endpoint)?;
        // No request names the server, so that the service does where the settings do not.
        let source = source(self.is_redirected, cluster, &address);
        let way = Way::new(address, tls, cluster.name.host()).with_source(source);
        let way = way.with_preface(Preface::of(target));
        let connecting = way.connect(ApplicationProtocol::Tcp, cluster.connect_timeout);
        let established = connecting.await?;
        let stream = established.transport.stream();
        let keepalive = stream.set_keepalive(cluster);
        keepalive.map_err(UpstreamError::Connect)?;
        Ok(established)
    }

    /// The socket of an endpoint, which is looked up if it is for a name that the connection gave.
    async fn address(
        &self,
        cluster: &Cluster,
        address: &EndpointAddress,
    ) -> Result<Address, UpstreamError> {
        let EndpointAddress::Dns { host, port } = address else {
            return Address::of(address).ok_or_else(unreachable);
        };
        if cluster.discovery != Discovery::DynamicDns {
            return Err(unreachable());
        }
        let found = self.dynamic.clone().resolve(host.clone()).await;
        let found = found.map_err(|error| UpstreamError::Connect(io::Error::other(error)))?;
        let first = found.first().ok_or_else(unreachable)?;
        Ok(Address::Ip((*first, *port).into()))
    }
}

/// The address from which an endpoint is connected to, if it is the application of a sidecar that
/// connections are redirected to; `None` leaves it to the system.
fn source(is_redirected: bool, cluster: &Cluster, address: &Address) -> Option<IpAddr> {
    // Most are not redirected, and need not be told apart.
    if !is_redirected || !leads_to_application(&cluster.name) {
        return None;
    }
    match address {
        Address::Ip(address) => Some(sidecar_source(address.ip())),
        Address::Unix(_) => None,
    }
}

/// Whether the endpoints of a cluster are the ports of the workload itself.
fn leads_to_application(cluster: &ClusterName) -> bool {
    cluster.direction() == Some(Direction::Inbound) || cluster.as_str() == INBOUND_PASSTHROUGH
}

/// The TLS towards an endpoint; `None` is plaintext.
fn towards(
    tls: &Originations,
    cluster: &Cluster,
    endpoint: &cluster::Endpoint,
) -> Result<Option<Origination>, UpstreamError> {
    let is_plain = match cluster.tls {
        UpstreamTls::Plaintext => true,
        UpstreamTls::Auto(_) => !endpoint.mesh_tls,
        UpstreamTls::Mesh(_) | UpstreamTls::Settings(_) => false,
    };
    if is_plain {
        return Ok(None);
    }
    let tls = tls.get(&cluster.name);
    tls.map(Some).ok_or_else(unreachable)
}

/// There is no way to an endpoint.
fn unreachable() -> UpstreamError {
    UpstreamError::Connect(io::ErrorKind::Unsupported.into())
}

/// Sends requests to an endpoint of the cluster that their route names, on the connections of
/// `pool`. With `tells`, upstreams and clients are told of it by headers that begin with `x-envoy-`.
pub(super) fn dispatch<B>(
    upstreams: &Upstreams,
    pool: &Pool<B>,
    tells: bool,
) -> impl Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: 'static>
+ Clone
+ 'static
+ use<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let endpoints = Endpoints {
        pool: pool.clone(),
        clusters: upstreams.clusters.clone(),
        tls: upstreams.tls.clone(),
        dynamic: upstreams.dynamic.clone(),
        is_redirected: upstreams.is_redirected,
        tells,
    };
    ServiceBuilder::new()
        .map_response(move |mut response: Response<TrackedBody<Body>>| {
            let flag = response.extensions().get::<ResponseFlag>();
            if !tells && flag == Some(&ResponseFlag::UpstreamOverflow) {
                response.headers_mut().remove(router::X_ENVOY_OVERLOADED);
            }
            response.map(Body::tracked)
        })
        .service(Dispatch::new(upstreams.clusters.clone(), endpoints))
}

/// Makes the services of endpoints.
struct Endpoints<B> {
    pool: Pool<B>,
    clusters: ClustersView,
    tls: Originations,
    dynamic: Dynamic,
    is_redirected: bool,
    tells: bool,
}

impl<B> Clone for Endpoints<B> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            clusters: self.clusters.clone(),
            tls: self.tls.clone(),
            dynamic: self.dynamic.clone(),
            is_redirected: self.is_redirected,
            tells: self.tells,
        }
    }
}

impl<B> NewService for Endpoints<B> {
    type Service = ToEndpoint<B>;

    fn new_service(&self, target: &Target) -> ToEndpoint<B> {
        let Target {
            endpoint, cluster, ..
        } = target;
        let protocol = match cluster.protocol.is_http2() {
            true => Protocol::Http2,
            false => Protocol::Http1,
        };
        let tls = towards(&self.tls, cluster, endpoint).ok();
        let (address, name) = match &endpoint.address {
            EndpointAddress::Dns { host, port } if cluster.discovery == Discovery::DynamicDns => {
                let name = (self.dynamic.clone(), host.clone());
                let any = SocketAddr::from(([0, 0, 0, 0], *port));
                (Some(Address::Ip(any)), Some(name))
            }
            address => (Address::of(address), None),
        };
        let upstream = || self.clusters.get(&cluster.name);
        let endpoint = address.zip(tls).map(|(address, tls)| {
            let source = source(self.is_redirected, cluster, &address);
            Endpoint::at(address, protocol)
                .with_tls(tls)
                .with_source(source)
                .with_preface(Preface::of(target))
                .with_connect_timeout(cluster.connect_timeout)
                .with_limits(ConnectionLimits::of(target, upstream))
        });
        ToEndpoint {
            pool: self.pool.clone(),
            endpoint,
            name,
            by_client: is_by_client(cluster),
            tells: self.tells,
        }
    }
}

/// Whether endpoints are spoken to in the version of HTTP that clients speak.
fn is_by_client(cluster: &Cluster) -> bool {
    let pool = cluster.policy.connection_pool.as_deref();
    let http = pool.and_then(|pool| pool.http.as_ref());
    http.is_some_and(|http| http.use_client_protocol)
}

/// Sends requests to an endpoint.
struct ToEndpoint<B> {
    pool: Pool<B>,
    // `None` if there is no way to it.
    endpoint: Option<Endpoint>,
    // The host whose address it is at, if that is not known yet.
    name: Option<(Dynamic, String)>,
    by_client: bool,
    tells: bool,
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

    fn call(&mut self, request: Request<B>) -> Exchange<B> {
        if let Some(endpoint) = self.endpoint.as_mut().filter(|_| self.by_client) {
            endpoint.protocol = match request.version() {
                Version::HTTP_2 => Protocol::Http2,
                _ => Protocol::Http1,
            };
        }
        let asked = Asked::of(request.headers());
        let state = match (self.endpoint.as_ref(), self.name.take()) {
            (None, _) => State::Unreachable,
            (Some(endpoint), None) => State::Sending(self.pool.send(endpoint, request)),
            (Some(endpoint), Some((dynamic, host))) => State::Resolving(Box::new(Resolving {
                lookup: Box::pin(dynamic.resolve(host)),
                caller: Caller::of(request.headers()),
                pool: self.pool.clone(),
                endpoint: endpoint.clone(),
                request: Some(request),
            })),
        };
        Exchange {
            state,
            sent: self.tells.then(Instant::now),
            asked,
        }
    }
}

/// A request on its way to an endpoint.
struct Exchange<B> {
    state: State<B>,
    // `None` if the client is not told how long the upstream takes.
    sent: Option<Instant>,
    asked: Asked,
}

enum State<B> {
    /// There is no way to it.
    Unreachable,
    Resolving(Box<Resolving<B>>),
    Sending(Sending<B>),
}

/// A request to a host that is being looked up.
struct Resolving<B> {
    lookup: LocalBoxFuture<'static, Result<Arc<[IpAddr]>, DynamicDnsError>>,
    caller: Caller,
    pool: Pool<B>,
    endpoint: Endpoint,
    // `None` once it is sent.
    request: Option<Request<B>>,
}

impl<B> Resolving<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Sends the request as soon as an address is known; gives the answer if there is none.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Sending<B>, Response<Body>>> {
        let found = ready!(self.lookup.as_mut().poll(cx));
        let addresses = found.map_err(|error| dynamic::refusal(self.caller, error));
        let first = addresses?.first().copied();
        if let (Some(ip), Address::Ip(address)) = (first, &mut self.endpoint.address) {
            address.set_ip(ip);
        }
        let request = self.request.take();
        let request = request.ok_or_else(|| unreachable().to_response());
        Poll::Ready(request.map(|request| self.pool.send(&self.endpoint, request)))
    }
}

impl<B> Future for Exchange<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { state, sent, asked } = self.get_mut();
        if let State::Resolving(resolving) = state {
            match ready!(resolving.poll(cx)) {
                Ok(sending) => *state = State::Sending(sending),
                Err(refusal) => return Poll::Ready(Ok(refusal)),
            }
        }
        let State::Sending(sending) = state else {
            return Poll::Ready(Ok(unreachable().answer(*asked)));
        };
        Poll::Ready(Ok(match ready!(Pin::new(sending).poll(cx)) {
            Ok(mut response) => {
                if let Some(sent) = sent {
                    router::set_upstream_service_time(response.headers_mut(), sent.elapsed());
                }
                response
            }
            Err(error) => error.answer(*asked),
        }))
    }
}
