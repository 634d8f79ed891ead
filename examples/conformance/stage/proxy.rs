//! Our proxy: the gateway of the examples, with the routes and clusters of a resolved workload.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use examples::gateway::{Gateway, Settings};
use http::header::HeaderName;
use mesh_core::model::Model;
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, UpstreamTls};
use mesh_core::model::listener::{Bind, FilterChain, HttpConnection, Listener, NetworkFilter};
use mesh_core::model::policy::Policies;
use mesh_routing::l4::{Connection, FilterChainTable};

/// Marks answers to requests that were not forwarded for want of something.
pub(crate) const NEEDS: HeaderName = HeaderName::from_static("x-conformance-needs");

/// The port that the gateway declares for what it serves.
const PORT: u16 = 80;

/// A proxy that serves one route configuration. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    _gateway: Gateway,
    address: SocketAddr,
}

impl Proxy {
    /// Serves the plaintext HTTP connections that a listener gets for `destination`. Requests to
    /// clusters that are spoken to by TLS go to `needs_tls`. The error is why there is no proxy.
    pub(crate) fn start(
        model: &Model,
        listener: &Listener,
        destination: SocketAddr,
        needs_tls: SocketAddr,
    ) -> Result<Self, String> {
        let routes = http_routes(listener, destination)?;
        let mut settings = Settings {
            bind: [127, 0, 0, 1].into(),
            ..Settings::default()
        };
        settings.ports.insert(PORT, 0);
        let mut gateway = Gateway::start(settings).map_err(|error| error.to_string())?;
        let model = serving(model, routes, needs_tls);
        gateway.publish(&model).map_err(|error| error.to_string())?;
        let address = gateway.address(PORT).ok_or("nothing is served")?;
        Ok(Self {
            _gateway: gateway,
            address,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

/// The model with no other listener than a plaintext one for `routes`. What is asked here is where
/// requests go; who may send them is asked by other cases.
fn serving(model: &Model, routes: String, needs_tls: SocketAddr) -> Model {
    let mut model = model.clone();
    let chain = FilterChain::new(NetworkFilter::Http(HttpConnection::new(routes)));
    model.listeners = vec![Listener::new("stage", PORT, [chain])];
    model.policies = Policies::default();
    for cluster in model.clusters.values_mut() {
        without_tls(Arc::make_mut(cluster), needs_tls);
    }
    model
}

fn without_tls(cluster: &mut Cluster, needs_tls: SocketAddr) {
    match std::mem::take(&mut cluster.tls) {
        UpstreamTls::Auto(_) | UpstreamTls::Plaintext => {
            for endpoint in &mut cluster.endpoints {
                endpoint.mesh_tls = false;
            }
        }
        UpstreamTls::Mesh(_) | UpstreamTls::Settings(_) => {
            cluster.endpoints = vec![Endpoint::new(EndpointAddress::Ip(needs_tls))];
        }
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
        let bound = Bind::Ip {
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
    let connection = Connection {
        application_protocols: &["http/1.1"],
        ..Connection::to(destination)
    };
    let chain = table.lookup(&connection);
    let chain = chain.ok_or_else(|| format!("no filter chain of `{}`", listener.name))?;
    match &chain.filter {
        NetworkFilter::Http(_) if chain.tls.is_some() => Err("needs TLS".into()),
        NetworkFilter::Http(http) => Ok(http.route_configuration.clone()),
        NetworkFilter::SniCluster | NetworkFilter::Tcp(_) => Err("needs a proxy of TCP".into()),
    }
}
