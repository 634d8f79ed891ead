//! Which hosts there are, and their addresses.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use mesh_core::config::MeshConfig;
use mesh_core::config::services::{Provider, Service};
use mesh_core::model::cluster::{Discovery, Endpoint, EndpointAddress};
use mesh_core::resolve::imported_services;
use mesh_core::workload::Workload;

use crate::registry::EndpointUpdate;
use crate::registry::replicas::is_same;

/// The hosts that a workload sees, by all their names.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug, Default)]
pub struct NameTable {
    names: HashMap<Box<str>, Entry>,
}

#[derive(Clone, Debug)]
enum Entry {
    Addresses(Arc<[IpAddr]>),
    /// Another name, which has addresses.
    Alias(Box<str>),
}

/// What a table has for a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found<'a> {
    alias_of: Option<&'a str>,
    addresses: &'a [IpAddr],
}

impl<'a> Found<'a> {
    /// The name, with a dot at its end, that the name is another one of.
    pub fn alias_of(&self) -> Option<&'a str> {
        self.alias_of
    }

    /// The addresses of both families.
    pub fn addresses(&self) -> &'a [IpAddr] {
        self.addresses
    }
}

impl NameTable {
    /// Begins the table of a workload.
    pub fn builder(workload: &Workload) -> NameTableBuilder<'_> {
        NameTableBuilder {
            workload,
            search_domain: None,
            updates: HashMap::new(),
        }
    }

    /// What is known of `name`, which is in lower case and has a dot at its end: by the name itself,
    /// else by the longest wildcard above it.
    pub fn lookup(&self, name: &str) -> Option<Found<'_>> {
        match self.names.get(name) {
            Some(entry) => self.follow(entry),
            None => self.lookup_wildcard(name),
        }
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn lookup_wildcard(&self, name: &str) -> Option<Found<'_>> {
        let mut wildcard = String::with_capacity(name.len() + 2);
        let mut rest = name;
        while let Some((_, above)) = rest.split_once('.') {
            rest = above;
            wildcard.clear();
            wildcard.push_str("*.");
            wildcard.push_str(above);
            if let Some(entry) = self.names.get(&*wildcard) {
                return self.follow(entry);
            }
        }
        None
    }

    fn follow<'a>(&'a self, entry: &'a Entry) -> Option<Found<'a>> {
        match entry {
            Entry::Addresses(addresses) => Some(Found {
                alias_of: None,
                addresses,
            }),
            Entry::Alias(name) => match self.names.get(name)? {
                Entry::Addresses(addresses) => Some(Found {
                    alias_of: Some(name),
                    addresses,
                }),
                Entry::Alias(_) => None,
            },
        }
    }
}

/// Builds a [`NameTable`].
#[derive(Clone, Debug)]
pub struct NameTableBuilder<'a> {
    workload: &'a Workload,
    search_domain: Option<String>,
    // By host.
    updates: HashMap<String, Vec<Arc<Service>>>,
}

/// A host on its way into the table.
#[derive(Debug)]
struct Host {
    addresses: Vec<IpAddr>,
    /// All of these, once there are those of another entry.
    known: HashSet<IpAddr>,
    /// Name and namespace of a Kubernetes Service, which has shorter names as well.
    short: Option<(String, String)>,
}

impl Host {
    fn new(addresses: Vec<IpAddr>, short: Option<(String, String)>) -> Self {
        Self {
            addresses,
            known: HashSet::new(),
            short,
        }
    }

    /// Adds what is not known yet.
    fn extend(&mut self, addresses: Vec<IpAddr>) {
        if self.known.is_empty() {
            self.known.extend(&self.addresses);
        }
        let new = addresses.into_iter().filter(|ip| self.known.insert(*ip));
        self.addresses.extend(new);
    }
}

impl NameTableBuilder<'_> {
    /// The first domain that the application's resolver appends to names (`search` of
    /// `/etc/resolv.conf`). Default: none.
    #[must_use]
    pub fn with_search_domain(mut self, domain: impl Into<String>) -> Self {
        let domain: String = domain.into();
        let domain = domain.trim_matches('.').to_ascii_lowercase();
        self.search_domain = Some(domain).filter(|domain| !domain.is_empty());
        self
    }

    /// Services whose endpoints are other than in the configuration.
    #[must_use]
    pub fn with_updates<'u>(
        mut self,
        updates: impl IntoIterator<Item = &'u EndpointUpdate>,
    ) -> Self {
        for update in updates {
            let service = update.service();
            let same_host = self.updates.entry(service.hostname.clone()).or_default();
            same_host.retain(|known| !is_same(known, service));
            same_host.push(Arc::clone(service));
        }
        self
    }

    /// The table of what the workload imports of `config`: nothing listens at the addresses of others,
    /// so that their names are left to other servers (`BuildNameTable`).
    pub fn build(&self, config: &MeshConfig) -> NameTable {
        let mut hosts = BTreeMap::new();
        for service in imported_services(config, self.workload) {
            let service = self.whole(&service, config);
            self.add_service(service, &mut hosts);
            self.add_pods(service, config, &mut hosts);
        }
        let mut names = HashMap::new();
        for (host, entry) in &hosts {
            let addresses: Arc<[IpAddr]> = entry.addresses.as_slice().into();
            for name in self.names(host, entry.short.as_ref()) {
                names.insert(name, Entry::Addresses(Arc::clone(&addresses)));
            }
        }
        self.add_aliases(&mut names);
        NameTable { names }
    }

    /// The service as it is now, with all of its ports: a listener with a port imports that one alone.
    fn whole<'a>(&'a self, imported: &'a Service, config: &'a MeshConfig) -> &'a Service {
        let updated = self.updates.get(&imported.hostname).into_iter().flatten();
        let declared = config.services().declared(&imported.hostname);
        let mut all = updated.chain(declared).map(|service| &**service);
        all.find(|service| is_same(service, imported))
            .unwrap_or(imported)
    }

    /// Adds a service. One that Kubernetes has counts alone; entries with the same host are one.
    fn add_service(&self, service: &Service, hosts: &mut BTreeMap<String, Host>) {
        let addresses = self.addresses(service);
        if addresses.is_empty() {
            return;
        }
        let is_kubernetes = service.provider == Provider::Kubernetes;
        let short = is_kubernetes.then(|| (service.name.clone(), service.namespace.clone()));
        match hosts.get_mut(&service.hostname) {
            Some(known) if known.short.is_some() => {}
            Some(known) if !is_kubernetes => known.extend(addresses),
            _ => {
                let host = Host::new(addresses, short);
                hosts.insert(service.hostname.clone(), host);
            }
        }
    }

    /// The addresses that clients of a service are given.
    fn addresses(&self, service: &Service) -> Vec<IpAddr> {
        let is_headless =
            service.discovery == Discovery::OriginalDestination && service.addresses.is_empty();
        let found: Vec<IpAddr> = if is_headless {
            self.endpoint_addresses(service)
        } else if service.addresses.is_empty() {
            service.allocated_addresses.clone()
        } else {
            // A range of addresses is no answer.
            let whole = service.addresses.iter();
            let whole = whole.filter(|net| net.prefix_len() == net.max_prefix_len());
            whole.map(ipnet::IpNet::addr).collect()
        };
        // What an entry writes stands for a listener, which is told by it whatever its family.
        let is_written = service.provider == Provider::External && !service.addresses.is_empty();
        let is_answered = |ip: &IpAddr| is_written || self.is_spoken(*ip);
        found.into_iter().filter(is_answered).collect()
    }

    /// The addresses of the endpoints of all ports, which need not be the same, once each.
    fn endpoint_addresses(&self, service: &Service) -> Vec<IpAddr> {
        let ports = service.ports.iter();
        let endpoints = ports.flat_map(|port| service.endpoints(port));
        let ready = endpoints.filter(|endpoint| self.is_reachable(endpoint));
        let mut seen = HashSet::new();
        let addresses = ready.filter_map(|endpoint| match &endpoint.address {
            EndpointAddress::Ip(socket) => Some(socket.ip()),
            EndpointAddress::Dns { .. } | EndpointAddress::Unix(_) => None,
        });
        addresses.filter(|ip| seen.insert(*ip)).collect()
    }

    fn is_reachable(&self, endpoint: &Endpoint) -> bool {
        let own = &self.workload.network;
        let is_near = own.is_empty() || endpoint.network.is_empty() || endpoint.network == *own;
        endpoint.healthy && is_near
    }

    /// Whether the workload speaks the family of an address; if its own addresses are not known, it
    /// speaks both.
    fn is_spoken(&self, ip: IpAddr) -> bool {
        let own = &self.workload.addresses;
        own.is_empty() || own.iter().any(|own| own.is_ipv4() == ip.is_ipv4())
    }

    /// Adds the pods of a headless service that have names of their own, as StatefulSets give them.
    fn add_pods(&self, service: &Service, config: &MeshConfig, hosts: &mut BTreeMap<String, Host>) {
        if !service.headless || service.provider != Provider::Kubernetes {
            return;
        }
        let ready = self.addresses(service);
        let Some((_, domain)) = service.hostname.split_once('.') else {
            return;
        };
        for pod in &config.resources().pods {
            let spec = &pod.spec.spec;
            let is_own = pod.metadata.namespace == service.namespace
                && spec.subdomain.as_deref() == Some(&*service.name);
            if !is_own {
                continue;
            }
            let status = &pod.spec.status;
            let ips = status
                .pod_ip
                .iter()
                .chain(status.pod_ips.iter().map(|ip| &ip.ip));
            let mut addresses: Vec<IpAddr> = ips.filter_map(|ip| ip.parse().ok()).collect();
            addresses.dedup();
            addresses.retain(|ip| ready.contains(ip));
            if addresses.is_empty() {
                continue;
            }
            let hostname = spec.hostname.as_deref().unwrap_or(&pod.metadata.name);
            let short = format!("{hostname}.{}", service.name);
            let host = format!("{short}.{domain}").to_ascii_lowercase();
            let short = Some((short, service.namespace.clone()));
            hosts.insert(host, Host::new(addresses, short));
        }
    }

    /// All names of a host, with dots at their ends.
    fn names(&self, host: &str, short: Option<&(String, String)>) -> Vec<Box<str>> {
        let mut names = vec![format!("{}.", host.trim_end_matches('.')).into()];
        let domain = format!(".svc.{}", self.workload.domain.to_ascii_lowercase());
        // Short names mean services of the workload's own cluster.
        if let Some((name, namespace)) = short.filter(|_| host.ends_with(&domain)) {
            let (name, namespace) = (name.to_ascii_lowercase(), namespace.to_ascii_lowercase());
            names.push(format!("{name}.{namespace}.svc.").into());
            names.push(format!("{name}.{namespace}.").into());
            if namespace == self.workload.namespace {
                names.push(format!("{name}.").into());
            }
        }
        names
    }

    /// Adds every name with the search domain at its end, unless that is a name by itself.
    fn add_aliases(&self, names: &mut HashMap<Box<str>, Entry>) {
        let Some(domain) = &self.search_domain else {
            return;
        };
        let aliases: Vec<(Box<str>, Box<str>)> = names
            .keys()
            .map(|name| (format!("{name}{domain}.").into(), name.clone()))
            .filter(|(alias, _): &(Box<str>, _)| !names.contains_key(alias))
            .collect();
        let aliases = aliases.into_iter();
        names.extend(aliases.map(|(alias, name)| (alias, Entry::Alias(name))));
    }
}
