//! What all sources say together, and what of it changed.
//!
//! A [`Registry`] holds the resources of several [sources](crate::source) and builds the
//! [`MeshConfig`] of all of them, as istiod does: of objects with the same kind, namespace and name
//! that of the earlier source counts (`pilot/pkg/config/aggregate`), and which of several services
//! of one host counts is decided in `mesh-core`. It is a machine: updates and the time go in, and
//! [`poll`](Registry::poll) gives out what is to be done.
//!
//! - Changes are collected until there is none for 100 ms, at most for 10 s ([`Debounce`]).
//! - There is no configuration until every source is known: policies may be among what is missing.
//! - A source that fails keeps what it had, and its [status](Registry::status) says since when.
//! - Changes that only say where services are (slices, pods, WorkloadEntries) do not build a
//!   configuration: [`Change::Endpoints`] has the services in question with the endpoints they
//!   would have in a new one. They do where callers need one: the endpoints of a service have another
//!   identity among them, which callers demand; all of a port can be sent mesh mTLS now, or not all any
//!   more; those of a headless service that is not HTTP alone, which are called one by one, are others.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "file")] {
//! use std::time::Duration;
//!
//! use mesh_core::config::MeshConfig;
//! use mesh_core::parse::{Limits, parse};
//! use mesh_discovery::registry::{Change, Registry};
//! use mesh_discovery::source::Update;
//!
//! let text = "
//! apiVersion: v1
//! kind: Service
//! metadata: { name: cart, namespace: shop }
//! spec: { ports: [{ name: http, port: 80 }] }
//! ";
//! # let now = tokio::time::Instant::now().into_std();
//! let mut registry = Registry::new(MeshConfig::builder());
//! let files = registry.add_source("files");
//! let objects = parse("mesh.yaml", text, &Limits::default()).objects;
//! registry.handle_update(files, Update::All(objects), now);
//!
//! assert!(registry.poll(now).is_none(), "more may come");
//! let later = now + Duration::from_millis(100);
//! assert_eq!(registry.deadline(), Some(later));
//! let Some(Change::Config(config)) = registry.poll(later) else { panic!() };
//! assert!(config.services().lookup("cart.shop.svc.cluster.local", "shop").is_some());
//! # }
//! ```
//!
//! # Keeping up
//!
//! A client of the mesh has its [`Clusters`](crate::cluster::Clusters) follow what a [`Driver`] tells, and
//! sends its requests by a [`Balance`](crate::service::Balance) of one of them, or by a
//! [`Dispatch`](crate::service::Dispatch) of all.
//!
//! ```
//! # #[cfg(all(feature = "file", feature = "connect"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Instant;
//!
//! use mesh_core::config::MeshConfig;
//! use mesh_core::resolve::resolve;
//! use mesh_core::service::ClusterName;
//! use mesh_core::workload::Workload;
//! use mesh_discovery::cluster::Clusters;
//! use mesh_discovery::locality::Client;
//! use mesh_discovery::registry::{Change, ClusterEndpoints, Driver, Registry};
//! use mesh_discovery::source::file::Files;
//!
//! /// Follows one change.
//! fn follow(change: Change, clusters: &Clusters, endpoints: &mut ClusterEndpoints, now: Instant) {
//!     match change {
//!         Change::Config(config) => {
//!             let model = resolve(&config, &Workload::sidecar("shop"));
//!             clusters.set_client(&Client::from(&model), now);
//!             // What in them is not followed as it was written.
//!             clusters.publish(&model.clusters, now).iter().for_each(|notice| eprintln!("{notice}"));
//!             *endpoints = ClusterEndpoints::new(model.clusters);
//!         }
//!         Change::Endpoints(updates) => {
//!             for cluster in endpoints.apply(&updates) {
//!                 let changed = cluster.endpoints.iter().cloned();
//!                 clusters.replace_endpoints(&cluster.name, changed, now);
//!             }
//!         }
//!     }
//! }
//!
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! std::fs::write(directory.join("cart.yaml"), "
//! apiVersion: networking.istio.io/v1
//! kind: ServiceEntry
//! metadata: { name: cart, namespace: shop }
//! spec:
//!   hosts: [cart.shop.svc.cluster.local]
//!   ports: [{ number: 80, name: http, protocol: HTTP }]
//!   resolution: STATIC
//!   endpoints: [{ address: 127.0.0.1, ports: { http: 3001 } }, { address: 127.0.0.1, ports: { http: 3002 } }]
//! ")?;
//! let mut driver = Driver::new(Registry::new(MeshConfig::builder()));
//! driver.add_source("files", Files::new([directory]));
//! let (clusters, mut endpoints) = (Clusters::new(Client::default()), ClusterEndpoints::default());
//! // A program does this for as long as there are changes, beside its requests.
//! let change = driver.next().await.ok_or("the files ended")?;
//! let now = tokio::time::Instant::now().into_std();
//! follow(change, &clusters, &mut endpoints, now);
//!
//! let name = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
//! let upstream = clusters.get(&name).ok_or("no such cluster")?;
//! assert_eq!(upstream.balancer().endpoints().len(), 2);
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "file", feature = "connect")))]
//! # fn main() {}
//! ```
//!
//! A source can be live while no configuration can be built of it, as with settings of the mesh that are
//! wrong: the one before stays, and [`problems`](Registry::problems) say why.

mod affected;
mod build;
mod callers;
mod debounce;
#[cfg(feature = "source")]
mod driver;
mod endpoints;
mod excerpt;
pub(crate) mod replicas;
#[cfg(feature = "yaml")]
mod settings;
mod slices;
mod status;
mod store;
#[cfg(feature = "yaml")]
#[cfg(test)]
mod tests;
mod view;

use std::collections::HashSet;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use mesh_core::config::{MeshConfig, MeshConfigBuilder};
use mesh_core::diagnostic::{Diagnostic, Severity};
use mesh_core::resource::Object;

use crate::source::Update;

use self::debounce::Waiting;
use self::store::{Changed, Store};
use self::view::{Layer, View};

pub use self::debounce::Debounce;
#[cfg(feature = "source")]
pub use self::driver::Driver;
pub use self::endpoints::{ClusterEndpoints, EndpointUpdate};
pub use self::replicas::Replicas;
pub use self::status::{Freshness, SourceStatus};

/// Resources of several sources, merged.
///
/// See the [module docs](self) for an example.
#[derive(Debug)]
pub struct Registry {
    template: MeshConfigBuilder,
    default_namespace: String,
    own_addresses: Vec<IpAddr>,
    // Whether workloads may listen for each endpoint of a service.
    listens_by_endpoint: bool,
    debounce: Debounce,
    settings_reader: Option<SettingsReader>,
    vips: Option<crate::vip::Vips>,
    sources: Vec<Registered>,
    pending: Pending,
    version: u64,
    // The last configuration that was built.
    built: Option<Arc<MeshConfig>>,
    // Its mesh-wide settings, without resources.
    settings: MeshConfig,
    // The namespaces that `discoverySelectors` choose; `None` for all.
    namespaces: Option<HashSet<String>>,
    problems: Vec<Diagnostic>,
}

/// Takes mesh-wide settings out of the objects of a builder.
type SettingsReader = fn(MeshConfigBuilder) -> Result<MeshConfigBuilder, Vec<Diagnostic>>;

/// A source of a [`Registry`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SourceId(usize);

/// What is to be done after resources changed.
#[derive(Clone, Debug)]
pub enum Change {
    /// There is a new configuration, to be resolved.
    Config(Arc<MeshConfig>),
    /// These services may have other endpoints, and nothing else changed. For
    /// [`ClusterEndpoints::apply`] and, where zones count, [`Replicas::apply`].
    Endpoints(Vec<EndpointUpdate>),
}

#[derive(Debug)]
struct Registered {
    name: String,
    store: Store,
    freshness: Freshness,
    // Whether `discoverySelectors` apply.
    is_cluster: bool,
    failure: Vec<Diagnostic>,
    problems: Vec<Diagnostic>,
}

#[derive(Debug, Default)]
struct Pending {
    waiting: Waiting,
    // Whether more than endpoints changed since the last configuration.
    config: bool,
    // What changed of kinds that only say where services are.
    endpoints: Vec<Changed>,
}

impl Registry {
    /// A registry without sources, which fills its resources into `template`.
    ///
    /// `template` has the mesh-wide settings, and no resources: those that a program has by itself
    /// are a [`Fixed`](crate::source::fixed::Fixed) source.
    pub fn new(template: MeshConfigBuilder) -> Self {
        let default_namespace = "default".to_owned();
        Self {
            template: template.default_namespace(&default_namespace),
            default_namespace,
            own_addresses: Vec::new(),
            listens_by_endpoint: true,
            debounce: Debounce::default(),
            settings_reader: None,
            vips: None,
            sources: Vec::new(),
            pending: Pending::default(),
            version: 0,
            built: None,
            settings: MeshConfig::default(),
            namespaces: None,
            problems: Vec::new(),
        }
    }

    /// The namespace of objects that were written without one. Default `default`.
    #[must_use]
    pub fn with_default_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.default_namespace = namespace.into();
        self.template = self.template.default_namespace(&self.default_namespace);
        self
    }

    /// How long changes are collected. Default 100 ms without any, 10 s at most.
    #[must_use]
    pub fn with_debounce(mut self, debounce: Debounce) -> Self {
        self.debounce = debounce;
        self
    }

    /// The addresses of the workload that configurations are resolved for. When an endpoint at one
    /// of them changes, the workload may be behind other services, so there is a new configuration.
    #[must_use]
    pub fn with_own_addresses(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.own_addresses = addresses.into_iter().collect();
        self
    }

    /// Says that configurations are resolved for gateways alone, which call no endpoint of a headless service
    /// by a listener of its own, as sidecars do: so other endpoints of one are no new configuration.
    /// Default: for sidecars, too.
    #[must_use]
    pub fn for_gateways(mut self) -> Self {
        self.listens_by_endpoint = false;
        self
    }

    /// Gives virtual addresses to ServiceEntries that have none, as istiod does. Default: only
    /// those that a controller gave count.
    #[must_use]
    pub fn with_vips(mut self, vips: crate::vip::Vips) -> Self {
        self.vips = Some(vips);
        self
    }

    /// Adds a source, which comes after those that are there already.
    pub fn add_source(&mut self, name: impl Into<String>) -> SourceId {
        self.add(name.into(), false)
    }

    /// Adds a source that is a Kubernetes cluster: objects in namespaces that the mesh's
    /// `discoverySelectors` do not choose do not count.
    pub fn add_cluster(&mut self, name: impl Into<String>) -> SourceId {
        self.add(name.into(), true)
    }

    fn add(&mut self, name: String, is_cluster: bool) -> SourceId {
        self.sources.push(Registered {
            name,
            store: Store::default(),
            freshness: Freshness::Unknown,
            is_cluster,
            failure: Vec::new(),
            problems: Vec::new(),
        });
        SourceId(self.sources.len() - 1)
    }

    /// Takes an update of a source in.
    pub fn handle_update(&mut self, source: SourceId, update: Update, now: Instant) {
        let Some(registered) = self.sources.get_mut(source.0) else {
            return;
        };
        let was_unknown = registered.freshness == Freshness::Unknown;
        let normal = |objects: Vec<Object>| -> Vec<Object> {
            let objects = objects.into_iter();
            let place = |object| place(object, &self.default_namespace);
            objects.map(place).collect()
        };
        let changed = match update {
            Update::All(objects) => {
                registered.recover();
                registered.store.replace(None, normal(objects))
            }
            Update::AllOf { kind, objects } => {
                registered.store.replace(Some(kind), normal(objects))
            }
            Update::Changes { applied, removed } => {
                let store = &mut registered.store;
                let applied = normal(applied).into_iter();
                let mut changed: Vec<_> = applied.filter_map(|new| store.apply(new)).collect();
                changed.extend(removed.iter().filter_map(|name| store.remove(name)));
                changed
            }
            Update::Recovered => {
                if registered.freshness != Freshness::Unknown {
                    registered.recover();
                }
                Vec::new()
            }
            Update::Failed(why) => {
                registered.fail(why, now);
                Vec::new()
            }
            Update::Problems(problems) => {
                registered.problems = problems;
                Vec::new()
            }
        };
        let is_known = registered.freshness != Freshness::Unknown;
        self.pending.add(changed, now);
        if was_unknown && is_known {
            self.pending.config = true;
            self.pending.waiting.handle_change(now);
        }
    }

    /// When [`poll`](Self::poll) has something to give, if nothing else happens; `None` if there is
    /// nothing to wait for but updates.
    pub fn deadline(&self) -> Option<Instant> {
        let deadline = self.pending.waiting.deadline(&self.debounce);
        deadline.filter(|_| self.unknown().next().is_none())
    }

    /// What is to be done at `now`.
    ///
    /// If the configuration cannot be built, the one before stays, [`problems`](Self::problems) say why,
    /// and the next change tries again. Its services have the endpoints of now meanwhile.
    pub fn poll(&mut self, now: Instant) -> Option<Change> {
        if self.deadline().is_none() || !self.pending.waiting.take_due(&self.debounce, now) {
            return None;
        }
        let pending = mem::take(&mut self.pending);
        if !pending.config
            && let affected = self.affected(&pending.endpoints)
            && !affected.needs_config
            && let Some(updates) = self.endpoint_updates(&affected.services)
            && !self.do_callers_need_config(&updates)
        {
            return (!updates.is_empty()).then_some(Change::Endpoints(updates));
        }
        if let Some(config) = self.build() {
            return Some(Change::Config(config));
        }
        self.pending.config = true;
        let affected = self.affected(&pending.endpoints);
        let updates = self.endpoint_updates(&affected.services)?;
        (!updates.is_empty()).then_some(Change::Endpoints(updates))
    }

    /// The names of the sources that nothing is known of yet. As long as there is one, there is no
    /// configuration.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let sources = self.sources.iter();
        let unknown = sources.filter(|source| source.freshness == Freshness::Unknown);
        unknown.map(|source| &*source.name)
    }

    /// Why the last configuration could not be built; warnings about it, if it was.
    pub fn problems(&self) -> &[Diagnostic] {
        &self.problems
    }

    /// How each source is, in their order. An object that does not count because an earlier source
    /// has one of the same name is among the diagnostics.
    pub fn status(&self) -> Vec<SourceStatus> {
        let mut status: Vec<SourceStatus> = self.sources.iter().map(Registered::status).collect();
        for (index, object, winner) in self.view().shadowed() {
            let message = format!(
                "`{}` does not count beside `{}`",
                object.origin(),
                winner.origin()
            );
            let origin = object.origin();
            status[index].diagnostics.push(Diagnostic {
                position: origin.position(),
                ..Diagnostic::new(Severity::Warning, origin.file(), message)
            });
        }
        status
    }

    fn view(&self) -> View<'_> {
        let layers = self.sources.iter().map(|source| Layer {
            store: &source.store,
            namespaces: self.namespaces.as_ref().filter(|_| source.is_cluster),
        });
        View {
            layers: layers.collect(),
        }
    }
}

impl Registered {
    /// The source is live, whatever it was before.
    fn recover(&mut self) {
        self.freshness = Freshness::Live;
        self.failure.clear();
    }

    fn fail(&mut self, why: Vec<Diagnostic>, now: Instant) {
        if self.freshness == Freshness::Live {
            self.freshness = Freshness::Stale { since: now };
        }
        self.failure = why;
    }

    fn status(&self) -> SourceStatus {
        let diagnostics = self.failure.iter().chain(&self.problems);
        SourceStatus {
            name: self.name.clone(),
            freshness: self.freshness,
            objects: self.store.len(),
            diagnostics: diagnostics.cloned().collect(),
        }
    }
}

impl Pending {
    fn add(&mut self, changed: Vec<Changed>, now: Instant) {
        if changed.is_empty() {
            return;
        }
        self.waiting.handle_change(now);
        let is_endpoint = |object: &Object| affected::is_endpoint_kind(object.kind());
        let only_endpoints = |changed: &Changed| changed.both().all(is_endpoint);
        self.config |= !changed.iter().all(only_endpoints);
        self.endpoints
            .extend(changed.into_iter().filter(only_endpoints));
    }
}

/// Gives an object without namespace the default one.
fn place(mut object: Object, default: &str) -> Object {
    if object.kind().is_namespaced() && object.metadata().namespace.is_empty() {
        default.clone_into(&mut object.metadata_mut().namespace);
    }
    object
}
