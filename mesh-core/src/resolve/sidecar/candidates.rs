//! What competes for the services of a sidecar: VirtualServices, and routes of the Gateway API.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use crate::config::MeshConfig;
use crate::config::resources::cmp_by_age;
use crate::config::visibility::Visibility;
use crate::host::HostPattern;
use crate::model::Notice;
use crate::model::route::Route;
use crate::origin::Origin;
use crate::resolve::scope::EgressListener;
use crate::resolve::sidecar::Sidecar;
use crate::resolve::sidecar::mesh_route::MeshRoute;
use crate::resolve::sidecar::registry::{Registry, Seen};
use crate::resolve::virtual_service::{RouteContext, hosts, http};
use crate::resource::istio::VirtualService;
use crate::resource::{Metadata, Resource};

/// What may claim services.
pub(super) struct Candidate<'s> {
    rank: Rank,
    metadata: &'s Metadata,
    rules: Rules<'s>,
    /// The hosts that it is for.
    pub(super) hosts: Vec<HostPattern>,
}

enum Rules<'s> {
    Services(&'s MeshRoute<'s>),
    VirtualService(&'s Resource<VirtualService>),
}

/// The order between candidates. Of the same rank the older comes first.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Rank {
    /// Routes of the workload's own namespace that not everybody sees.
    Private,
    /// What else not everybody sees: VirtualServices, which are in order, then routes.
    Exported,
    /// Routes of the workload's own namespace.
    Consumer,
    /// The others.
    Public,
}

/// The candidates of a listener, in the order in which they compete.
pub(super) fn candidates<'s>(
    sidecar: &'s Sidecar<'s>,
    listener: &'s EgressListener<'s>,
) -> Vec<Candidate<'s>> {
    let config = sidecar.context.config;
    let own = &sidecar.context.workload.namespace;
    let virtual_services = listener.virtual_services.iter().map(|resource| Candidate {
        rank: rank(config, resource),
        metadata: &resource.metadata,
        rules: Rules::VirtualService(resource),
        hosts: hosts(config, resource),
    });
    let imported = sidecar.mesh_routes.requests.iter().filter(|route| {
        let namespace = &route.metadata.namespace;
        let mut hosts = route.hosts.iter();
        hosts.any(|host| listener.imports_route(namespace, host))
    });
    let routes = imported.map(|route| Candidate {
        rank: route_rank(config, &route.metadata.namespace, own),
        metadata: route.metadata,
        rules: Rules::Services(route),
        hosts: route
            .hosts
            .iter()
            .map(|host| HostPattern::new(host))
            .collect(),
    });
    let mut candidates: Vec<_> = virtual_services.chain(routes).collect();
    candidates.sort_by(|a, b| cmp((a.rank, a.metadata), (b.rank, b.metadata)));
    candidates
}

/// The order between two that compete.
pub(super) fn cmp(a: (Rank, &Metadata), b: (Rank, &Metadata)) -> Ordering {
    let by_age = match a.0 {
        Rank::Exported => Ordering::Equal,
        Rank::Private | Rank::Consumer | Rank::Public => cmp_by_age(a.1, b.1),
    };
    a.0.cmp(&b.0).then(by_age)
}

/// The rank of routes of `namespace` for a workload of `own`, who sees them.
pub(super) fn route_rank(config: &MeshConfig, namespace: &str, own: &str) -> Rank {
    let default = config.options().default_virtual_service_export_to();
    let is_public = Visibility::parse(default, namespace) == Visibility::Public;
    match (namespace == own, is_public) {
        (true, true) => Rank::Consumer,
        (true, false) => Rank::Private,
        (false, true) => Rank::Public,
        (false, false) => Rank::Exported,
    }
}

/// The rank of a VirtualService, which the workload sees.
pub(super) fn rank(config: &MeshConfig, resource: &Resource<VirtualService>) -> Rank {
    let tokens = match resource.spec.export_to.as_slice() {
        [] => config.options().default_virtual_service_export_to(),
        written => written,
    };
    match Visibility::parse(tokens, &resource.metadata.namespace) {
        Visibility::Public => Rank::Public,
        Visibility::Namespaces(_) | Visibility::Nobody => Rank::Exported,
    }
}

impl<'s> Candidate<'s> {
    /// What asks for the routes.
    pub(super) fn origin(&self) -> Origin {
        match self.rules {
            Rules::Services(route) => route.origin.clone(),
            Rules::VirtualService(resource) => resource.origin(),
        }
    }

    /// The routes that it has at the listener of `context`.
    pub(super) fn routes(
        &self,
        context: &RouteContext<'s>,
        notices: &mut Vec<Notice>,
    ) -> Vec<Arc<Route>> {
        match self.rules {
            Rules::Services(route) => match route.port.is_none_or(|port| port == context.port) {
                true => route.routes.clone(),
                false => Vec::new(),
            },
            Rules::VirtualService(resource) => {
                let routes = http::http_routes(context, resource, notices);
                routes.into_iter().flatten().map(Arc::new).collect()
            }
        }
    }

    /// The hosts that are no services, and the services (`separateVSHostsAndServices`).
    pub(super) fn separate<'r>(
        &self,
        context: &RouteContext<'_>,
        registry: &'r Registry<'s>,
        is_owner: impl Fn(&HostPattern) -> bool,
    ) -> (Vec<HostPattern>, Vec<&'r Seen<'s>>) {
        if let Rules::Services(route) = self.rules {
            let named = self
                .hosts
                .iter()
                .filter_map(|host| registry.service(host.as_str()));
            let namespace = &*route.metadata.namespace;
            let own = namespace == context.workload.namespace;
            let admitted = named.filter(|seen| own || seen.service.namespace == namespace);
            return (Vec::new(), admitted.collect());
        }
        let mut others = Vec::new();
        let mut services = Vec::new();
        for host in &self.hosts {
            if !host.is_wildcard() {
                match registry.service(host.as_str()) {
                    Some(seen) => services.push(seen),
                    None => others.push(host.clone()),
                }
                continue;
            }
            let covered = registry.seen.iter().filter(|seen| seen.host.matches(host));
            let covered: Vec<_> = covered.collect();
            if covered.is_empty() {
                others.push(host.clone());
            }
            services.extend(covered.into_iter().filter(|seen| is_owner(&seen.host)));
        }
        (others, services)
    }
}

/// Which candidate is most specific for a service
/// (`computeWildcardHostVirtualServiceIndex`).
pub(super) struct WildcardOwners {
    exact: HashMap<HostPattern, usize>,
    // The most specific first; of the same host the first.
    wildcards: Vec<(HostPattern, usize)>,
}

impl WildcardOwners {
    pub(super) fn new(candidates: &[Candidate<'_>]) -> Self {
        let mut owners = Self {
            exact: HashMap::new(),
            wildcards: Vec::new(),
        };
        for (index, candidate) in candidates.iter().enumerate() {
            for host in &candidate.hosts {
                if host.is_wildcard() {
                    owners.wildcards.push((host.clone(), index));
                } else {
                    owners.exact.entry(host.clone()).or_insert(index);
                }
            }
        }
        owners
            .wildcards
            .sort_by(|(a, _), (b, _)| a.cmp_specificity(b));
        owners
    }

    /// The index of the candidate that a service of that name belongs to.
    pub(super) fn of(&self, hostname: &HostPattern) -> Option<usize> {
        if let Some(&owner) = self.exact.get(hostname) {
            return Some(owner);
        }
        let mut wildcards = self.wildcards.iter();
        let (_, owner) = wildcards.find(|(host, _)| hostname.is_subset_of(host))?;
        Some(*owner)
    }
}
