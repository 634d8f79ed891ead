//! Filter chains of services that are not HTTP (`buildSidecarOutboundTLSFilterChainOpts`,
//! `buildSidecarOutboundTCPFilterChainOpts`).

use std::collections::HashSet;

use ipnet::IpNet;

use crate::config::services::Service;
use crate::model::Notice;
use crate::model::cluster::Discovery;
use crate::model::listener::{FilterChain, FilterChainMatch, NetworkFilter};
use crate::model::route::WeightedDestination;
use crate::resolve::place::Place;
use crate::resolve::sidecar::l4_rules::{L4Rules, Rules};
use crate::resolve::sidecar::mesh_route::MeshConnections;
use crate::resolve::sidecar::{Sidecar, chains, domains};
use crate::resolve::traffic_policy;
use crate::resolve::virtual_service::{RouteContext, l4};
use crate::resource::Resource;
use crate::resource::istio::VirtualService;
use crate::resource::istio::virtual_service::{TcpRoute, TlsRoute};
use crate::service::{ClusterName, Protocol};

/// A port of a service at a listener.
pub(super) struct Target<'s> {
    /// The service.
    pub(super) service: &'s Service,
    /// The port of the listener.
    pub(super) port: u16,
    /// What is spoken there.
    pub(super) protocol: Protocol,
    /// The networks that the listener tells it by, in place of an own address.
    pub(super) networks: Vec<IpNet>,
    /// Whether other services may share the address of the listener.
    pub(super) is_shared: bool,
}

/// The chains of connections to `target`.
pub(super) fn chains(
    sidecar: &Sidecar<'_>,
    rules: &L4Rules<'_>,
    target: &Target<'_>,
    notices: &mut Vec<Notice>,
) -> Vec<FilterChain> {
    let mut builder = Builder {
        sidecar,
        context: sidecar.routes_at(target.port),
        target,
        chains: Vec::new(),
        seen: HashSet::new(),
        notices,
    };
    let own = rules.of(sidecar, target);
    if target.protocol.is_tls() {
        builder.add_tls(&own);
    } else {
        builder.add_tcp(&own);
    }
    builder.chains
}

struct Builder<'b> {
    sidecar: &'b Sidecar<'b>,
    context: RouteContext<'b>,
    target: &'b Target<'b>,
    chains: Vec<FilterChain>,
    // Conditions on connections that already have a chain.
    seen: HashSet<(Vec<String>, Vec<String>)>,
    notices: &'b mut Vec<Notice>,
}

impl Builder<'_> {
    /// Chains by server name. Without rules for the workload, all TLS goes to the service.
    fn add_tls(&mut self, rules: &[Rules<'_>]) {
        for rules in rules {
            match rules {
                Rules::Route(route) => self.add_tls_route(route),
                Rules::VirtualService(vs) => self.add_tls_rules(vs),
            }
        }
        if !self.chains.is_empty() {
            return;
        }
        let matches = FilterChainMatch {
            server_names: self.own_server_names(),
            ..self.whole()
        };
        self.add_default(matches);
    }

    fn add_tls_rules(&mut self, vs: &Resource<VirtualService>) {
        let origin = vs.origin();
        let root = Place::root(&origin, &vs.source);
        let spec = root.field("spec");
        let list = spec.field("tls");
        for (index, rule) in vs.spec.tls.iter().enumerate() {
            let added = self.add_tls_rule(vs, rule, &list.index(index));
            self.notices.extend(added.err());
        }
    }

    fn add_tls_rule(
        &mut self,
        vs: &Resource<VirtualService>,
        rule: &TlsRoute,
        place: &Place<'_>,
    ) -> Result<(), Notice> {
        let namespace = &vs.metadata.namespace;
        let matches = place.field("match");
        for (index, block) in rule.r#match.iter().enumerate() {
            let key = (block.sni_hosts.clone(), block.destination_subnets.clone());
            if !l4::is_tls_for(&self.context, block, namespace) || self.seen.contains(&key) {
                continue;
            }
            let place_of_block = matches.index(index);
            let subnets = place_of_block.field("destinationSubnets");
            let networks = l4::networks(&block.destination_subnets, &subnets)?;
            let proxy = l4::proxy(&self.context, &rule.route, namespace, &place.field("route"))?;
            let server_names = block.sni_hosts.iter();
            let condition = FilterChainMatch {
                server_names: server_names.map(|name| name.to_ascii_lowercase()).collect(),
                destination_networks: self.or_own(networks),
                ..FilterChainMatch::default()
            };
            let filter = NetworkFilter::Tcp(proxy);
            self.chains
                .push(chains::chain(condition, filter, place_of_block.origin()));
            self.seen.insert(key);
        }
        Ok(())
    }

    /// Adds the chain of a TLSRoute, unless another rule has its server names.
    fn add_tls_route(&mut self, route: &MeshConnections<'_>) {
        let names = route.server_names.clone().unwrap_or_default();
        if names.is_empty() || !self.seen.insert((names.clone(), Vec::new())) {
            return;
        }
        let names = names.iter().map(|name| name.to_ascii_lowercase());
        let condition = FilterChainMatch {
            server_names: names.collect(),
            ..self.whole()
        };
        self.add_route(condition, route);
    }

    fn add_route(&mut self, condition: FilterChainMatch, route: &MeshConnections<'_>) {
        let filter = NetworkFilter::Tcp(route.proxy.clone());
        let origin = route.origin.clone();
        self.chains.push(chains::chain(condition, filter, origin));
    }

    /// Chains by network, until a rule takes every connection. Else the rest goes to the service.
    fn add_tcp(&mut self, rules: &[Rules<'_>]) {
        for rules in rules {
            let takes_all = match rules {
                Rules::Route(route) => {
                    self.add_route(self.whole(), route);
                    true
                }
                Rules::VirtualService(vs) => self.add_tcp_rules(vs),
            };
            if takes_all {
                return;
            }
        }
        let matches = self.whole();
        let taken = self.chains.iter().any(|chain| chain.matches == matches);
        if !taken {
            self.add_default(matches);
        }
    }

    /// The condition that a connection is to the service.
    fn whole(&self) -> FilterChainMatch {
        FilterChainMatch {
            destination_networks: self.target.networks.clone(),
            ..FilterChainMatch::default()
        }
    }

    /// Returns whether the rules take every connection to the service.
    fn add_tcp_rules(&mut self, vs: &Resource<VirtualService>) -> bool {
        let origin = vs.origin();
        let root = Place::root(&origin, &vs.source);
        let spec = root.field("spec");
        let list = spec.field("tcp");
        for (index, rule) in vs.spec.tcp.iter().enumerate() {
            match self.add_tcp_rule(vs, rule, &list.index(index)) {
                Ok(false) => {}
                Ok(true) => return true,
                Err(notice) => self.notices.push(notice),
            }
        }
        false
    }

    /// Adds the chain of a rule. Returns whether it takes every connection to the service.
    fn add_tcp_rule(
        &mut self,
        vs: &Resource<VirtualService>,
        rule: &TcpRoute,
        place: &Place<'_>,
    ) -> Result<bool, Notice> {
        let namespace = &vs.metadata.namespace;
        let matches = place.field("match");
        let mut takes_all = rule.r#match.is_empty();
        let mut networks = Vec::new();
        for (index, block) in rule.r#match.iter().enumerate() {
            if l4::is_tcp_for(&self.context, block, namespace) {
                takes_all |= block.destination_subnets.is_empty() || self.target.port == 0;
                let subnets = matches.index(index);
                let subnets = subnets.field("destinationSubnets");
                networks.extend(l4::networks(&block.destination_subnets, &subnets)?);
            }
        }
        if !takes_all && networks.is_empty() {
            return Ok(false);
        }
        if takes_all {
            networks.clone_from(&self.target.networks);
        }
        let proxy = l4::proxy(&self.context, &rule.route, namespace, &place.field("route"))?;
        let condition = FilterChainMatch {
            destination_networks: networks,
            ..FilterChainMatch::default()
        };
        let filter = NetworkFilter::Tcp(proxy);
        self.chains
            .push(chains::chain(condition, filter, place.origin()));
        Ok(takes_all)
    }

    /// The chain that leads to the service itself.
    fn add_default(&mut self, matches: FilterChainMatch) {
        let service = self.target.service;
        let port = match service.ports.as_slice() {
            [only] => only.number,
            _ => self.target.port,
        };
        let mut to = WeightedDestination::new(ClusterName::outbound(port, "", &service.hostname));
        to.origin = service.origin.clone();
        let rule = self.sidecar.context.destination_rule(service);
        let filter = NetworkFilter::Tcp(traffic_policy::tcp_proxy(vec![to], rule));
        self.chains
            .push(chains::chain(matches, filter, service.origin.clone()));
    }

    /// The server names by which the service is told from others at the same address; none if it
    /// has an address of its own.
    fn own_server_names(&self) -> Vec<String> {
        let service = self.target.service;
        let is_any_host = service.discovery == Discovery::DynamicDns;
        if self.target.networks.is_empty() && !self.target.is_shared && !is_any_host {
            return Vec::new();
        }
        let mut names = vec![service.hostname.clone()];
        for alias in &service.aliases {
            names.push(alias.hostname.clone());
            names.extend(domains::short_forms(
                &alias.hostname,
                self.sidecar.context.workload,
            ));
        }
        names
    }

    /// The networks that a block names, else those of the service. A Unix socket has none.
    fn or_own(&self, networks: Vec<IpNet>) -> Vec<IpNet> {
        match networks.is_empty() || self.target.port == 0 {
            true => self.target.networks.clone(),
            false => networks,
        }
    }
}
