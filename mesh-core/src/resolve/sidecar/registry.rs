//! The services that an egress listener is for at one port.

use std::collections::HashMap;

use crate::config::services::{Service, ServicePort};
use crate::host::HostPattern;
use crate::resolve::scope::EgressListener;

/// A service, and its ports that the listener is for.
pub(super) struct Seen<'s> {
    pub(super) service: &'s Service,
    /// Its name.
    pub(super) host: HostPattern,
    ports: Vec<&'s ServicePort>,
}

impl<'s> Seen<'s> {
    /// The ports that speak HTTP, or may.
    pub(super) fn http_ports(&self) -> impl Iterator<Item = u16> {
        let http = self.ports.iter().filter(|port| {
            let protocol = port.protocol;
            protocol.is_http() || protocol.is_unsupported()
        });
        http.map(|port| port.number)
    }
}

/// The services that a listener is for.
pub(super) struct Registry<'s> {
    /// The services, in order.
    pub(super) seen: Vec<Seen<'s>>,
    by_hostname: HashMap<&'s str, usize>,
    // Indices of those with a wildcard for a name.
    wildcards: Vec<usize>,
}

impl<'s> Registry<'s> {
    /// The services of `listener` that have `port`; 0 is any.
    pub(super) fn new(listener: &'s EgressListener<'_>, port: u16) -> Self {
        let mut registry = Self {
            seen: Vec::new(),
            by_hostname: HashMap::new(),
            wildcards: Vec::new(),
        };
        for service in &listener.services {
            let ports = service.ports.iter();
            let ports: Vec<_> = ports
                .filter(|own| port == 0 || own.number == port)
                .collect();
            if ports.is_empty() && port != 0 {
                continue;
            }
            let host = HostPattern::new(&service.hostname);
            let seen = Seen {
                service,
                host,
                ports,
            };
            match registry.by_hostname.get(&*service.hostname) {
                Some(&index) if registry.seen[index].service.provider > service.provider => {
                    registry.seen[index] = seen;
                }
                Some(_) => {}
                None => {
                    let index = registry.seen.len();
                    registry.by_hostname.insert(&service.hostname, index);
                    if service.hostname.starts_with('*') {
                        registry.wildcards.push(index);
                    }
                    registry.seen.push(seen);
                }
            }
        }
        registry
    }

    /// The service of that name.
    pub(super) fn service(&self, hostname: &str) -> Option<&Seen<'s>> {
        let index = *self.by_hostname.get(hostname)?;
        self.seen.get(index)
    }

    /// Whether one of `hosts` is a service, or covers one, or is covered by one.
    pub(super) fn has_any(&self, hosts: &[HostPattern]) -> bool {
        hosts.iter().any(|host| {
            if self.by_hostname.contains_key(host.as_str()) {
                return true;
            }
            let matches = |seen: &Seen<'_>| host.matches(&seen.host);
            match host.is_wildcard() {
                true => self.seen.iter().any(matches),
                false => self
                    .wildcards
                    .iter()
                    .any(|&index| matches(&self.seen[index])),
            }
        })
    }
}
