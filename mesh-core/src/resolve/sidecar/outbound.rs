//! Outbound listeners (`buildSidecarOutboundListeners`).
//!
//! HTTP ports share a listener for all addresses, where requests are told by their host. Other
//! services have one at each of their addresses, or share one where connections are told by server
//! name or network.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::config::services::{Provider, Service, ServicePort};
use crate::model::Notice;
use crate::model::cluster::{Discovery, EndpointAddress};
use crate::model::listener::{Bind, FilterChain, FilterChainMatch};
use crate::model::route::RouteConfiguration;
use crate::origin::Origin;
use crate::resolve::context::Parts;
use crate::resolve::scope::EgressListener;
use crate::resolve::sidecar::entries::{Entries, Entry};
use crate::resolve::sidecar::l4::Target;
use crate::resolve::sidecar::l4_rules::L4Rules;
use crate::resolve::sidecar::route_names::RouteNames;
use crate::resolve::sidecar::{Sidecar, capture, chains, domains, l4, virtual_hosts};
use crate::resource::istio::sidecar::CaptureMode;
use crate::service::Protocol;

/// Adds the outbound listeners and their routes.
pub(super) fn resolve(sidecar: &Sidecar<'_>, parts: &mut Parts) {
    let mut builder = Builder {
        sidecar,
        parts,
        entries: Entries::default(),
        routes: BTreeSet::new(),
        names: RouteNames::default(),
    };
    for (index, listener) in sidecar.context.scope.egress.iter().enumerate() {
        builder.add_egress(index, listener);
    }
    builder.add_routes();
    let Builder { entries, .. } = builder;
    parts.listeners.extend(entries.into_listeners(sidecar));
    capture::add_listener(sidecar, parts);
}

/// The routes that a listener needs.
#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Routes {
    /// Index of the egress listener.
    egress: usize,
    /// The port, 0 for all.
    port: u16,
    /// The service, if they are for one only.
    hostname: Option<String>,
    /// Their name.
    name: String,
}

struct Builder<'b> {
    sidecar: &'b Sidecar<'b>,
    parts: &'b mut Parts,
    entries: Entries,
    routes: BTreeSet<Routes>,
    names: RouteNames,
}

/// Where an egress listener listens.
#[derive(Clone)]
struct Binding {
    /// The address, if the Sidecar or the way of capture says.
    address: Option<IpAddr>,
    captured: bool,
}

/// A port of a service at an egress listener.
struct Outbound<'s> {
    egress: usize,
    service: &'s Service,
    port: u16,
    protocol: Protocol,
    binding: Binding,
    rules: &'s L4Rules<'s>,
    /// What asked for the listener.
    origin: &'s Origin,
}

impl<'b> Builder<'b> {
    fn add_egress(&mut self, index: usize, listener: &'b EgressListener<'b>) {
        let rules = L4Rules::new(self.sidecar, listener);
        let written = listener.written;
        let bind = written.map_or("", |written| &written.bind);
        let captures = written.is_none_or(|written| written.capture_mode != CaptureMode::None);
        if let (Some(written), Some(path)) = (written, bind.strip_prefix("unix://")) {
            let protocol = written.port.as_ref().map_or("", |port| &port.protocol);
            self.add_socket(index, listener, path, Protocol::parse(protocol));
            return;
        }
        let own = bind.parse().ok();
        let binding = Binding {
            address: own.or_else(|| (!captures).then(|| self.sidecar.localhost())),
            captured: captures,
        };
        if let Some(port) = written.and_then(|written| written.port.as_ref()) {
            for service in &listener.services {
                self.add_service(&Outbound {
                    egress: index,
                    service,
                    port: listener.port().unwrap_or(0),
                    protocol: Protocol::parse(&port.protocol),
                    binding: binding.clone(),
                    rules: &rules,
                    origin: &listener.origin,
                });
            }
            return;
        }
        self.entries.lock();
        for service in &listener.services {
            for port in &service.ports {
                self.add_service_port(index, service, port, (&binding, &rules));
            }
        }
    }

    /// Adds what listens for a port of a service. A headless service that is not HTTP has a
    /// listener for each of its endpoints.
    fn add_service_port(
        &mut self,
        egress: usize,
        service: &Service,
        port: &ServicePort,
        (binding, rules): (&Binding, &L4Rules<'_>),
    ) {
        let mut outbound = Outbound {
            egress,
            service,
            port: port.number,
            protocol: port.protocol,
            binding: binding.clone(),
            rules,
            origin: &service.origin,
        };
        let is_l4 = port.protocol.is_tcp() || port.protocol.is_unsupported();
        let by_endpoint = binding.address.is_none()
            && service.discovery == Discovery::OriginalDestination
            && service.addresses.is_empty()
            && is_l4;
        let endpoints = service.endpoints(port);
        let is_open = service.provider == Provider::External
            && endpoints.is_empty()
            && service.selector.is_none();
        if !by_endpoint || is_open {
            self.add_service(&outbound);
            return;
        }
        let own = &self.sidecar.context.workload.addresses;
        for endpoint in endpoints {
            if let EndpointAddress::Ip(socket) = endpoint.address
                && !own.contains(&socket.ip())
            {
                outbound.binding.address = Some(socket.ip());
                self.add_service(&outbound);
            }
        }
    }

    fn add_service(&mut self, outbound: &Outbound<'_>) {
        let service = outbound.service;
        let protocol = outbound.protocol;
        if service.alias_of.is_some() || matches!(protocol, Protocol::Udp | Protocol::Hbone) {
            return;
        }
        let wildcard = self.sidecar.wildcard();
        if protocol.is_http() {
            let address = outbound.binding.address.unwrap_or(wildcard);
            if !self.is_taken(outbound, address) {
                self.add_http(outbound, address);
            }
            return;
        }
        if let Some(address) = outbound.binding.address {
            if !self.is_taken(outbound, address) {
                self.add_l4(outbound, address, Vec::new());
            }
            return;
        }
        let mut networks = Vec::new();
        let addresses = self.addresses_of(service);
        for network in addresses.iter() {
            match domains::single_address(network) {
                Some(address) => self.add_l4(outbound, address, Vec::new()),
                None => networks.push(*network),
            }
        }
        let is_shared = !networks.is_empty() || addresses.is_empty();
        if is_shared && !self.is_taken(outbound, wildcard) {
            self.add_l4(outbound, wildcard, networks);
        }
    }

    fn addresses_of<'s>(&self, service: &'s Service) -> Cow<'s, [IpNet]> {
        self.sidecar.context.workload.addresses_of(service)
    }

    /// Whether the proxy itself listens where the listener would.
    fn is_taken(&mut self, outbound: &Outbound<'_>, address: IpAddr) -> bool {
        let port = outbound.port;
        let taken = address == self.sidecar.wildcard() && self.sidecar.is_own_port(port);
        if taken {
            self.parts.notices.push(Notice {
                origin: outbound.origin.clone(),
                message: format!(
                    "the proxy itself listens on port {port}, so that nothing else does"
                ),
            });
        }
        taken
    }

    fn add_http(&mut self, outbound: &Outbound<'_>, address: IpAddr) {
        let bind = Bind::Ip {
            address,
            port: outbound.port,
        };
        if self.entries.is_settled(&bind, outbound.protocol) {
            return;
        }
        let name = self.shared_routes(outbound, &bind);
        let filter = chains::outbound_http(&name);
        let is_proxy = outbound.protocol == Protocol::HttpProxy;
        // What is not HTTP passes, though it goes to the port of an HTTP service.
        let detects = address == self.sidecar.wildcard() && !is_proxy;
        let (matches, protocol) = match detects {
            true => (chains::plaintext_http(), Protocol::Unsupported),
            false => (FilterChainMatch::default(), outbound.protocol),
        };
        let origin = outbound.service.origin.clone();
        let chain = chains::chain(matches, filter, origin);
        self.add_entry(outbound, bind, protocol, vec![chain]);
    }

    fn add_l4(&mut self, outbound: &Outbound<'_>, address: IpAddr, networks: Vec<IpNet>) {
        let bind = Bind::Ip {
            address,
            port: outbound.port,
        };
        if self.entries.is_settled(&bind, outbound.protocol) {
            return;
        }
        let service = outbound.service;
        let is_wildcard = address == self.sidecar.wildcard();
        let target = Target {
            service,
            port: outbound.port,
            protocol: outbound.protocol,
            networks,
            is_shared: is_wildcard && self.addresses_of(service).is_empty(),
        };
        let notices = &mut self.parts.notices;
        let mut all = l4::chains(self.sidecar, outbound.rules, &target, notices);
        if outbound.protocol.is_unsupported() && !self.entries.detects(&bind) {
            let name = match is_wildcard {
                true => self.shared_routes(outbound, &bind),
                false => self.own_routes(outbound, &bind),
            };
            let filter = chains::outbound_http(&name);
            let origin = service.origin.clone();
            all.push(chains::chain(chains::plaintext_http(), filter, origin));
        }
        self.add_entry(outbound, bind, outbound.protocol, all);
    }

    fn add_entry(
        &mut self,
        outbound: &Outbound<'_>,
        bind: Bind,
        protocol: Protocol,
        chains: Vec<FilterChain>,
    ) {
        let entry = Entry {
            captured: outbound.binding.captured,
            port: outbound.port,
            protocol,
            chains,
            origin: outbound.origin.clone(),
        };
        let notices = &mut self.parts.notices;
        self.entries.add(bind, outbound.protocol, entry, notices);
    }

    /// The routes of all services at the port.
    fn shared_routes(&mut self, outbound: &Outbound<'_>, bind: &Bind) -> String {
        let name = outbound.port.to_string();
        let name = self.names.name(outbound.egress, bind, name);
        let is_proxy = outbound.protocol == Protocol::HttpProxy;
        self.routes.insert(Routes {
            egress: outbound.egress,
            port: if is_proxy { 0 } else { outbound.port },
            hostname: None,
            name: name.clone(),
        });
        name
    }

    /// The routes of the service alone.
    fn own_routes(&mut self, outbound: &Outbound<'_>, bind: &Bind) -> String {
        let hostname = &outbound.service.hostname;
        let name = domains::with_port(hostname, outbound.port);
        let name = self.names.name(outbound.egress, bind, name);
        self.routes.insert(Routes {
            egress: outbound.egress,
            port: outbound.port,
            hostname: Some(hostname.clone()),
            name: name.clone(),
        });
        name
    }

    /// Adds a listener at a Unix socket, for all services that it sees.
    fn add_socket(
        &mut self,
        egress: usize,
        listener: &'b EgressListener<'b>,
        path: &str,
        protocol: Protocol,
    ) {
        let rules = L4Rules::new(self.sidecar, listener);
        let name = format!("unix://{path}");
        for service in &listener.services {
            let bind = Bind::Unix(path.to_owned());
            let binding = Binding {
                address: None,
                captured: false,
            };
            let outbound = Outbound {
                egress,
                service,
                port: 0,
                protocol,
                binding,
                rules: &rules,
                origin: &listener.origin,
            };
            if service.alias_of.is_some() || self.entries.is_settled(&bind, protocol) {
                continue;
            }
            let mut all = Vec::new();
            if !protocol.is_http() {
                let target = Target {
                    service,
                    port: 0,
                    protocol,
                    networks: Vec::new(),
                    is_shared: self.addresses_of(service).is_empty(),
                };
                all = l4::chains(self.sidecar, &rules, &target, &mut self.parts.notices);
            }
            let detects = protocol.is_unsupported() && !self.entries.detects(&bind);
            if protocol.is_http() || detects {
                self.routes.insert(Routes {
                    egress,
                    port: 0,
                    hostname: None,
                    name: name.clone(),
                });
                let filter = chains::outbound_http(&name);
                let matches = match protocol.is_http() {
                    true => FilterChainMatch::default(),
                    false => chains::plaintext_http(),
                };
                all.push(chains::chain(matches, filter, service.origin.clone()));
            }
            self.add_entry(&outbound, bind, protocol, all);
        }
    }

    /// Makes the routes that the listeners need. Those of one service are among those of its port.
    fn add_routes(&mut self) {
        let mut shared: Option<((usize, u16), RouteConfiguration)> = None;
        for routes in std::mem::take(&mut self.routes) {
            let key = (routes.egress, routes.port);
            let known = shared.take_if(|(known, _)| *known == key);
            let all = known.map(|(_, all)| all).unwrap_or_else(|| {
                let listener = &self.sidecar.context.scope.egress[routes.egress];
                let notices = &mut self.parts.notices;
                virtual_hosts::of_port(self.sidecar, listener, routes.port, notices)
            });
            let mut own = match &routes.hostname {
                Some(hostname) => virtual_hosts::of_service(&all, hostname),
                None => all.clone(),
            };
            own.name.clone_from(&routes.name);
            let configurations = &mut self.parts.route_configurations;
            configurations.insert(routes.name, Arc::new(own));
            shared = Some((key, all));
        }
    }
}
