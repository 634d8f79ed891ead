//! Destinations that no service is, and rules for subsets that a gateway does not see.

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, full_name};
use crate::analyze::messages::hosts::{Hosts, KnownService};
use crate::origin::FieldPath;
use crate::resource::Resource;
use crate::resource::istio::VirtualService;

use super::{Place, places};

/// A destination has to be a service that the rule sees, at a port that it has. One with several
/// ports needs to be told which.
pub(in crate::analyze::messages) fn destinations(context: &Context<'_>, report: &mut Report) {
    let hosts = Hosts::new(&context.resources);
    for rule in &context.resources.virtual_services {
        for place in places(rule) {
            let host = place.host;
            let service = hosts.find(&rule.metadata.namespace, &rule.spec.export_to, host);
            match service {
                Some(service) => port(&place, service, report),
                None => {
                    let what = if place.is_mirror {
                        "mirror host"
                    } else {
                        "host"
                    };
                    let code = Code::ReferencedResourceNotFound;
                    report.push(place.origin, code, &[&what, &host]);
                }
            }
        }
        ingress(context, rule, report);
    }
}

fn port(place: &Place<'_>, service: &KnownService, report: &mut Report) {
    let (host, origin) = (place.host, place.origin.clone());
    match place.port {
        None if service.ports.len() > 1 => {
            let ports: Vec<String> = service.ports.iter().map(ToString::to_string).collect();
            let ports = format!("[{}]", ports.join(" "));
            let code = Code::VirtualServiceDestinationPortSelectorRequired;
            report.push(origin, code, &[&host, &ports]);
        }
        Some(port) if !service.ports.contains(&port) => {
            let name = format!("{host}:{port}");
            report.push(
                origin,
                Code::ReferencedResourceNotFound,
                &[&"host:port", &name],
            );
        }
        None | Some(_) => {}
    }
}

/// Reports that a gateway sends requests to a host without a subset, while another rule chooses
/// subsets of that host for the mesh alone.
fn ingress(context: &Context<'_>, rule: &Resource<VirtualService>, report: &mut Report) {
    if rule.spec.gateways.is_empty() {
        return;
    }
    let root = FieldPath::root();
    let spec = root.field("spec");
    let http = spec.field("http");
    for (index, route) in rule.spec.http.iter().enumerate() {
        let at = http.index(index);
        let at = at.field("route");
        for (index, to) in route.route.iter().enumerate() {
            let destination = to.destination.as_ref();
            let Some(destination) = destination.filter(|found| found.subset.is_empty()) else {
                continue;
            };
            for other in &context.resources.virtual_services {
                if chooses_subsets(other, &destination.host) {
                    let (other, own) = (full_name(&other.metadata), full_name(&rule.metadata));
                    let code = Code::IngressRouteRulesNotAffected;
                    report.at(rule, &at.index(index), code, &[&other, &own]);
                }
            }
        }
    }
}

/// Whether a rule for `host` sends its requests to subsets of it.
fn chooses_subsets(rule: &VirtualServiceResource, host: &str) -> bool {
    let mut routes = rule.spec.http.iter().flat_map(|route| &route.route);
    rule.spec.hosts.iter().any(|own| own == host)
        && routes.any(|to| {
            let destination = to.destination.as_ref();
            destination.is_some_and(|found| !found.subset.is_empty() && found.host == host)
        })
}

type VirtualServiceResource = Resource<VirtualService>;
