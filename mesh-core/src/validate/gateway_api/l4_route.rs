//! Routes of connections and datagrams.

use super::http_route::{MAX_ITEMS, validate_names};
use super::{backend_reference, name, parent_reference, validate_len};
use crate::resource::gateway_api::backend_reference::BackendRef;
use crate::resource::gateway_api::tcp_route::TcpRoute;
use crate::resource::gateway_api::tls_route::TlsRoute;
use crate::resource::gateway_api::udp_route::UdpRoute;
use crate::validate::At;
use crate::validate::address::is_ip;

/// The most hosts of a TLS route.
const MAX_HOSTNAMES: usize = 1024;

/// The version whose routes may have several rules, and routes of TLS no hosts.
const OLD_VERSION: &str = "v1alpha2";

/// Checks a route of TLS connections. In `v1alpha2` it may have no hosts, which stands for all.
pub(super) fn validate_tls(route: &TlsRoute, at: At<'_>) {
    parent_reference::validate(&route.parent_refs, at.field("parentRefs"));
    let hosts = at.field("hostnames");
    let is_old = at.version() == OLD_VERSION;
    let min = usize::from(!is_old);
    validate_len(&route.hostnames, min, MAX_HOSTNAMES, hosts);
    hosts.each(&route.hostnames, |host, at| {
        name::validate_hostname(host, at);
        at.require(is_old || !is_ip(host), "a server name is not an address");
    });
    let rules = route
        .rules
        .iter()
        .map(|rule| (rule.name.as_deref(), &rule.backend_refs[..]));
    validate_rules(&rules.collect::<Vec<_>>(), at.field("rules"));
}

pub(super) fn validate_tcp(route: &TcpRoute, at: At<'_>) {
    parent_reference::validate(&route.parent_refs, at.field("parentRefs"));
    let rules = route
        .rules
        .iter()
        .map(|rule| (rule.name.as_deref(), &rule.backend_refs[..]));
    validate_rules(&rules.collect::<Vec<_>>(), at.field("rules"));
}

pub(super) fn validate_udp(route: &UdpRoute, at: At<'_>) {
    parent_reference::validate(&route.parent_refs, at.field("parentRefs"));
    let rules = route
        .rules
        .iter()
        .map(|rule| (rule.name.as_deref(), &rule.backend_refs[..]));
    validate_rules(&rules.collect::<Vec<_>>(), at.field("rules"));
}

/// Checks the rules by name and backends, of which there is exactly one, in `v1alpha2` at least one.
fn validate_rules(rules: &[(Option<&str>, &[BackendRef])], at: At<'_>) {
    let max = if at.version() == OLD_VERSION {
        MAX_ITEMS
    } else {
        1
    };
    validate_len(rules, 1, max, at);
    at.each(rules, |(_, backends), at| {
        let at = at.field("backendRefs");
        validate_len(backends, 1, MAX_ITEMS, at);
        at.each(backends, backend_reference::validate_weighted);
    });
    for index in 1..rules.len().min(max) {
        at.index(index)
            .warning("only the first rule of a route takes connections");
    }
    validate_names(rules.iter().map(|(name, _)| *name), at);
}
