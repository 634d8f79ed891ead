//! The route configuration of an outbound HTTP port (`BuildSidecarOutboundVirtualHosts`).

use std::collections::HashSet;

use crate::config::services::Service;
use crate::model::Notice;
use crate::model::route::{RouteConfiguration, VirtualHost};
use crate::resolve::scope::EgressListener;
use crate::resolve::sidecar::claims::{Claim, claims};
use crate::resolve::sidecar::domains::{self, Domains};
use crate::resolve::sidecar::{Sidecar, unmatched};

/// The routes of the services that `listener` sees at `port`, and of requests for no service; they
/// have no name yet. Port 0 is that of a forward proxy or a Unix socket, which serves all ports.
pub(super) fn of_port(
    sidecar: &Sidecar<'_>,
    listener: &EgressListener<'_>,
    port: u16,
    notices: &mut Vec<Notice>,
) -> RouteConfiguration {
    let mut virtual_hosts = Collector::new(sidecar, port).collect(listener, notices);
    virtual_hosts.push(unmatched::virtual_host(sidecar));
    RouteConfiguration {
        virtual_hosts,
        // A forward proxy tells services by their ports.
        ignore_port: port != 0,
        ..RouteConfiguration::default()
    }
}

/// The routes of one service only, for a listener at its own address: requests for any host are
/// meant for it (`getVirtualHostsForSniffedServicePort`). They have no name yet.
pub(super) fn of_service(all: &RouteConfiguration, hostname: &str) -> RouteConfiguration {
    let own = all.virtual_hosts.iter();
    let own = own.filter(|host| host.domains.iter().any(|domain| domain == hostname));
    let mut virtual_hosts: Vec<_> = own.cloned().collect();
    if let [only] = virtual_hosts.as_mut_slice() {
        only.domains = vec!["*".to_owned()];
    }
    RouteConfiguration {
        virtual_hosts,
        ignore_port: true,
        ..RouteConfiguration::default()
    }
}

/// Makes virtual hosts of claims: each name and each domain is taken once.
struct Collector<'s> {
    sidecar: &'s Sidecar<'s>,
    port: u16,
    names: HashSet<String>,
    domains: HashSet<String>,
    // Whole names of services.
    known: HashSet<String>,
}

impl<'s> Collector<'s> {
    fn new(sidecar: &'s Sidecar<'s>, port: u16) -> Self {
        Self {
            sidecar,
            port,
            names: HashSet::new(),
            domains: HashSet::new(),
            known: HashSet::new(),
        }
    }

    fn collect(
        mut self,
        listener: &'s EgressListener<'s>,
        notices: &mut Vec<Notice>,
    ) -> Vec<VirtualHost> {
        let claims = claims(self.sidecar, listener, self.port, notices);
        let services = claims.iter().flat_map(|claim| &claim.services);
        self.known = services.map(|service| service.hostname.clone()).collect();
        let mut virtual_hosts = Vec::new();
        for claim in &claims {
            for host in &claim.hosts {
                let domains = Domains {
                    all: vec![domains::in_header(host.as_str())],
                    short: Vec::new(),
                };
                virtual_hosts.extend(self.virtual_host(claim, host.as_str(), domains, notices));
            }
            for service in &claim.services {
                let domains = self.domains_of(service, claim.port);
                virtual_hosts.extend(self.virtual_host(claim, &service.hostname, domains, notices));
            }
        }
        virtual_hosts.sort_by(|a, b| a.name.cmp(&b.name));
        virtual_hosts
    }

    fn domains_of(&self, service: &Service, port: u16) -> Domains {
        let workload = self.sidecar.context.workload;
        if self.port != 0 {
            return domains::of_service(service, workload, None);
        }
        let mut domains = domains::of_service(service, workload, Some(port));
        if port != 80 {
            // A request without a port is one to port 80.
            domains
                .all
                .retain(|domain| domain.ends_with(&format!(":{port}")));
        }
        domains
    }

    /// The virtual host of `hostname`, with the domains that are still free. `None` if there are
    /// none.
    fn virtual_host(
        &mut self,
        claim: &Claim<'_>,
        hostname: &str,
        domains: Domains,
        notices: &mut Vec<Notice>,
    ) -> Option<VirtualHost> {
        let name = domains::with_port(hostname, claim.port);
        let is_new = self.names.insert(name.clone());
        let is_free = !self.domains.contains(hostname);
        if !is_new || (!is_free && domains.all.iter().any(|domain| domain == hostname)) {
            notices.push(Notice {
                origin: claim.origin.clone(),
                message: format!(
                    "the routes of `{hostname}` at port {} are those of another, which comes before",
                    claim.port
                ),
            });
        }
        if !is_new {
            return None;
        }
        let Domains { mut all, short } = domains;
        all.retain(|domain| {
            let gives_way = short.contains(domain) && self.known.contains(domain);
            !gives_way && self.domains.insert(domain.clone())
        });
        if all.is_empty() {
            return None;
        }
        let mut host = VirtualHost::new(name, all, []);
        host.routes = claim.routes.clone();
        host.origin = claim.origin.clone();
        Some(host)
    }
}
