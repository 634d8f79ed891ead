//! Rules of VirtualService (`ValidateVirtualService`).
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::VirtualService;
//! use mesh_core::validate::{Report, virtual_service};
//!
//! let mut resource = Resource::<VirtualService>::default();
//! resource.spec.hosts = vec!["*.example.com".into(), "shop.example.com".into()];
//! let report = Report::default();
//! virtual_service::validate(&resource, report.root());
//!
//! let messages: Vec<_> = report.into_violations().into_iter().map(|v| v.message).collect();
//! assert_eq!(
//!     messages,
//!     [
//!         "host `shop.example.com` overlaps host `*.example.com`",
//!         "one of `http`, `tls` and `tcp` is required",
//!     ]
//! );
//! ```

mod action;
mod authority;
mod cors;
mod fault;
mod headers;
mod http_match;
mod http_route;
mod l4;
mod reachability;

pub use action::{
    validate_direct_response, validate_mirrors, validate_redirect, validate_rewrite,
    validate_uri_regex_rewrite,
};
pub use cors::validate_cors_policy;
pub use fault::{validate_abort, validate_delay, validate_fault};
pub use http_route::{RouteContext, validate_http_route};

use super::At;
use super::address::is_ip;
use super::export_to::{self, Exporter};
use crate::dns;
use crate::header::RoutingClaim;
use crate::host::{HostPattern, MESH_GATEWAY};
use crate::resource::Resource;
use crate::resource::istio::virtual_service::{HttpMatchRequest, VirtualService};

/// Istio's mark of a VirtualService that it made from a route of the Gateway API.
const ROUTE_SEMANTICS: (&str, &str) = ("internal.istio.io/route-semantics", "gateway");

/// Checks a VirtualService, or a delegate if it has no hosts.
pub fn validate(resource: &Resource<VirtualService>, at: At<'_>) {
    let service = &resource.spec;
    let annotations = &resource.metadata.annotations;
    let (annotation, value) = ROUTE_SEMANTICS;
    let context = RouteContext {
        is_delegate: service.hosts.is_empty(),
        is_gateway_api: annotations.get(annotation).is_some_and(|v| v == value),
    };
    let at = at.field("spec");

    validate_delegate(service, at);
    validate_gateway_names(
        &service.gateways,
        context.is_gateway_api,
        at.field("gateways"),
    );
    validate_claims(service, at);
    validate_hosts(service, at.field("hosts"));
    if service.http.is_empty() && service.tls.is_empty() && service.tcp.is_empty() {
        at.error("one of `http`, `tls` and `tcp` is required");
    }
    at.field("http").each(&service.http, |route, at| {
        validate_http_route(route, context, at);
    });
    at.field("tls").each(&service.tls, |route, at| {
        l4::validate_tls_route(route, service, context, at);
    });
    at.field("tcp").each(&service.tcp, |route, at| {
        l4::validate_tcp_route(route, context, at);
    });
    let namespace = &resource.metadata.namespace;
    export_to::validate(
        &service.export_to,
        Exporter::Routes,
        namespace,
        at.field("exportTo"),
    );
    reachability::validate(service, at);
}

/// Whether the routes hold at gateways only; otherwise sidecars follow them as well.
fn is_for_gateways(service: &VirtualService) -> bool {
    !service.gateways.is_empty() && !names_mesh(service)
}

/// Whether the routes are bound to sidecars by name, and not because no gateway is named.
fn names_mesh(service: &VirtualService) -> bool {
    service.gateways.iter().any(|name| name == MESH_GATEWAY)
}

fn validate_delegate(service: &VirtualService, at: At<'_>) {
    if !service.hosts.is_empty() {
        return;
    }
    for (field, is_empty) in [
        ("gateways", service.gateways.is_empty()),
        ("tls", service.tls.is_empty()),
        ("tcp", service.tcp.is_empty()),
    ] {
        if !is_empty {
            at.field(field)
                .error(format_args!(
                    "a VirtualService without hosts cannot have `{field}`"
                ))
                .help("without hosts it is a delegate, which adds HTTP routes to another");
        }
    }
}

/// Checks references to gateways: `namespace/name`, or the name alone (`validateGatewayNames`).
///
/// Of a VirtualService made from the Gateway API the name is not checked. As in Istio, the first
/// name without namespace, such as `mesh`, is the last that is looked at.
fn validate_gateway_names(names: &[String], is_gateway_api: bool, at: At<'_>) {
    for (index, name) in names.iter().enumerate() {
        let at = at.index(index);
        match name.split_once('/') {
            Some((namespace, gateway)) => {
                validate_gateway_name(namespace, gateway, is_gateway_api, at);
            }
            None => return validate_short_gateway_name(name, at),
        }
    }
}

fn validate_gateway_name(namespace: &str, gateway: &str, is_gateway_api: bool, at: At<'_>) {
    if dns::validate_label(namespace).is_err() {
        at.error(format_args!("`{namespace}` is not the name of a namespace"));
    }
    let is_valid = if is_gateway_api {
        !gateway.is_empty()
    } else {
        dns::validate_label(gateway).is_ok()
    };
    if !is_valid {
        at.error(format_args!("`{gateway}` is not the name of a gateway"));
    }
}

fn validate_short_gateway_name(name: &str, at: At<'_>) {
    let mut labels = name.split('.');
    if let (Some(gateway), Some(namespace)) = (labels.next(), labels.next()) {
        at.warning(format_args!(
            "`{name}` is an old form of a reference to a gateway"
        ))
        .help(format!("write `{namespace}/{gateway}`"));
    }
    at.check(dns::validate_fqdn(name));
}

/// Checks that only routes at gateways match claims.
fn validate_claims(service: &VirtualService, at: At<'_>) {
    if is_for_gateways(service) {
        return;
    }
    at.field("http").each(&service.http, |route, at| {
        at.field("match").each(&route.r#match, validate_no_claims);
    });
}

fn validate_no_claims(request: &HttpMatchRequest, at: At<'_>) {
    for (field, headers) in [
        ("headers", &request.headers),
        ("withoutHeaders", &request.without_headers),
    ] {
        at.field(field).each_entry(headers, |name, _, at| {
            if RoutingClaim::parse(name).is_some() {
                at.error(format_args!(
                    "claims of tokens, as in `{name}`, are matched at gateways only"
                ));
            }
        });
    }
}

fn validate_hosts(service: &VirtualService, at: At<'_>) {
    let mut all_valid = true;
    at.each(&service.hosts, |host, at| {
        all_valid &= validate_host(host, service, at);
    });
    if !all_valid {
        return;
    }
    let patterns: Vec<_> = service
        .hosts
        .iter()
        .map(|host| HostPattern::new(host))
        .collect();
    for (index, host) in patterns.iter().enumerate() {
        for other in patterns
            .iter()
            .take(index)
            .filter(|other| host.matches(other))
        {
            at.index(index)
                .error(format_args!("host `{host}` overlaps host `{other}`"));
        }
    }
}

/// Whether the host is valid; reports it otherwise.
fn validate_host(host: &str, service: &VirtualService, at: At<'_>) -> bool {
    if host == "*" && !is_for_gateways(service) {
        at.error("every host (`*`) cannot be routed by sidecars")
            .help("name the gateways that route it, without `mesh`");
        return false;
    }
    let matches_sni = || {
        let matches = service.tls.iter().flat_map(|route| &route.r#match);
        matches.into_iter().any(|tls| !tls.sni_hosts.is_empty())
    };
    let result = if is_for_gateways(service) && matches_sni() {
        dns::validate_sni_domain(host)
    } else {
        dns::validate_wildcard_domain(host)
    };
    match result {
        Err(error) if !is_ip(host) => {
            at.error(error);
            false
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests;
