//! Which services get the routes of which VirtualService (`BuildSidecarVirtualHostWrapper`).
//!
//! A VirtualService takes the services that it names, and with a wildcard those for which no other
//! is more specific. Services that none takes get a default route.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::config::services::Service;
use crate::host::HostPattern;
use crate::model::Notice;
use crate::model::route::{Forward, Route, RouteAction, RouteMatch, WeightedDestination};
use crate::origin::Origin;
use crate::resolve::scope::EgressListener;
use crate::resolve::sidecar::Sidecar;
use crate::resolve::sidecar::candidates::{Candidate, WildcardOwners, candidates};
use crate::resolve::sidecar::registry::Registry;
use crate::resolve::virtual_service::{RouteContext, hash, retry};
use crate::service::ClusterName;

/// Routes, and the hosts that get them at one port.
pub(super) struct Claim<'s> {
    /// The port of the services.
    pub(super) port: u16,
    /// Hosts that are no services.
    pub(super) hosts: Vec<HostPattern>,
    /// Services.
    pub(super) services: Vec<&'s Service>,
    /// Their routes.
    pub(super) routes: Vec<Arc<Route>>,
    /// What claims them.
    pub(super) origin: Origin,
}

/// The claims at `port` of `listener`, those of VirtualServices first, in the order in which they
/// compete. Port 0 is for all ports.
pub(super) fn claims<'s>(
    sidecar: &'s Sidecar<'s>,
    listener: &'s EgressListener<'s>,
    port: u16,
    notices: &mut Vec<Notice>,
) -> Vec<Claim<'s>> {
    let context = sidecar.routes_at(port);
    let registry = Registry::new(listener, port);
    let candidates = candidates(sidecar, listener);
    let owners = WildcardOwners::new(&candidates);
    let mut claims = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        // A host that is no service is only served at port 80.
        if port == 80 || registry.has_any(&candidate.hosts) {
            let is_owner = |host: &HostPattern| owners.of(host) == Some(index);
            let made = claims_of(candidate, &context, &registry, is_owner, notices);
            claims.extend(made);
        }
    }
    let claimed = claims.iter().flat_map(|claim| &claim.services);
    let claimed: HashSet<&str> = claimed.map(|service| &*service.hostname).collect();
    let rest = registry.seen.iter().filter(|seen| {
        let service = seen.service;
        service.alias_of.is_none() && !claimed.contains(&*service.hostname)
    });
    let defaults = rest.flat_map(|seen| {
        let ports = seen.http_ports();
        ports.map(|port| default_claim(&context, seen.service, port))
    });
    let defaults: Vec<_> = defaults.collect();
    claims.extend(defaults);
    claims
}

/// What a candidate claims: a claim for each port of its services. One without routes at the
/// listener claims nothing.
fn claims_of<'s>(
    candidate: &Candidate<'s>,
    context: &RouteContext<'s>,
    registry: &Registry<'s>,
    is_owner: impl Fn(&HostPattern) -> bool,
    notices: &mut Vec<Notice>,
) -> Vec<Claim<'s>> {
    let routes = candidate.routes(context, notices);
    if routes.is_empty() {
        return Vec::new();
    }
    let (hosts, services) = candidate.separate(context, registry, is_owner);
    let mut by_port: BTreeMap<u16, Vec<&'s Service>> = BTreeMap::new();
    for seen in services {
        for port in seen.http_ports() {
            by_port.entry(port).or_default().push(seen.service);
        }
    }
    if by_port.is_empty() && context.port == 80 {
        by_port.insert(80, Vec::new());
    }
    let claims = by_port.into_iter().map(|(port, services)| Claim {
        port,
        hosts: hosts.clone(),
        services,
        routes: routes.clone(),
        origin: candidate.origin(),
    });
    claims.collect()
}

/// A service without VirtualService gets its own cluster.
fn default_claim<'s>(context: &RouteContext<'s>, service: &'s Service, port: u16) -> Claim<'s> {
    let cluster = ClusterName::outbound(port, "", &service.hostname);
    let mut destination = WeightedDestination::new(cluster);
    destination.origin = service.origin.clone();
    let mut forward = Forward::to([destination]);
    forward
        .hash_policies
        .extend(hash::of_service(context, service, Some(port), ""));
    let retries = context.config.options().default_http_retry_policy();
    // Also with a hash another host is tried next (`BuildDefaultHTTPOutboundRoute`).
    forward.retry = retry::policy(retries, false).map(Arc::new);
    let action = RouteAction::Forward(Box::new(forward));
    let mut route = Route::new("default", RouteMatch::default(), action);
    route.origin = service.origin.clone();
    Claim {
        port,
        hosts: Vec::new(),
        services: vec![service],
        routes: vec![Arc::new(route)],
        origin: service.origin.clone(),
    }
}
