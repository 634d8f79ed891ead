//! A gateway: the listeners, routes and clusters of a configuration, served.
//!
//! Every request goes through the public layers, in Envoy's order: header policy, traces, access log
//! and metrics, CUSTOM authorization, tokens, authorization, routing, faults, rate limits, filters,
//! timeout, mirrors, retries, and then to an endpoint of its cluster. [`Gateway::publish`] replaces
//! the configuration under the requests, whole: each is judged and routed by one generation, the one
//! that was current when it arrived. It is sent by the clusters of that generation, but a cluster that
//! both have is one: its endpoints and its DestinationRule change at once, for requests that are under
//! way too. Rate limits begin with full buckets in each generation.
//!
//! A request is logged and counted if a Telemetry, the mesh or the [`Settings`] ask for it. One that
//! the header policy refuses is neither.
//!
//! What is known of endpoints outlives generations: which are ejected, whose turn it is, and the
//! addresses of host names, which are resolved in the background, again and again; those that requests
//! name (`DYNAMIC_DNS`), when they do. No change waits for a resolver that is slow. Connections stay within the `connectionPool` of their cluster.
//!
//! TLS ends here by the servers of Gateways, with the Secrets of the configuration, with files, or with
//! the [identity](Settings::identity) of the gateway in the mesh; or it is passed on, by its server
//! name. Connections that carry no HTTP go whole to an endpoint of the cluster that TLS and TCP routes
//! name. Clusters that want TLS get it. What cannot be encrypted as it should be is answered with
//! `503`, or closed, and never sent in plaintext; [`Gateway::publish`] returns a warning for each.
//! Handshakes that fail are [counted](Gateway::handshakes) by their cause, and so are those whose server
//! did not ask who we are.
//!
//! A change that asks for more of clients reaches those that are connected. Connections whose TLS ended by a
//! filter chain that is gone, or says something else of it, end after the requests that they have, as in
//! Envoy. Requests of those that came as plaintext, where that is taken no more, are answered with `421`;
//! what carries no HTTP ends.
//!
//! Connections that are redirected on their way are served as a sidecar serves them, if the settings
//! say that they are [captured](Capture): by the listener of the model for what they were made to, in
//! the generation that is current when they come. One that nothing has redirected is closed.
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

mod access_logs;
mod admission;
mod authorizers;
mod balancing;
mod by_direction;
mod calls;
mod capabilities;
mod capture;
mod current;
mod destinations;
mod dynamic;
mod early_route;
mod entrances;
mod generation;
mod handshakes;
mod keys;
mod limits;
mod listeners;
mod local_answers;
mod mesh;
mod mesh_wide;
mod mirrors;
mod names;
mod optional;
mod policies;
mod secrets;
mod served;
mod settings;
mod sockets;
mod stack;
mod statistics;
mod tcp;
mod telemetry;
mod tls;
mod tracing;
mod unrouted;
mod upstream;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::analyze::fidelity::FieldFidelity;
use mesh_core::identity::ParseSpiffeIdError;
use mesh_core::model::{Model, Notice};
use mesh_core::watch::{self, Publisher, Watch};
use mesh_policy::authz::Records;
use mesh_policy::telemetry::metrics::IstioMetrics;
use mesh_routing::error::CompileErrors;

use self::admission::Admission;
use self::balancing::Balancing;
use self::calls::Calls;
pub use self::capabilities::capabilities;
pub use self::capture::{Capture, Destination, OriginalDestination};
use self::current::Current;
pub(crate) use self::destinations::virtual_inbound;
use self::generation::{Compiled, Generation};
pub use self::handshakes::{HandshakeObserver, HandshakeReport, Handshakes};
use self::keys::Keys;
pub use self::keys::{FailedKeys, KeysObserver};
pub use self::mesh::{Mesh, MeshClient};
pub use self::mesh_wide::MeshWide;
use self::mirrors::Mirrors;
pub(crate) use self::served::{client_cert, header_policy};
pub use self::settings::Settings;
use self::sockets::Sockets;
use self::stack::Stack;
pub use self::statistics::Statistics;
use self::tls::Tls;
use crate::serve::{Connection, Limits, Workers};

/// Serves a configuration. It stops when it is dropped.
#[derive(Debug)]
pub struct Gateway {
    settings: Settings,
    workers: Workers,
    generation: Publisher<Generation>,
    handshakes: Handshakes,
    tls: Tls,
    balancing: Balancing,
    keys: Keys,
    calls: Calls,
    records: Records,
    mirrors: Mirrors,
    sockets: Sockets,
    unbound: Vec<Notice>,
}

impl Gateway {
    /// Starts the threads of a gateway that listens on nothing yet.
    ///
    /// # Errors
    ///
    /// The system refuses a thread or a runtime.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let (publisher, generation) = watch::channel(Generation::empty());
        let handshakes = Handshakes::new(settings.handshakes.clone());
        let admission = Admission::new(generation.clone(), handshakes.clone(), &settings.captures);
        let mirrors = Mirrors::default();
        let workers = serve(settings.threads, &generation, (admission, &mirrors))?;
        Ok(Self {
            tls: Tls::new(settings.identity.clone(), handshakes.clone()),
            handshakes,
            keys: Keys::new(settings.keys.clone()),
            settings,
            workers,
            generation: publisher,
            balancing: Balancing::new(),
            calls: Calls::default(),
            records: Records::default(),
            mirrors,
            sockets: Sockets::default(),
            unbound: Vec::new(),
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
    /// All routes and policies are compiled before anything is replaced. For the addresses of names that
    /// are new, the first configuration waits for up to 5 s, as an Envoy listens only once its clusters
    /// are warm; a later one for a tenth of a second, so that a slow resolver holds up nothing else.
    /// What has no address by then follows as soon as there is one: until then a cluster serves with
    /// the endpoints that it had before, or, if it is new, answers with `503`.
    ///
    /// A listener whose socket cannot be bound is left out, as by an Envoy, and the others are served: the
    /// port of one Gateway holds up no other. It is tried again by the next configuration; see
    /// [`unbound`](Self::unbound).
    ///
    /// # Errors
    ///
    /// Policies that nothing here enforces, or routes or trust domains that cannot be compiled; sockets
    /// that cannot be bound, if the settings ask for them, or no other is there in the first
    /// configuration. What was served is served on.
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
            (
                &mut self.tls,
                &mut self.balancing,
                &self.keys,
                &mut self.calls,
            ),
            (&self.sockets, &self.workers),
            &last,
        );
        let Compiled {
            mut generation,
            prepared,
            unbound,
            warnings,
        } = compiled?;
        generation.record(&self.records);
        let authenticator = generation.policies().authenticator.load_full();
        self.keys.keep(&authenticator).map_err(PublishError::Keys)?;
        self.generation.publish(generation);
        self.tls.keep();
        self.sockets.replace(&self.workers, prepared);
        self.unbound = unbound;
        Ok(warnings)
    }

    /// Istio's metrics of what has been served, if they are kept, until something about them changes.
    pub fn metrics(&self) -> Option<Arc<IstioMetrics>> {
        let generation = self.generation.watch().load_full();
        generation.telemetry().metrics().cloned()
    }

    /// What has been counted so far, and will be.
    pub fn statistics(&self) -> Statistics {
        let counts = (&self.handshakes, &self.records, &self.mirrors);
        Statistics::new(self.generation.watch(), counts)
    }

    /// The files that certificates and authorities are read from. They are read when a configuration is
    /// published, and have to be published again once they have changed.
    pub fn files(&self) -> &[PathBuf] {
        self.tls.files()
    }

    /// How many handshakes have failed, with clients and with endpoints.
    pub fn handshakes(&self) -> &Handshakes {
        &self.handshakes
    }

    /// The address that serves the port `declared` by a Gateway, if it is served: of several the one of
    /// servers that bind none of their own, else any.
    pub fn address(&self, declared: u16) -> Option<SocketAddr> {
        let mut addresses = self.addresses();
        let any = addresses.find_map(|(port, address)| (port == declared).then_some(address));
        self.sockets.get(declared.into()).or(any)
    }

    /// The declared ports that are served, and their addresses, of which a port may have several.
    pub fn addresses(&self) -> impl Iterator<Item = (u16, SocketAddr)> {
        self.sockets.declared()
    }

    /// The listeners that are not served, because their sockets cannot be bound. They are among what
    /// [`publish`](Self::publish) returned.
    pub fn unbound(&self) -> &[Notice] {
        &self.unbound
    }

    /// The ports that the settings bind elsewhere, and that nothing declares that is served.
    pub fn undeclared(&self) -> impl Iterator<Item = u16> {
        let ports = self.settings.ports.keys().copied();
        ports.filter(|declared| self.address(*declared).is_none())
    }

    /// The address that serves the capture of the [`Settings`] with this index, if it is served.
    pub fn captured(&self, index: usize) -> Option<SocketAddr> {
        self.sockets.get(Capture::id(index))
    }

    /// Stops listening, and waits until all connections have ended, no longer than `deadline`.
    /// Returns whether all did.
    pub fn drain(self, deadline: Duration) -> bool {
        self.workers.drain(deadline)
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
    /// A socket cannot be bound that cannot be left out.
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
fn serve(
    threads: usize,
    generation: &Watch<Generation>,
    (admission, mirrors): (Admission, &Mirrors),
) -> io::Result<Workers> {
    let (generation, mirrors) = (generation.clone(), mirrors.clone());
    Workers::start_with(threads, Limits::default(), move || {
        let (generation, stack) = (generation.clone(), Stack::new(&mirrors));
        let service = move |connection: &Connection| {
            let (stack, connection) = (stack.clone(), connection.clone());
            Current::new(generation.clone(), move |generation: &Arc<Generation>| {
                stack.serve(generation, &connection)
            })
        };
        (admission.clone(), service)
    })
}
