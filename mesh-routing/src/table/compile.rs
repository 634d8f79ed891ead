use std::collections::HashMap;
use std::collections::hash_map::Entry as Known;
use std::sync::Arc;

use http::HeaderName;
use mesh_core::attributes::EnclosingHeaders;
use mesh_core::model::route::{
    ClusterSpecifier, Forward, PathMatch, Route, RouteAction, RouteConfiguration, VirtualHost,
};
use mesh_core::origin::Origin;

use crate::destination::total_weight;
use crate::error::{CompileError, CompileErrorKind, CompileErrors};
use crate::filter;
use crate::host_index::HostIndex;
use crate::matches;
use crate::path_index::PathIndex;
use crate::table::{Entry, HostTable, RouteTable};

/// Compiles `configuration`, or says all that is wrong with it.
pub(super) fn compile(configuration: &RouteConfiguration) -> Result<RouteTable, CompileErrors> {
    let mut compiler = Compiler { errors: Vec::new() };
    compiler.check_domains(&configuration.virtual_hosts);
    let virtual_hosts: Vec<HostTable> = configuration
        .virtual_hosts
        .iter()
        .map(|host| compiler.host(configuration, host))
        .collect();
    CompileErrors::check(compiler.errors)?;

    let domains = (0..)
        .zip(&configuration.virtual_hosts)
        .flat_map(|(index, host)| {
            host.domains
                .iter()
                .map(move |domain| (domain.as_str(), index))
        });
    Ok(RouteTable {
        name: configuration.name.clone(),
        ignore_port: configuration.ignore_port,
        hosts: HostIndex::build(domains),
        virtual_hosts: virtual_hosts.into(),
    })
}

/// The pseudo-headers that may name a cluster: those that are looked up for it.
const PSEUDO_HEADERS: [&str; 3] = [":authority", ":method", ":path"];

struct Compiler {
    errors: Vec<CompileError>,
}

impl Compiler {
    fn refuse(&mut self, origin: &Origin, kind: CompileErrorKind) {
        self.errors.push(CompileError::new(origin, kind));
    }

    fn check_domains(&mut self, hosts: &[VirtualHost]) {
        let mut known = HashMap::new();
        for host in hosts {
            if host.domains.is_empty() {
                let virtual_host = host.name.clone();
                self.refuse(&host.origin, CompileErrorKind::NoDomain { virtual_host });
            }
            for domain in &host.domains {
                match known.entry(domain.to_ascii_lowercase()) {
                    Known::Vacant(free) => {
                        free.insert(&host.name);
                    }
                    Known::Occupied(first) => {
                        let (domain, first) = (domain.clone(), (*first.get()).clone());
                        let kind = CompileErrorKind::DuplicateDomain { domain, first };
                        self.refuse(&host.origin, kind);
                    }
                }
            }
        }
    }

    fn host(&mut self, configuration: &RouteConfiguration, host: &VirtualHost) -> HostTable {
        for headers in [&host.headers, &configuration.headers] {
            if let Err(invalid) = filter::validate_headers(headers) {
                self.refuse(&host.origin, invalid.into());
            }
        }
        let routes = host.routes.iter().map(|route| self.entry(route)).collect();
        let enclosing = EnclosingHeaders {
            virtual_host: host.headers.clone(),
            route_configuration: configuration.headers.clone(),
        };
        let has_operations = enclosing != EnclosingHeaders::default();
        HostTable {
            name: host.name.clone(),
            domains: host.domains.clone().into(),
            origin: host.origin.clone(),
            require_tls: host.require_tls,
            routes,
            paths: PathIndex::build(host.routes.iter().map(|route| &route.matches)),
            enclosing: has_operations.then(|| Arc::new(enclosing)),
        }
    }

    fn entry(&mut self, route: &Arc<Route>) -> Entry {
        self.check_path(route);
        self.check_action(route);
        if let Err(invalid) = filter::validate(route) {
            self.refuse(&route.origin, invalid.into());
        }
        let (conditions, refused) = matches::conditions(&route.matches);
        for name in refused {
            self.refuse_header_name(route, name);
        }
        Entry::new(route, conditions)
    }

    fn check_path(&mut self, route: &Route) {
        let PathMatch::PathSeparatedPrefix(prefix) = &route.matches.path else {
            return;
        };
        if prefix.is_empty() || prefix.ends_with('/') || prefix.contains(['?', '#']) {
            let prefix = prefix.clone();
            self.refuse(&route.origin, CompileErrorKind::SeparatedPrefix { prefix });
        }
    }

    fn check_action(&mut self, route: &Route) {
        match &route.action {
            RouteAction::DirectResponse(response) => {
                self.check_status(
                    route,
                    response.status,
                    (200..600).contains(&response.status),
                );
            }
            RouteAction::Forward(forward) => self.check_forward(route, forward),
            RouteAction::Redirect(redirect) => {
                let known = matches!(redirect.status, 301 | 302 | 303 | 307 | 308);
                self.check_status(route, redirect.status, known);
            }
        }
    }

    fn check_status(&mut self, route: &Route, status: u16, allowed: bool) {
        if !allowed {
            let route_name = route.name.clone();
            let kind = CompileErrorKind::Status {
                route: route_name,
                status,
            };
            self.refuse(&route.origin, kind);
        }
    }

    fn check_forward(&mut self, route: &Route, forward: &Forward) {
        let destinations = &forward.destinations;
        let total = total_weight(destinations);
        let name = route.name.clone();
        if destinations.is_empty() {
            self.refuse(
                &route.origin,
                CompileErrorKind::NoDestination { route: name },
            );
        } else if destinations.len() > 1 && (total == 0 || total > u32::MAX.into()) {
            self.refuse(&route.origin, CompileErrorKind::TotalWeight { name, total });
        }
        for destination in destinations {
            match &destination.cluster {
                ClusterSpecifier::Header(name) => {
                    if !PSEUDO_HEADERS.contains(&name.as_str())
                        && HeaderName::from_bytes(name.as_bytes()).is_err()
                    {
                        self.refuse_header_name(route, name);
                    }
                }
                ClusterSpecifier::Name(_) => {}
                ClusterSpecifier::Refused(status) => {
                    self.check_status(route, *status, (200..600).contains(status));
                }
            }
        }
    }

    fn refuse_header_name(&mut self, route: &Route, name: &str) {
        let name = name.to_owned();
        self.refuse(&route.origin, CompileErrorKind::HeaderName { name });
    }
}
