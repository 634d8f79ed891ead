//! Rules for TLS and TCP.

use super::{RouteContext, names_mesh, validate_gateway_names};
use crate::dns;
use crate::host::HostPattern;
use crate::resource::istio::virtual_service::{
    L4MatchAttributes, TcpRoute, TlsMatchAttributes, TlsRoute, VirtualService,
};
use crate::validate::address::is_ip;
use crate::validate::{At, address, destination, port, selector};

/// Checks a rule for TLS of `service` (`validateTLSRoute`).
pub(super) fn validate_tls_route(
    route: &TlsRoute,
    service: &VirtualService,
    context: RouteContext,
    at: At<'_>,
) {
    if route.r#match.is_empty() {
        at.error("a TLS route has at least one match");
    }
    at.field("match").each(&route.r#match, |matcher, at| {
        validate_tls_match(matcher, service, at);
    });
    if route.route.is_empty() {
        at.error("a TLS route has at least one destination");
    }
    destination::validate_route(&route.route, context.is_gateway_api, at.field("route"));
}

fn validate_tls_match(matcher: &TlsMatchAttributes, service: &VirtualService, at: At<'_>) {
    if matcher.sni_hosts.is_empty() {
        at.error("a TLS match has at least one of `sniHosts`");
    }
    at.field("sniHosts").each(&matcher.sni_hosts, |host, at| {
        validate_sni_host(host, service, at);
    });
    at.field("destinationSubnets")
        .each(&matcher.destination_subnets, |subnet, at| {
            address::validate_subnet(subnet, at);
        });
    if matcher.port != 0 {
        port::validate_number(matcher.port, at.field("port"));
    }
    selector::validate_labels(&matcher.source_labels, at.field("sourceLabels"));
    validate_gateway_names(&matcher.gateways, false, at.field("gateways"));
}

/// Checks a server name (`validateSniHost`).
///
/// The form of AUTO_PASSTHROUGH gateways is accepted unless `mesh` is among the gateways, so also
/// where none is named.
fn validate_sni_host(host: &str, service: &VirtualService, at: At<'_>) {
    let result = if names_mesh(service) {
        dns::validate_wildcard_domain(host)
    } else {
        dns::validate_sni_domain(host)
    };
    if let Err(error) = result {
        if is_ip(host) {
            at.warning(format_args!(
                "`{host}` is an address, which most clients do not send as SNI"
            ));
        } else {
            at.error(error);
        }
        return;
    }
    let pattern = HostPattern::new(host);
    let mut hosts = service.hosts.iter().map(|host| HostPattern::new(host));
    if !hosts.any(|host| pattern.is_subset_of(&host)) {
        at.error(format_args!(
            "no host of the VirtualService covers `{host}`"
        ));
    }
}

/// Checks a rule for TCP (`validateTCPRoute`).
pub(super) fn validate_tcp_route(route: &TcpRoute, context: RouteContext, at: At<'_>) {
    at.field("match").each(&route.r#match, validate_tcp_match);
    if route.route.is_empty() {
        at.error("a TCP route has at least one destination");
    }
    destination::validate_route(&route.route, context.is_gateway_api, at.field("route"));
}

fn validate_tcp_match(matcher: &L4MatchAttributes, at: At<'_>) {
    at.field("destinationSubnets")
        .each(&matcher.destination_subnets, |subnet, at| {
            address::validate_subnet(subnet, at);
        });
    if matcher.port != 0 {
        port::validate_number(matcher.port, at.field("port"));
    }
    selector::validate_labels(&matcher.source_labels, at.field("sourceLabels"));
    validate_gateway_names(&matcher.gateways, false, at.field("gateways"));
}
