//! One view over Kubernetes Services and ServiceEntries.
//!
//! A [`Service`] is a host name with ports and endpoints, whoever declared it. Of several with the
//! same name, a Kubernetes Service comes before a ServiceEntry, then the older before the younger;
//! a workload prefers the one of its own namespace. ServiceEntries of one host and namespace have the
//! endpoints of all of them.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "yaml")] {
//! use mesh_core::config::MeshConfig;
//! use mesh_core::parse::{Limits, parse};
//!
//! let text = "
//! apiVersion: networking.istio.io/v1
//! kind: ServiceEntry
//! metadata: { name: books, namespace: shop }
//! spec:
//!   hosts: [books.example]
//!   resolution: STATIC
//!   ports: [{ number: 80, name: http, protocol: HTTP }]
//!   endpoints: [{ address: 192.0.2.7 }]
//! ";
//! let parsed = parse("books.yaml", text, &Limits::default());
//! let config = MeshConfig::builder().extend(parsed.objects).build(1).unwrap();
//!
//! let service = config.services().lookup("books.example", "shop").unwrap();
//! assert_eq!(service.ports[0].number, 80);
//! assert_eq!(service.endpoints(&service.ports[0]).len(), 1);
//! # }
//! ```

mod aliases;
mod endpoints;
mod instance;
mod kubernetes;
mod peer_modes;
mod pool;
mod service_entry;
mod sources;
mod targets;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::visibility::Visibility;
use crate::labels::Labels;
use crate::model::cluster::{Discovery, Endpoint};
use crate::origin::Origin;
use crate::resource::timestamp::Timestamp;
use crate::service::Protocol;

pub use self::aliases::Alias;
pub(crate) use self::instance::pod_locality;
pub(super) use self::sources::Sources;
pub use self::targets::ServiceTarget;

/// A host name with ports and endpoints.
#[derive(Clone, Debug)]
pub struct Service {
    /// The host name, lower case; may be a wildcard for a ServiceEntry.
    pub hostname: String,
    /// Name of the object that declared it.
    pub name: String,
    /// Namespace of the object that declared it.
    pub namespace: String,
    /// Virtual addresses; empty for a headless service and for an entry without addresses.
    pub addresses: Vec<IpNet>,
    /// Addresses that a controller gave to an entry without addresses. Only workloads whose names
    /// are resolved by a DNS proxy know them
    /// ([`Workload::addresses_of`](crate::workload::Workload::addresses_of)).
    pub allocated_addresses: Vec<IpAddr>,
    /// Ports, as declared.
    pub ports: Vec<ServicePort>,
    /// How its endpoints are found.
    pub discovery: Discovery,
    /// Whether clients are given the endpoints' own addresses (`clusterIP: None`).
    pub headless: bool,
    /// Host that the service is another name of (`type: ExternalName`), which is no alias itself.
    /// An alias has no cluster of its own.
    pub alias_of: Option<String>,
    /// Other names of this service.
    pub aliases: Vec<Alias>,
    /// Whether it is outside the mesh.
    pub external: bool,
    /// Who sees it.
    pub visibility: Visibility,
    /// Which endpoints are preferred, unless a DestinationRule says.
    pub traffic_distribution: TrafficDistribution,
    /// Whether callers are sent to endpoints of their own node only
    /// (`internalTrafficPolicy: Local`).
    pub node_local: bool,
    /// Labels of the workloads behind it. `None` selects none.
    pub selector: Option<Labels>,
    /// Labels of the object itself.
    pub labels: Labels,
    /// Names that endpoints prove, where the DestinationRule gives none.
    pub subject_alt_names: Vec<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// What declared it.
    pub provider: Provider,
    /// Where it was declared.
    pub origin: Origin,
    endpoints: Vec<PortEndpoints>,
}

impl Service {
    /// The port of that number. Of one number there may be two, for TCP and for UDP: that for TCP is
    /// meant (`GetByPort`).
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        let named = || self.ports.iter().filter(|port| port.number == number);
        let carried = named().find(|port| port.protocol != Protocol::Udp);
        carried.or_else(|| named().next())
    }

    /// The endpoints of `port`, in the order in which they were declared, also those that are not
    /// healthy.
    pub fn endpoints(&self, port: &ServicePort) -> &[Endpoint] {
        let mut sets = self.endpoints.iter();
        let found = sets.find(|set| set.port == port.number && *set.name == *port.name);
        found.map_or(&[], |set| &set.endpoints)
    }

    /// The name that orders services of the same age: hosts for entries, which declare several.
    fn sort_name(&self) -> &str {
        match self.provider {
            Provider::Kubernetes => &self.name,
            Provider::External => &self.hostname,
        }
    }
}

/// The endpoints of one service port.
#[derive(Clone, Debug)]
struct PortEndpoints {
    port: u16,
    // Tells it from another port of the same number.
    name: Box<str>,
    endpoints: Vec<Endpoint>,
}

/// A port of a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServicePort {
    /// Its name.
    pub name: String,
    /// The number that clients use.
    pub number: u16,
    /// The port of the endpoints.
    pub target: TargetPort,
    /// What is spoken.
    pub protocol: Protocol,
}

/// The port that the endpoints of a service listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TargetPort {
    /// Port of the container that has this name.
    Name(String),
    /// This port.
    Number(u16),
}

impl TargetPort {
    /// The number, if it is one.
    pub fn number(&self) -> Option<u16> {
        match self {
            Self::Name(_) => None,
            Self::Number(number) => Some(*number),
        }
    }
}

/// Which endpoints a service prefers (Kubernetes' `trafficDistribution`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TrafficDistribution {
    /// None before others.
    #[default]
    Any,
    /// Those of the same node, then of the same subzone, zone, region and network.
    PreferSameNode,
    /// Those of the same zone, then of the same region and network.
    PreferSameZone,
}

/// What declared a service.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Provider {
    /// A Kubernetes Service.
    Kubernetes,
    /// A ServiceEntry.
    External,
}

/// All services of a configuration, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Services {
    all: Vec<Arc<Service>>,
    // The stronger first.
    by_hostname: HashMap<String, Vec<usize>>,
}

impl Services {
    pub(super) fn new(mut services: Vec<Service>) -> Self {
        services.sort_by(|a, b| {
            (&a.created, a.sort_name(), &a.namespace).cmp(&(
                &b.created,
                b.sort_name(),
                &b.namespace,
            ))
        });
        aliases::resolve(&mut services);
        decorate(&mut services);
        pool::pool(&mut services);
        let mut by_hostname: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, service) in services.iter().enumerate() {
            let same = by_hostname.entry(service.hostname.clone());
            same.or_default().push(index);
        }
        for same in by_hostname.values_mut() {
            same.sort_by_key(|&index| services[index].provider);
        }
        Self {
            all: services.into_iter().map(Arc::new).collect(),
            by_hostname,
        }
    }

    /// Every service, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.all.iter()
    }

    /// Every service declared under `hostname`, which is in lower case: Kubernetes Services before
    /// ServiceEntries, then the older first.
    pub fn declared(&self, hostname: &str) -> impl Iterator<Item = &Arc<Service>> {
        let indices = self.by_hostname.get(hostname);
        let indices = indices.map_or(&[][..], Vec::as_slice);
        indices.iter().map(|&index| &self.all[index])
    }

    /// The service that `hostname`, in lower case, means in `namespace`: of those that it sees, the
    /// strongest declared in it, else the strongest.
    pub fn lookup(&self, hostname: &str, namespace: &str) -> Option<&Arc<Service>> {
        let visible = || {
            let declared = self.declared(hostname);
            declared.filter(|service| service.visibility.admits(namespace))
        };
        let own = visible().find(|service| service.namespace == namespace);
        own.or_else(|| visible().next())
    }
}

/// Gives the names that an entry proves to the Kubernetes Service of the same host and namespace,
/// which is all that such an entry is good for.
fn decorate(services: &mut [Service]) {
    let mut names: HashMap<(String, String), Vec<String>> = HashMap::new();
    for service in services.iter() {
        if service.provider == Provider::External && !service.subject_alt_names.is_empty() {
            let key = (service.hostname.clone(), service.namespace.clone());
            let names = names.entry(key).or_default();
            names.extend(service.subject_alt_names.iter().cloned());
        }
    }
    for service in services {
        if service.provider == Provider::Kubernetes && !names.is_empty() {
            let key = (service.hostname.clone(), service.namespace.clone());
            let names = names.get(&key).into_iter().flatten().cloned();
            service.subject_alt_names.extend(names);
        }
    }
}
