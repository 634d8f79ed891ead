use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::Future;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use mesh_core::attributes::{MatchedRoute, ResponseFlag};
use mesh_core::model::cluster::{Cluster, EndpointAddress, UpstreamTls};
use mesh_core::model::route::ClusterSpecifier;
use mesh_core::reply::{self, Caller, Reason};
use mesh_core::service::ClusterName;
use mesh_core::watch::Watch;

use crate::body::Body;
use crate::upstream::{Endpoint, Pool, Protocol};

/// The endpoints of each cluster.
#[derive(Debug, Default)]
pub(super) struct Clusters(HashMap<ClusterName, Turns>);

/// Endpoints that are taken in turns, each as often as its weight says.
#[derive(Debug)]
struct Turns {
    endpoints: Box<[Endpoint]>,
    next: AtomicUsize,
}

impl Clusters {
    /// The endpoints that can be reached, and what of `clusters` cannot.
    ///
    /// Host names are resolved here, and no more until the next configuration.
    pub(super) fn new(clusters: &BTreeMap<ClusterName, Arc<Cluster>>) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let turns = clusters.iter().map(|(name, cluster)| {
            let endpoints: Box<[Endpoint]> = endpoints(cluster).into();
            if endpoints.is_empty() && !cluster.endpoints.is_empty() {
                let origin = &cluster.origin;
                warnings.push(format!("no endpoint of `{name}` can be used: it demands TLS, or its name is not known [{origin}]"));
            }
            let next = AtomicUsize::new(0);
            (name.clone(), Turns { endpoints, next })
        });
        let turns = turns.collect();
        (Self(turns), warnings)
    }
}

fn endpoints(cluster: &Cluster) -> Vec<Endpoint> {
    let protocol = match cluster.protocol.is_http2() {
        true => Protocol::Http2,
        false => Protocol::Http1,
    };
    let usable = cluster.endpoints.iter().filter(|endpoint| {
        let plaintext = match cluster.tls {
            UpstreamTls::Plaintext => true,
            UpstreamTls::Auto(_) => !endpoint.mesh_tls,
            UpstreamTls::Mesh(_) | UpstreamTls::Settings(_) => false,
        };
        plaintext && endpoint.healthy
    });
    let divisor = usable
        .clone()
        .fold(0, |all, endpoint| gcd(all, endpoint.weight))
        .max(1);
    let mut endpoints = Vec::new();
    for endpoint in usable {
        // Shares beyond a thousand turns are cut: they would cost memory, and change little.
        let turns = (endpoint.weight / divisor).clamp(1, 1000) as usize;
        for address in addresses(&endpoint.address) {
            endpoints.extend(std::iter::repeat_n(Endpoint::new(address, protocol), turns));
        }
    }
    endpoints
}

fn addresses(address: &EndpointAddress) -> Vec<SocketAddr> {
    match address {
        EndpointAddress::Dns { host, port } => (host.as_str(), *port)
            .to_socket_addrs()
            .map(Iterator::collect)
            .unwrap_or_default(),
        EndpointAddress::Ip(address) => vec![*address],
        EndpointAddress::Unix(_) => Vec::new(),
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Sends a request to an endpoint of the cluster of its route.
pub(super) fn forward<B>(
    clusters: &Watch<Clusters>,
    pool: &Pool<B>,
    request: Request<B>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let caller = Caller::of(request.headers());
    let picked = pick(&clusters.load(), &request);
    let sending = picked.map(|endpoint| pool.send(endpoint, request));
    async move {
        Ok(match sending {
            Ok(sending) => match sending.await {
                Ok(response) => response,
                Err(error) => error.to_response(),
            },
            Err(absent) => absent.answer(caller),
        })
    }
}

fn pick<B>(clusters: &Clusters, request: &Request<B>) -> Result<Endpoint, Absent> {
    let matched = request.extensions().get::<MatchedRoute>();
    let destination = matched
        .and_then(MatchedRoute::destination)
        .ok_or(Absent::Cluster)?;
    let turns = match &destination.cluster {
        ClusterSpecifier::Header(header) => {
            let value = request
                .headers()
                .get(header)
                .and_then(|value| value.to_str().ok());
            value.and_then(|name| clusters.0.get(&ClusterName::from(name)))
        }
        ClusterSpecifier::Name(name) => clusters.0.get(name),
        ClusterSpecifier::Refused(_) => None,
    };
    let turns = turns.ok_or(Absent::Cluster)?;
    let turn = turns.next.fetch_add(1, Ordering::Relaxed);
    let index = turn
        .checked_rem(turns.endpoints.len())
        .ok_or(Absent::Endpoint)?;
    turns.endpoints.get(index).copied().ok_or(Absent::Endpoint)
}

/// Why there is nowhere to send a request.
#[derive(Clone, Copy, Debug)]
enum Absent {
    Cluster,
    Endpoint,
}

impl Absent {
    fn answer(self, caller: Caller) -> Response<Body> {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        match self {
            Self::Cluster => reply::local(caller, status, NoCluster),
            Self::Endpoint => {
                let text = Bytes::from_static(b"no healthy upstream");
                reply::text(caller, status, text, NoEndpoint)
            }
        }
    }
}

/// The route names a cluster that does not exist.
#[derive(Clone, Copy, Debug)]
struct NoCluster;

impl Reason for NoCluster {
    const FLAG: ResponseFlag = ResponseFlag::NoClusterFound;
}

/// The cluster has no endpoint that can be used.
#[derive(Clone, Copy, Debug)]
struct NoEndpoint;

impl Reason for NoEndpoint {
    const FLAG: ResponseFlag = ResponseFlag::NoHealthyUpstream;
}
