//! References by short name.

use std::net::IpAddr;

/// The gateway name that stands for the sidecars of the mesh.
pub const MESH_GATEWAY: &str = "mesh";

/// Completes a host that is a short name: one without a dot gets the namespace of the object that
/// names it, and the domain of the cluster (`ResolveShortnameToFQDN`).
///
/// `*`, addresses and names with a dot are left alone, so `reviews.prod` is not completed. An empty
/// `namespace` or `domain` is left out.
#[must_use]
pub fn resolve_short_name(host: &str, namespace: &str, domain: &str) -> String {
    let mut name = host.to_owned();
    let complete = host.is_empty() || host == "*" || host.contains('.');
    if complete || host.parse::<IpAddr>().is_ok() {
        return name;
    }
    if !namespace.is_empty() {
        name.push('.');
        name.push_str(namespace);
    }
    if !domain.is_empty() {
        name.push_str(".svc.");
        name.push_str(domain);
    }
    name
}

/// The `namespace/name` of a gateway that an object of `namespace` refers to
/// (`resolveGatewayName`).
///
/// `gateway` and `./gateway` are of the object's own namespace, `ns/gateway` is as it is, and
/// `gateway.ns.svc.cluster.local` is an old way to write `ns/gateway`. `mesh` stays `mesh`.
#[must_use]
pub fn resolve_gateway_name(reference: &str, namespace: &str) -> String {
    if reference == MESH_GATEWAY {
        return reference.to_owned();
    }
    if let Some((scope, name)) = reference.split_once('/') {
        return match scope {
            "." => format!("{namespace}/{name}"),
            _ => reference.to_owned(),
        };
    }
    match reference.split_once('.') {
        Some((name, rest)) => {
            let namespace = rest.split('.').next().unwrap_or(rest);
            format!("{namespace}/{name}")
        }
        None => format!("{namespace}/{reference}"),
    }
}
