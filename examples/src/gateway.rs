//! A gateway: the HTTP listeners, routes and clusters of a configuration, served.
//!
//! Every request goes through the public layers, in Envoy's order: header policy, access log and
//! metrics, tokens, authorization, routing, rate limits, faults, filters, timeout, mirrors, retries,
//! and then to an endpoint of its cluster. [`Gateway::publish`] replaces the configuration under the
//! requests, whole: each is judged, routed and sent by one generation, the one that was current when
//! it arrived. Rate limits begin with full buckets in each generation.
//!
//! A request is logged and counted if a Telemetry, the mesh or the [`Settings`] ask for it. One that
//! the header policy refuses is neither.
//!
//! What is known of endpoints outlives generations: which are ejected, whose turn it is, and the
//! addresses of host names, which are resolved in the background, again and again.
//!
//! TLS ends here by the servers of Gateways: `SIMPLE`, `MUTUAL` and `OPTIONAL_MUTUAL`, with the Secrets
//! of the configuration or with files. Servers with `ISTIO_MUTUAL`, and those that pass bytes on, are
//! not served, and clusters that demand TLS are answered with `503`, never reached in plaintext;
//! [`Gateway::publish`] returns a warning for each.
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

mod balancing;
mod capabilities;
mod current;
mod generation;
mod keys;
mod local_answers;
mod mesh;
mod mesh_wide;
mod names;
mod policies;
mod secrets;
mod stack;
mod telemetry;
mod upstream;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mesh_core::analyze::fidelity::FieldFidelity;
use mesh_core::identity::ParseSpiffeIdError;
use mesh_core::model::Model;
use mesh_core::watch::{self, Publisher, Watch};
use mesh_policy::telemetry::access_log::ChannelSink;
use mesh_policy::telemetry::metrics::IstioMetrics;
use mesh_routing::error::CompileErrors;

use self::balancing::Balancing;
pub use self::capabilities::capabilities;
use self::current::Current;
use self::generation::Generation;
use self::keys::Keys;
pub use self::mesh::{Mesh, MeshClient};
pub use self::mesh_wide::MeshWide;
use self::stack::Stack;
use crate::serve::{Connection, Limits, ListenerId, Workers};

/// How a gateway listens, and what it records.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address that listeners bind. Default: all of IPv4.
    pub bind: IpAddr,
    /// The port to bind in place of one that a Gateway declares; 0 lets the system choose.
    pub ports: BTreeMap<u16, u16>,
    /// Threads, each with its own listening sockets and connection pools. Default 1.
    pub threads: usize,
    /// Whether requests are counted, though neither the mesh nor a Telemetry asks for it. Default:
    /// no.
    pub metrics: bool,
    /// Where lines of Istio's built-in access log go. Default: nowhere.
    pub access_log: Option<ChannelSink>,
    /// Whether all requests are logged where neither the mesh nor a Telemetry says. Default: no.
    pub log_all: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: Ipv4Addr::UNSPECIFIED.into(),
            ports: BTreeMap::new(),
            threads: 1,
            metrics: false,
            access_log: None,
            log_all: false,
        }
    }
}

/// Serves a configuration. It stops when it is dropped.
#[derive(Debug)]
pub struct Gateway {
    settings: Settings,
    workers: Workers,
    generation: Publisher<Generation>,
    balancing: Balancing,
    keys: Keys,
    addresses: BTreeMap<ListenerId, SocketAddr>,
}

impl Gateway {
    /// Starts the threads of a gateway that listens on nothing yet.
    ///
    /// # Errors
    ///
    /// The system refuses a thread or a runtime.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let (publisher, generation) = watch::channel(Generation::empty());
        let workers = serve(settings.threads, &generation)?;
        Ok(Self {
            settings,
            workers,
            generation: publisher,
            balancing: Balancing::new(),
            keys: Keys::default(),
            addresses: BTreeMap::new(),
        })
    }

    /// Replaces what is served by `model`, of a mesh where nothing else is set; see
    /// [`publish_in`](Self::publish_in).
    ///
    /// # Errors
    ///
    /// Those of [`publish_in`](Self::publish_in).
    pub fn publish(&mut self, model: &Model) -> Result<Vec<String>, PublishError> {
        self.publish_in(model, &MeshWide::default())
    }

    /// Replaces what is served by `model`, of the mesh `wide`, and returns what of it is not served.
    ///
    /// All routes and policies are compiled, and names that are new are resolved, before anything is
    /// replaced. A name that has no address after some seconds is served without.
    ///
    /// # Errors
    ///
    /// Policies that nothing here enforces, or routes or trust domains that cannot be compiled, in
    /// which cases nothing has changed; or a socket that cannot be bound, in which case the other
    /// listeners serve `model`.
    pub fn publish_in(
        &mut self,
        model: &Model,
        wide: &MeshWide,
    ) -> Result<Vec<String>, PublishError> {
        if let Some(field) = capabilities::refusal(model) {
            return Err(PublishError::Unenforced(Box::new(field)));
        }
        let last = self.generation.watch().load_full();
        let compiled = Generation::compile(
            (model, wide),
            &self.settings,
            (&mut self.balancing, &self.keys),
            &last,
        );
        let (generation, warnings) = compiled?;
        let ids: BTreeSet<ListenerId> = generation.listeners().collect();
        let authenticator = generation.policies().authenticator.load_full();
        self.keys.keep(&authenticator).map_err(PublishError::Keys)?;
        self.generation.publish(generation);
        self.close_all_but(&ids);
        for id in ids {
            self.open(id)?;
        }
        Ok(warnings)
    }

    /// Istio's metrics of what has been served, if they are kept. They stay the same until something
    /// about them changes.
    pub fn metrics(&self) -> Option<Arc<IstioMetrics>> {
        let generation = self.generation.watch().load_full();
        generation.telemetry().metrics().cloned()
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

    fn open(&mut self, id: ListenerId) -> io::Result<()> {
        if self.addresses.contains_key(&id) {
            return Ok(());
        }
        let declared = u16::try_from(id).map_err(io::Error::other)?;
        let port = self.settings.ports.get(&declared);
        let address = (self.settings.bind, port.copied().unwrap_or(declared));
        let address = self.workers.listen(id, address.into())?;
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

/// Why a configuration is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// A policy applies that the gateway does not enforce.
    #[error("{0}; without it the gateway would let pass what may be forbidden")]
    Unenforced(Box<FieldFidelity>),
    /// The system refuses the thread that fetches keys of issuers of tokens.
    #[error("keys cannot be fetched")]
    Keys(#[source] io::Error),
    /// The system refuses the thread that resolves names.
    #[error("names cannot be resolved")]
    Names(#[source] io::Error),
    /// A socket cannot be bound.
    #[error("a listener cannot be bound")]
    Bind(#[from] io::Error),
    /// Routes cannot be compiled.
    #[error(transparent)]
    Compile(#[from] CompileErrors),
    /// A trust domain of the mesh is none of SPIFFE, so that nobody's identity could be told.
    #[error("the mesh has no valid trust domain")]
    TrustDomain(#[from] ParseSpiffeIdError),
}

/// Threads that serve each request by the generation that is current when it arrives.
fn serve(threads: usize, generation: &Watch<Generation>) -> io::Result<Workers> {
    let generation = generation.clone();
    let chains = generation.clone();
    let tls = move |listener| chains.load().tls(listener);
    Workers::start_with_tls(threads, Limits::default(), tls, move || {
        let (generation, stack) = (generation.clone(), Stack::new());
        move |connection: &Connection| {
            let (stack, connection) = (stack.clone(), connection.clone());
            Current::new(generation.clone(), move |generation: &Arc<Generation>| {
                stack.serve(generation, &connection)
            })
        }
    })
}
