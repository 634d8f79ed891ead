//! Hosts of gateways and sidecars, perhaps after a namespace.
//!
//! ```
//! use mesh_core::validate::{Report, scoped_host};
//!
//! let report = Report::default();
//! scoped_host::validate_gateway_host("prod/*.example.com", false, report.root());
//! scoped_host::validate_sidecar_host("*.example.com", report.root());
//! assert_eq!(
//!     report.into_violations()[0].message,
//!     "`*.example.com` is not of the form namespace/host"
//! );
//! ```

use super::At;
use super::address::is_ip;
use crate::dns;

/// Checks the host of a gateway's server: `host` or `namespace/host`
/// (`ValidateNamespaceSlashWildcardHostname`).
///
/// The namespace is a name, `.` or `*`; and `~` where Istio made the gateway from one of the
/// Gateway API (`is_gateway_api`). The host may be an address.
pub fn validate_gateway_host(host: &str, is_gateway_api: bool, at: At<'_>) {
    let Some((namespace, name)) = host.split_once('/') else {
        validate_host(host, true, at);
        return;
    };
    let is_token = match namespace {
        "*" | "." => true,
        "~" => is_gateway_api,
        _ => false,
    };
    if !is_token {
        validate_namespace(namespace, at);
    }
    validate_host(name, true, at);
}

/// Checks the host that a sidecar reaches: `namespace/host`
/// (`ValidateNamespaceSlashWildcardHostname`).
///
/// The namespace is a name, `.`, `*` or `~`; `~` before one excludes it.
pub fn validate_sidecar_host(host: &str, at: At<'_>) {
    let Some((namespace, name)) = host.split_once('/') else {
        at.error(format_args!("`{host}` is not of the form namespace/host"));
        return;
    };
    let included = namespace.strip_prefix('~');
    let namespace = included.unwrap_or(namespace);
    let is_token = matches!(namespace, "*" | ".") || (namespace.is_empty() && included.is_some());
    if !is_token {
        validate_namespace(namespace, at);
    }
    validate_host(name, false, at);
}

fn validate_namespace(namespace: &str, at: At<'_>) {
    if dns::validate_label(namespace).is_err() {
        at.error(format_args!("`{namespace}` is not the name of a namespace"));
    }
}

/// Checks the part after the namespace: no short name, no partial wildcard
/// (`validateSidecarOrGatewayHostnamePart`).
///
/// What has no dot is a short name for Istio, IPv6 addresses as well.
fn validate_host(host: &str, allow_ip: bool, at: At<'_>) {
    if host == "*" {
        return;
    }
    let is_address = allow_ip && is_ip(host);
    if let Err(error) = dns::validate_wildcard_domain(host)
        && !is_address
    {
        at.error(error);
    } else if !host.contains('.') {
        at.error(format_args!(
            "`{host}` has no dot, and short names cannot stand here"
        ));
    } else if dns::is_partial_wildcard(host) {
        at.error(format_args!("in `{host}` a wildcard is not a whole label"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::testing::assert_errors;

    #[test]
    fn a_gateway_has_hosts_and_addresses() {
        let cases = [
            ("*", 0),
            ("*/*", 0),
            ("./a.b", 0),
            ("prod/*.a.b", 0),
            ("10.0.0.1", 0),
            ("*/10.0.0.1", 0),
            ("*/2001:db8::1", 1),
            ("*/::ffff:10.0.0.1", 0),
            ("a", 1),
            ("~/*", 1),
            ("/a.b", 1),
            ("prod/", 1),
            ("p_d/a.b", 1),
            ("*a.b", 1),
            ("a/b/c.d", 1),
        ];
        for (host, errors) in cases {
            assert_errors(host, errors, |at| validate_gateway_host(host, false, at));
        }
        assert_errors("unreachable", 0, |at| {
            validate_gateway_host("~/*", true, at)
        });
    }

    #[test]
    fn a_sidecar_names_namespaces() {
        let cases = [
            ("*/*", 0),
            ("./*", 0),
            ("~/*", 0),
            ("~prod/*", 0),
            ("prod/*.a.b", 0),
            ("*", 1),
            ("/a.b", 1),
            ("prod/a", 1),
            ("prod/10.0.0.1", 1),
            ("*prod/*", 1),
            ("prod/*a.b", 1),
        ];
        for (host, errors) in cases {
            assert_errors(host, errors, |at| validate_sidecar_host(host, at));
        }
    }
}
