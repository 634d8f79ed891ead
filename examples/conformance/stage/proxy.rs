//! Our proxy: the routes and clusters of a resolved workload, on a loopback socket.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use examples::body::Body;
use examples::headers::{HeaderPolicy, HeaderPolicyLayer, Scheme};
use examples::serve::{Connection, Limits, Workers};
use examples::upstream::{Endpoint, Pool, PoolSettings, Protocol};
use http::header::{HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use mesh_core::attributes::MatchedRoute;
use mesh_core::model::Model;
use mesh_core::model::cluster::{Cluster, EndpointAddress, UpstreamTls};
use mesh_core::model::listener::{Listener, NetworkFilter};
use mesh_core::service::ClusterName;
use mesh_policy::fault::FaultLayer;
use mesh_policy::timeout::TimeoutLayer;
use mesh_routing::l4::{Connection as Incoming4, FilterChainTable};
use mesh_routing::layer::RoutingLayer;
use mesh_routing::layer::filters::FiltersLayer;
use mesh_routing::layer::mirror::{LocalTasks, MirrorBody, MirrorLayer};
use mesh_routing::table::RouteTable;
use tower::{ServiceBuilder, service_fn};

/// A proxy that serves one route configuration. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    _workers: Workers,
    address: SocketAddr,
}

impl Proxy {
    /// Serves the plaintext HTTP connections that a listener gets for `destination`. The error is
    /// why there are none.
    pub(crate) fn start(
        model: &Model,
        listener: &Listener,
        destination: SocketAddr,
    ) -> Result<Self, String> {
        let name = http_routes(listener, destination)?;
        let routes = model.route_configurations.get(&name);
        let routes = routes.ok_or_else(|| format!("there are no routes `{name}`"))?;
        let table = RouteTable::compile(routes).map_err(|errors| errors.to_string())?;
        let upstream = Arc::new(Upstream::new(&model.clusters));
        let workers = serve(table, upstream).map_err(|error| error.to_string())?;
        let address = workers.listen(0, ([127, 0, 0, 1], 0).into());
        Ok(Self {
            address: address.map_err(|error| error.to_string())?,
            _workers: workers,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The listener that a connection to `destination` arrives at: of the address and port, else of the
/// port on any address.
pub(crate) fn listener_of(model: &Model, destination: SocketAddr) -> Option<&Listener> {
    let any: IpAddr = match destination {
        SocketAddr::V4(_) => [0, 0, 0, 0].into(),
        SocketAddr::V6(_) => [0_u16; 8].into(),
    };
    [destination.ip(), any].into_iter().find_map(|address| {
        let bound = mesh_core::model::listener::Bind::Ip {
            address,
            port: destination.port(),
        };
        model
            .listeners
            .iter()
            .find(|listener| listener.bind == bound)
    })
}

/// The name of the routes of a plaintext HTTP connection.
fn http_routes(listener: &Listener, destination: SocketAddr) -> Result<String, String> {
    let table = FilterChainTable::compile(listener).map_err(|errors| errors.to_string())?;
    let connection = Incoming4 {
        application_protocols: &["http/1.1"],
        ..Incoming4::to(destination)
    };
    let chain = table.lookup(&connection);
    let chain = chain.ok_or_else(|| format!("no filter chain of `{}`", listener.name))?;
    match &chain.filter {
        NetworkFilter::Http(_) if chain.tls.is_some() => Err("needs TLS".into()),
        NetworkFilter::Http(http) => Ok(http.route_configuration.clone()),
        NetworkFilter::SniCluster | NetworkFilter::Tcp(_) => Err("needs a proxy of TCP".into()),
    }
}

/// A worker that routes by `table`.
fn serve(table: RouteTable, upstream: Arc<Upstream>) -> std::io::Result<Workers> {
    let routing = RoutingLayer::new(table);
    Workers::start(1, Limits::default(), move || {
        let upstream = Arc::clone(&upstream);
        let routing = routing.clone();
        let (requests, copies) = (Pool::new(settings()), Pool::new(settings()));
        let policy = Rc::new(HeaderPolicy::default());
        move |connection: &Connection| {
            let client = Arc::clone(&upstream);
            let copies = copies.clone();
            let client = service_fn(move |copy: Request<MirrorBody>| client.send(&copies, copy));
            let mirrors = MirrorLayer::new(client).with_executor(LocalTasks::default());
            let upstream = Arc::clone(&upstream);
            let requests = requests.clone();
            ServiceBuilder::new()
                .layer(HeaderPolicyLayer::new(
                    Rc::clone(&policy),
                    connection.peer.ip(),
                    Scheme::Http,
                ))
                .layer(routing.clone())
                .layer(FaultLayer::new())
                .layer(FiltersLayer::new())
                .layer(TimeoutLayer::new())
                .layer(mirrors)
                .service(service_fn(move |request| upstream.send(&requests, request)))
        }
    })
}

fn settings() -> PoolSettings {
    PoolSettings::default()
}

/// Marks answers to requests that were not forwarded for want of something.
pub(crate) const NEEDS: HeaderName = HeaderName::from_static("x-conformance-needs");

/// The endpoints of each cluster, taken in turns. `None` if they are spoken to by TLS.
#[derive(Debug)]
struct Upstream {
    clusters: BTreeMap<ClusterName, Option<Vec<Endpoint>>>,
    turn: AtomicUsize,
}

impl Upstream {
    fn new(clusters: &BTreeMap<ClusterName, Arc<Cluster>>) -> Self {
        let endpoints = |cluster: &Cluster| {
            let is_tls = match cluster.tls {
                UpstreamTls::Auto(_) | UpstreamTls::Plaintext => false,
                UpstreamTls::Mesh(_) | UpstreamTls::Settings(_) => true,
            };
            let http2 = cluster.protocol.is_http2();
            let protocol = if http2 {
                Protocol::Http2
            } else {
                Protocol::Http1
            };
            let addresses = cluster.endpoints.iter().filter(|endpoint| endpoint.healthy);
            let addresses = addresses.filter_map(|endpoint| match endpoint.address {
                EndpointAddress::Ip(address) => Some(address),
                EndpointAddress::Dns { .. } | EndpointAddress::Unix(_) => None,
            });
            let endpoints = addresses.map(|address| Endpoint::new(address, protocol));
            (!is_tls).then(|| endpoints.collect())
        };
        let clusters = clusters.iter();
        Self {
            clusters: clusters
                .map(|(name, cluster)| (name.clone(), endpoints(cluster)))
                .collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Forwards a request to the cluster of its route.
    fn send<B>(
        &self,
        pool: &Pool<B>,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<B>
    where
        B: http_body::Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let cluster = request.extensions().get().and_then(MatchedRoute::cluster);
        let endpoints = cluster.and_then(|cluster| self.clusters.get(cluster));
        let needs_tls = endpoints.is_some_and(Option::is_none);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let endpoints = endpoints.and_then(Option::as_ref);
        let endpoint = endpoints
            .and_then(|all| all.get(turn.checked_rem(all.len())?))
            .copied();
        let sending = endpoint.map(|endpoint| pool.send(endpoint, request));
        async move {
            Ok(match sending {
                Some(sending) => match sending.await {
                    Ok(response) => response,
                    Err(error) => error.to_response(),
                },
                None => unavailable(needs_tls),
            })
        }
    }
}

fn unavailable(needs_tls: bool) -> Response<Body> {
    let mut response = Response::new(Body::from("no healthy upstream"));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    if needs_tls {
        let what = HeaderValue::from_static("needs TLS to the backends");
        response.headers_mut().insert(NEEDS, what);
    }
    response
}
