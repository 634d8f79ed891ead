//! Listeners for traffic to the workload.

use std::collections::BTreeSet;

use super::validate_no_target_port;
use crate::resource::istio::gateway::{ServerTlsMode, ServerTlsSettings};
use crate::resource::istio::sidecar::{IstioIngressListener, SidecarPort};
use crate::service::Protocol;
use crate::validate::address::{UNIX_PREFIX, split_host_port, validate_port_text};
use crate::validate::destination_rule::validate_connection_pool;
use crate::validate::{At, address, port, server_tls};

/// Hosts at which a workload may listen.
const LOCAL_HOSTS: [&str; 5] = ["", "127.0.0.1", "0.0.0.0", "::1", "::"];

pub(super) fn validate(listeners: &[IstioIngressListener], at: At<'_>) {
    let mut numbers = BTreeSet::new();
    at.each(listeners, |listener, at| {
        let Some(port) = &listener.port else {
            at.error("a port is required");
            return;
        };
        if !numbers.insert(port.number) {
            at.field("port")
                .error(format_args!("port `{}` is there twice", port.number));
        }
        validate_port(port, at.field("port"));
        validate_listener(listener, port, at);
    });
}

fn validate_port(port: &SidecarPort, at: At<'_>) {
    validate_no_target_port(port, at);
    if !port.name.is_empty() {
        port::validate_name(&port.name, at.field("name"));
    }
    port::validate_protocol(&port.protocol, at.field("protocol"));
    port::validate_number(port.number, at.field("number"));
}

fn validate_listener(listener: &IstioIngressListener, port: &SidecarPort, at: At<'_>) {
    let IstioIngressListener {
        port: _,
        bind,
        capture_mode: _,
        default_endpoint,
        tls,
        connection_pool,
    } = listener;
    if !bind.is_empty() {
        address::validate_ip(bind, at.field("bind"));
    }
    if !default_endpoint.is_empty() {
        validate_default_endpoint(default_endpoint, at.field("defaultEndpoint"));
    }
    let protocol = Protocol::parse(&port.protocol);
    if let Some(tls) = tls {
        validate_tls(tls, protocol, at.field("tls"));
    }
    if let Some(pool) = connection_pool {
        let at = at.field("connectionPool");
        validate_connection_pool(pool, at);
        if pool.http.is_some() && !protocol.is_http() {
            at.field("http")
                .warning("limits of HTTP have no effect on a port of another protocol");
        }
    }
}

/// Checks where the workload listens: a local address with a port, or a socket.
fn validate_default_endpoint(endpoint: &str, at: At<'_>) {
    if let Some(path) = endpoint.strip_prefix(UNIX_PREFIX) {
        address::validate_unix_path(path, at);
        return;
    }
    let Some((host, number)) = split_host_port(endpoint) else {
        at.error(format_args!("`{endpoint}` is not of the form address:port"));
        return;
    };
    if !LOCAL_HOSTS.contains(&host) {
        at.error(format_args!(
            "`{host}` is not an address of the workload itself"
        ))
        .help("use 127.0.0.1, 0.0.0.0, [::1] or [::] with a port, or unix:///path");
    }
    validate_port_text(number, at);
}

fn validate_tls(tls: &ServerTlsSettings, protocol: Protocol, at: At<'_>) {
    for (field, is_set) in [
        ("subjectAltNames", !tls.subject_alt_names.is_empty()),
        ("httpsRedirect", tls.https_redirect),
        ("credentialName", !tls.credential_name.is_empty()),
        ("credentialNames", !tls.credential_names.is_empty()),
        ("tlsCertificates", !tls.tls_certificates.is_empty()),
    ] {
        if is_set {
            at.field(field)
                .error(format_args!("`{field}` is not supported in a Sidecar"));
        }
    }
    if matches!(
        tls.mode,
        ServerTlsMode::IstioMutual | ServerTlsMode::AutoPassthrough
    ) {
        at.field("mode")
            .error("this mode is not supported in a Sidecar");
    }
    at.require(
        protocol.is_tls(),
        "a port of neither HTTPS nor TLS has no TLS settings",
    );
    server_tls::validate_server_tls(tls, at);
}
