//! What says where the connections of services go that are not HTTP.

use crate::host::HostPattern;
use crate::resolve::context::Context;
use crate::resolve::scope::EgressListener;
use crate::resolve::sidecar::l4::Target;
use crate::resolve::sidecar::mesh_route::MeshConnections;
use crate::resolve::sidecar::{Sidecar, candidates};
use crate::resolve::virtual_service::hosts;
use crate::resource::Resource;
use crate::resource::istio::VirtualService;

/// What an egress listener imports of rules for TLS or TCP.
pub(super) struct L4Rules<'s> {
    listener: &'s EgressListener<'s>,
    candidates: Vec<(&'s Resource<VirtualService>, Vec<HostPattern>)>,
}

/// A resource that has rules for the connections of a service.
pub(super) enum Rules<'s> {
    /// A TCPRoute or a TLSRoute.
    Route(&'s MeshConnections<'s>),
    /// A VirtualService.
    VirtualService(&'s Resource<VirtualService>),
}

impl<'s> L4Rules<'s> {
    pub(super) fn new(sidecar: &Sidecar<'_>, listener: &'s EgressListener<'s>) -> Self {
        let config = sidecar.context.config;
        let all = listener.virtual_services.iter();
        let l4 = all.filter(|vs| !vs.spec.tls.is_empty() || !vs.spec.tcp.is_empty());
        Self {
            listener,
            candidates: l4.map(|vs| (&***vs, hosts(config, vs))).collect(),
        }
    }

    /// Those for `target`, in the order in which they are tried, which is that of candidates for
    /// requests: of what everybody sees, routes of the workload's own namespace stand first.
    pub(super) fn of<'r>(&self, sidecar: &'r Sidecar<'_>, target: &'r Target<'_>) -> Vec<Rules<'r>>
    where
        's: 'r,
    {
        let Context {
            config, workload, ..
        } = sidecar.context;
        let own = workload.namespace.as_str();
        let mut all: Vec<_> = self
            .virtual_services(&target.service.hostname)
            .map(Rules::VirtualService)
            .collect();
        let routes = sidecar.mesh_routes.connections.iter().rev();
        let imported = routes.filter(|route| {
            let namespace = &route.metadata.namespace;
            is_for(route, target) && self.listener.imports_route(namespace, route.host)
        });
        for route in imported {
            let rank = candidates::route_rank(config, &route.metadata.namespace, own);
            let is_behind = |found: &Rules<'_>| match found {
                Rules::Route(_) => true,
                Rules::VirtualService(vs) => {
                    let vs = (candidates::rank(config, vs), &vs.metadata);
                    candidates::cmp(vs, (rank, route.metadata)).is_gt()
                }
            };
            let at = all.iter().position(is_behind).unwrap_or(all.len());
            all.insert(at, Rules::Route(route));
        }
        all
    }

    /// Those that have `hostname`, or a part of it, among their hosts.
    fn virtual_services(&self, hostname: &str) -> impl Iterator<Item = &'s VirtualServiceResource> {
        let hostname = HostPattern::new(hostname);
        let all = self.candidates.iter();
        let own = all.filter(move |(_, hosts)| hosts.iter().any(|host| host.matches(&hostname)));
        own.map(|(vs, _)| *vs)
    }
}

type VirtualServiceResource = Resource<VirtualService>;

/// Whether a route is attached to the port, and is for what is spoken there.
fn is_for(route: &MeshConnections<'_>, target: &Target<'_>) -> bool {
    route.host == target.service.hostname
        && route.port == target.port
        && route.server_names.is_some() == target.protocol.is_tls()
}
