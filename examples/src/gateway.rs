//! A gateway: the HTTP listeners, routes and clusters of a configuration, served.
//!
//! Every request goes through the public layers, in Envoy's order: header policy, routing, faults,
//! filters, timeout, mirrors, and then to an endpoint of its cluster. [`Gateway::publish`] replaces
//! the configuration under the requests: those under way keep the routes that they were matched by.
//!
//! Listeners that terminate TLS or carry bytes are not served, and clusters that demand TLS are
//! answered with `503`, never reached in plaintext; [`Gateway::publish`] returns a warning for each.
//!
//! # Example
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! use examples::config::Loaded;
//! use examples::gateway::{Gateway, Settings};
//! use mesh_core::config::MeshConfig;
//! use mesh_core::resolve::resolve;
//! use mesh_core::workload::Workload;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut loaded = Loaded::default();
//! loaded.add("gateway.yaml", "
//! apiVersion: networking.istio.io/v1
//! kind: Gateway
//! metadata: { name: shop }
//! spec:
//!   selector: { istio: ingressgateway }
//!   servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
//! ---
//! apiVersion: networking.istio.io/v1
//! kind: VirtualService
//! metadata: { name: shop }
//! spec:
//!   hosts: ['*']
//!   gateways: [shop]
//!   http: [{ directResponse: { status: 200, body: { string: we are open } } }]
//! ".to_owned());
//! let (config, _) = loaded.build(MeshConfig::builder(), 1).map_err(|found| found.to_string())?;
//! let workload = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
//!
//! // Port 80 of the Gateway is a port of the system's choice here.
//! let mut settings = Settings::default();
//! settings.bind = [127, 0, 0, 1].into();
//! settings.ports.insert(80, 0);
//! let mut gateway = Gateway::start(settings)?;
//! gateway.publish(&resolve(&config, &workload))?;
//!
//! let mut client = TcpStream::connect(gateway.address(80).expect("it listens"))?;
//! client.write_all(b"GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.ends_with("we are open"), "{answer}");
//! assert!(gateway.drain(Duration::from_secs(1)));
//! # Ok(())
//! # }
//! ```

mod mesh;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use mesh_core::model::Model;
use mesh_core::model::listener::{Direction, Listener, NetworkFilter};
use mesh_core::model::route::RouteConfiguration;
use mesh_core::origin::Origin;
use mesh_core::watch::{self, Publisher, Watch};
use mesh_policy::fault::FaultLayer;
use mesh_policy::timeout::TimeoutLayer;
use mesh_routing::error::CompileErrors;
use mesh_routing::layer::RoutingLayer;
use mesh_routing::layer::filters::FiltersLayer;
use mesh_routing::layer::mirror::{LocalTasks, MirrorBody, MirrorLayer};
use mesh_routing::table::RouteTable;
use tower::{ServiceBuilder, service_fn};

pub use self::mesh::{Mesh, MeshClient};
use self::upstream::Clusters;
use crate::headers::{HeaderPolicy, HeaderPolicyLayer, Scheme};
use crate::serve::{Connection, Limits, ListenerId, Workers};
use crate::upstream::{Pool, PoolSettings};

/// How a gateway listens.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address that listeners bind. Default: all of IPv4.
    pub bind: IpAddr,
    /// The port to bind in place of one that a Gateway declares; 0 lets the system choose.
    pub ports: BTreeMap<u16, u16>,
    /// Threads, each with its own listening sockets and connection pools. Default 1.
    pub threads: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::UNSPECIFIED.into(),
            ports: BTreeMap::new(),
            threads: 1,
        }
    }
}

/// Serves a configuration. It stops when it is dropped.
#[derive(Debug)]
pub struct Gateway {
    settings: Settings,
    workers: Workers,
    tables: Tables,
    clusters: Publisher<Clusters>,
    addresses: BTreeMap<ListenerId, SocketAddr>,
}

impl Gateway {
    /// Starts the threads of a gateway that listens on nothing yet.
    ///
    /// # Errors
    ///
    /// The system refuses a thread or a runtime.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let tables = Tables::default();
        let (publisher, clusters) = watch::channel(Clusters::default());
        let workers = serve(settings.threads, &tables, &clusters)?;
        Ok(Self {
            settings,
            workers,
            tables,
            clusters: publisher,
            addresses: BTreeMap::new(),
        })
    }

    /// Replaces what is served by `model`, and returns what of it is not served.
    ///
    /// All routes are compiled before anything is replaced.
    ///
    /// # Errors
    ///
    /// Policies that nothing here enforces, or routes that cannot be compiled, in which cases nothing
    /// has changed; or a socket that cannot
    /// be bound, in which case the other listeners serve `model`.
    pub fn publish(&mut self, model: &Model) -> Result<Vec<String>, PublishError> {
        refuse_policies(model)?;
        let (listeners, mut warnings) = listeners(model);
        let mut compiled = Vec::new();
        for (listener, routes) in listeners {
            let routes = model.route_configurations.get(routes);
            let routes = routes.map(Arc::as_ref).cloned().unwrap_or_default();
            compiled.push((listener.declared_port, RouteTable::compile(&routes)?));
        }
        let (clusters, limits) = Clusters::new(&model.clusters);
        warnings.extend(limits);
        self.clusters.publish(clusters);
        self.close_all_but(&compiled.iter().map(|(port, _)| u64::from(*port)).collect());
        for (port, table) in compiled {
            self.tables.publish(port.into(), table);
            self.open(port)?;
        }
        Ok(warnings)
    }

    /// The address that serves the port `declared` by a Gateway, if it is served.
    pub fn address(&self, declared: u16) -> Option<SocketAddr> {
        self.addresses.get(&declared.into()).copied()
    }

    /// The declared ports that are served, and their addresses.
    pub fn addresses(&self) -> impl Iterator<Item = (ListenerId, SocketAddr)> {
        self.addresses
            .iter()
            .map(|(port, address)| (*port, *address))
    }

    /// Stops listening, and waits until all connections have ended, no longer than `deadline`.
    /// Returns whether all did.
    pub fn drain(self, deadline: Duration) -> bool {
        self.workers.drain(deadline)
    }

    fn open(&mut self, declared: u16) -> io::Result<()> {
        let id = declared.into();
        if self.addresses.contains_key(&id) {
            return Ok(());
        }
        let port = self
            .settings
            .ports
            .get(&declared)
            .copied()
            .unwrap_or(declared);
        let address = self.workers.listen(id, (self.settings.bind, port).into())?;
        self.addresses.insert(id, address);
        Ok(())
    }

    fn close_all_but(&mut self, ids: &BTreeSet<ListenerId>) {
        let workers = &self.workers;
        self.addresses.retain(|id, _| {
            let stays = ids.contains(id);
            if !stays {
                workers.unlisten(*id);
            }
            stays
        });
    }
}

/// Refuses what would let requests pass that a policy may deny.
fn refuse_policies(model: &Model) -> Result<(), PublishError> {
    let tokens = model.policies.request_authentication.iter();
    let tokens = tokens.map(|policy| policy.origin());
    let callers = model.policies.authorization.iter();
    let mut origins = tokens.chain(callers.map(|policy| policy.origin()));
    match origins.next() {
        Some(origin) => Err(PublishError::UnenforcedPolicy(origin)),
        None => Ok(()),
    }
}

/// Why a configuration is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// A policy applies that the gateway does not enforce.
    #[error("{0} applies to this gateway, which does not enforce it")]
    UnenforcedPolicy(Origin),
    /// A socket cannot be bound.
    #[error("a listener cannot be bound")]
    Bind(#[from] io::Error),
    /// Routes cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileErrors),
}

/// The listeners that carry plaintext HTTP, with the name of their routes; and what the others are.
fn listeners(model: &Model) -> (Vec<(&Listener, &str)>, Vec<String>) {
    let (mut served, mut warnings) = (Vec::new(), Vec::new());
    let inbound = |listener: &&Listener| listener.direction == Direction::Inbound;
    for listener in model.listeners.iter().filter(inbound) {
        let plain = listener
            .filter_chains
            .iter()
            .find_map(|chain| match &chain.filter {
                NetworkFilter::Http(http) if chain.tls.is_none() => Some(&http.route_configuration),
                NetworkFilter::Http(_) | NetworkFilter::SniCluster | NetworkFilter::Tcp(_) => None,
            });
        match plain {
            Some(routes) => served.push((listener, routes.as_str())),
            None => warnings.push(format!(
                "listener `{}` needs TLS or carries no HTTP, and is not served [{}]",
                listener.name, listener.origin
            )),
        }
    }
    (served, warnings)
}

/// The routes of each listener, by its id: the port that it declares.
#[derive(Clone, Debug, Default)]
struct Tables(Arc<Mutex<BTreeMap<ListenerId, Publisher<RouteTable>>>>);

impl Tables {
    /// The routes of a listener. They are published before the listener is opened.
    fn watch(&self, id: ListenerId) -> Option<Watch<RouteTable>> {
        let tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tables.get(&id).map(Publisher::watch)
    }

    fn publish(&self, id: ListenerId, table: RouteTable) {
        let mut tables = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match tables.get(&id) {
            Some(publisher) => publisher.publish(table),
            None => drop(tables.insert(id, watch::channel(table).0)),
        }
    }
}

fn serve(threads: usize, tables: &Tables, clusters: &Watch<Clusters>) -> io::Result<Workers> {
    let (tables, clusters) = (tables.clone(), clusters.clone());
    Workers::start(threads, Limits::default(), move || {
        let (tables, clusters) = (tables.clone(), clusters.clone());
        let requests = Pool::new(PoolSettings::default());
        let copies = Pool::new(PoolSettings::default());
        let policy = Rc::new(HeaderPolicy::default());
        let tasks = LocalTasks::default();
        move |connection: &Connection| {
            let (mirrored, copies) = (clusters.clone(), copies.clone());
            let client = service_fn(move |copy: Request<MirrorBody>| {
                upstream::forward(&mirrored, &copies, copy)
            });
            let (clusters, requests) = (clusters.clone(), requests.clone());
            let address = connection.peer.ip();
            let table = tables.watch(connection.listener);
            ServiceBuilder::new()
                .layer(HeaderPolicyLayer::new(
                    Rc::clone(&policy),
                    address,
                    Scheme::Http,
                ))
                .layer(RoutingLayer::new(
                    table.unwrap_or_else(|| no_routes().into()),
                ))
                .layer(FaultLayer::new())
                .layer(FiltersLayer::new())
                .layer(TimeoutLayer::new())
                .layer(MirrorLayer::new(client).with_executor(tasks.clone()))
                .service(service_fn(move |request| {
                    upstream::forward(&clusters, &requests, request)
                }))
        }
    })
}

fn no_routes() -> RouteTable {
    let empty = RouteTable::compile(&RouteConfiguration::default());
    empty.expect("a table of no hosts has nothing to refuse")
}
