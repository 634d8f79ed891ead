//! Listeners of gateways and listener sets.

use std::collections::BTreeSet;

use super::{gateway_tls, name, validate_len};
use crate::resource::gateway_api::listener::{
    AllowedRoutes, Listener, ListenerTlsConfig, RouteGroupKind, TlsMode,
};
use crate::resource::gateway_api::listener_set::ListenerSet;
use crate::resource::gateway_api::parent_reference::ParentGatewayReference;
use crate::resource::kubernetes::label_selector::LabelSelector;
use crate::validate::{At, port};

/// The most listeners of a set.
const MAX_LISTENERS: usize = 64;

/// The longest protocol.
const MAX_PROTOCOL_LEN: usize = 255;

/// The most kinds of routes, certificates and options.
const MAX_KINDS: usize = 8;
const MAX_CERTIFICATES: usize = 64;
const MAX_OPTIONS: usize = 16;

/// The longest value of an option.
const MAX_OPTION_LEN: usize = 4096;

/// The option of a listener that names a mode of Istio, and those that there are.
const MODE_OPTION: &str = "gateway.istio.io/tls-terminate-mode";
const MODES: [&str; 5] = [
    "ISTIO_MUTUAL",
    "ISTIO_SIMPLE",
    "MUTUAL",
    "OPTIONAL_MUTUAL",
    "SIMPLE",
];

pub(super) fn validate_set(set: &ListenerSet, at: At<'_>) {
    let ListenerSet {
        parent_ref,
        listeners,
    } = set;
    let ParentGatewayReference {
        group,
        kind,
        name,
        namespace,
    } = parent_ref;
    let parent = at.field("parentRef");
    name::validate_reference(group.as_deref(), kind.as_deref(), name, parent);
    name::validate_namespace(namespace.as_deref(), parent.field("namespace"));
    let at = at.field("listeners");
    validate_len(listeners, 1, MAX_LISTENERS, at);
    validate_all(listeners, at);
}

/// Checks listeners, which differ in name, and in port, protocol or host.
pub(super) fn validate_all(listeners: &[Listener], at: At<'_>) {
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    at.each(listeners, |listener, at| {
        validate(listener, at);
        if !names.insert(&listener.name) {
            at.field("name")
                .error(format_args!("listener `{}` is there twice", listener.name));
        }
        if !addresses.insert((listener.port, &listener.protocol, &listener.hostname)) {
            at.error("another listener has the same port, protocol and host");
        }
    });
}

fn validate(listener: &Listener, at: At<'_>) {
    let Listener {
        name,
        hostname,
        port,
        protocol,
        tls,
        allowed_routes,
    } = listener;
    name::validate_section(Some(name), at.field("name"));
    port::validate_number(u32::from(*port), at.field("port"));
    if protocol.len() > MAX_PROTOCOL_LEN || !is_protocol(protocol) {
        at.field("protocol")
            .error(format_args!("`{protocol}` is not a protocol"));
    }
    if let Some(host) = hostname {
        let at = at.field("hostname");
        name::validate_hostname(host, at);
        if matches!(protocol.as_str(), "TCP" | "UDP") {
            at.error("a listener of TCP or UDP has no host");
        }
    }
    validate_tls(protocol, tls.as_ref(), at);
    if let Some(routes) = allowed_routes {
        validate_routes(routes, at.field("allowedRoutes"));
    }
}

/// Whether this is a name, or one of somebody's own after a domain.
fn is_protocol(protocol: &str) -> bool {
    let bytes = protocol.as_bytes();
    let is_name = bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    let is_word =
        |path: &str| !path.is_empty() && path.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name || name::ends_with_domain_path(protocol, is_word)
}

fn validate_tls(protocol: &str, tls: Option<&ListenerTlsConfig>, at: At<'_>) {
    let Some(tls) = tls else {
        at.require(protocol != "TLS", "a listener of TLS has `tls` settings");
        return;
    };
    let mode = tls.mode.unwrap_or_default();
    let at = at.field("tls");
    if matches!(protocol, "HTTP" | "TCP" | "UDP") {
        at.error(format_args!("a listener of {protocol} has no TLS settings"));
    }
    if protocol == "HTTPS" && mode != TlsMode::Terminate {
        at.field("mode").error("a listener of HTTPS terminates TLS");
    }
    let ListenerTlsConfig {
        mode: _,
        certificate_refs,
        options,
    } = tls;
    if mode == TlsMode::Terminate && certificate_refs.is_empty() && options.is_empty() {
        at.error("a listener that terminates TLS has certificates or options");
    }
    validate_len(
        certificate_refs,
        0,
        MAX_CERTIFICATES,
        at.field("certificateRefs"),
    );
    at.field("certificateRefs")
        .each(certificate_refs, gateway_tls::validate_secret);
    let fits =
        options.len() <= MAX_OPTIONS && options.values().all(|value| value.len() <= MAX_OPTION_LEN);
    let at = at.field("options");
    at.require(fits, "at most 16 options have at most 4096 bytes each");
    if let Some(mode) = options.get(MODE_OPTION)
        && !MODES.contains(&mode.as_str())
    {
        at.key(MODE_OPTION)
            .warning(format_args!(
                "`{mode}` is not a mode of Istio, which takes it for `SIMPLE`"
            ))
            .help(format!("use one of {}", MODES.join(", ")));
    }
}

fn validate_routes(routes: &AllowedRoutes, at: At<'_>) {
    let AllowedRoutes { namespaces, kinds } = routes;
    let selector = namespaces
        .as_ref()
        .and_then(|namespaces| namespaces.selector.as_ref());
    if let Some(selector) = selector {
        validate_selector(selector, at.field("namespaces").field("selector"));
    }
    let at = at.field("kinds");
    validate_len(kinds, 0, MAX_KINDS, at);
    at.each(kinds, |route, at| {
        let RouteGroupKind { group, kind } = route;
        name::validate_group(group.as_deref(), at.field("group"));
        name::validate_kind(kind, at.field("kind"));
    });
}

/// Checks which namespaces are selected: an expression has a key and an operator. One with values
/// that do not go with its operator is kept by Kubernetes, and told.
pub(super) fn validate_selector(selector: &LabelSelector, at: At<'_>) {
    at.field("matchExpressions")
        .each(&selector.match_expressions, |requirement, at| {
            at.require_written("key");
            at.require_written("operator");
            if requirement.operator.is_some() && !requirement.is_whole() {
                at.field("values").warning(
                    "`In` and `NotIn` have values, and no other operator; no namespace is selected",
                );
            }
        });
}
