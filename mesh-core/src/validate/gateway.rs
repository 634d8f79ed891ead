//! Rules of Istio's Gateway (`ValidateGateway`).
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::Gateway;
//! use mesh_core::validate::{Report, gateway};
//!
//! let mut resource = Resource::<Gateway>::default();
//! resource.metadata.name = "public".into();
//! let report = Report::default();
//! gateway::validate(&resource, report.root());
//! assert_eq!(report.into_violations()[0].message, "a gateway has at least one server");
//! ```

use std::collections::BTreeSet;

use super::address::UNIX_PREFIX;
use super::{At, address, port, scoped_host, server_tls};
use crate::dns;
use crate::resource::Resource;
use crate::resource::istio::gateway::{Gateway, Port, Server, ServerTlsMode, ServerTlsSettings};
use crate::service::Protocol;

/// Istio's mark of a Gateway that it made from one of the Gateway API.
const GATEWAY_SEMANTICS: (&str, &str) = ("internal.istio.io/gateway-semantics", "gateway");

/// Checks a Gateway, whose name is a single DNS label.
pub fn validate(resource: &Resource<Gateway>, at: At<'_>) {
    let Gateway {
        servers,
        selector: _,
    } = &resource.spec;
    let is_gateway_api = is_gateway_api(resource);
    if !is_gateway_api {
        let metadata = at.field("metadata");
        metadata
            .field("name")
            .check(dns::validate_label(&resource.metadata.name));
    }
    let at = at.field("spec");
    if servers.is_empty() {
        at.error("a gateway has at least one server");
    }
    let mut names = BTreeSet::new();
    at.field("servers").each(servers, |server, at| {
        validate_server(server, is_gateway_api, at);
        let Some(port) = &server.port else {
            return;
        };
        if !names.insert(port.name.as_str()) {
            at.field("port")
                .field("name")
                .error(format_args!("port name `{}` is there twice", port.name));
        }
        let redirects = server.tls.as_ref().is_some_and(|tls| tls.https_redirect);
        if redirects && !Protocol::parse(&port.protocol).is_http() {
            at.field("tls")
                .field("httpsRedirect")
                .warning("only servers of plaintext HTTP redirect to HTTPS");
        }
    });
}

/// Whether Istio made this from a Gateway of the Gateway API, whose names have other rules.
fn is_gateway_api(resource: &Resource<Gateway>) -> bool {
    let (annotation, value) = GATEWAY_SEMANTICS;
    let annotations = &resource.metadata.annotations;
    annotations.get(annotation).is_some_and(|v| v == value)
}

/// Checks a server (`validateServer`). One that was made from the Gateway API (`is_gateway_api`)
/// may be reached from no namespace.
pub fn validate_server(server: &Server, is_gateway_api: bool, at: At<'_>) {
    let Server {
        port,
        bind,
        hosts,
        tls,
        default_endpoint: _,
        name: _,
    } = server;
    if hosts.is_empty() {
        at.error("a server has at least one host");
    }
    at.field("hosts").each(hosts, |host, at| {
        scoped_host::validate_gateway_host(host, is_gateway_api, at);
    });
    match port {
        Some(port) => validate_server_port(port, bind, at.field("port")),
        None => {
            at.error("a server has a port");
        }
    }
    validate_bind(port.as_ref(), bind, at.field("bind"));
    if let Some(tls) = tls {
        server_tls::validate_server_tls(tls, at.field("tls"));
    }
    if let Some(port) = port {
        validate_protocol_and_tls(port, tls.as_ref(), at);
    }
}

/// Checks the port of a server that listens at `bind` (`validateServerPort`).
pub fn validate_server_port(port: &Port, bind: &str, at: At<'_>) {
    let Port {
        number,
        protocol,
        name,
        target_port,
    } = port;
    port::validate_known_protocol(protocol, at.field("protocol"));
    if *number != 0 || !bind.starts_with(UNIX_PREFIX) {
        port::validate_number(*number, at.field("number"));
    }
    if *target_port != 0 {
        at.field("targetPort")
            .error("`targetPort` has no meaning in a Gateway");
    }
    if name.is_empty() {
        at.field("name").error("the port of a server has a name");
    }
}

/// Checks the address that a server listens at: an IP address, or a socket without port.
fn validate_bind(port: Option<&Port>, bind: &str, at: At<'_>) {
    if let Some(path) = bind.strip_prefix(UNIX_PREFIX) {
        address::validate_unix_path(path, at);
        let number = port.map_or(0, |port| port.number);
        at.require(number == 0, "a server at a Unix domain socket has port 0");
    } else if !bind.is_empty() {
        address::validate_ip(bind, at);
    }
}

/// Checks that TLS settings are there if, and only if, the protocol needs them.
fn validate_protocol_and_tls(port: &Port, tls: Option<&ServerTlsSettings>, at: At<'_>) {
    let protocol = Protocol::parse(&port.protocol);
    match tls {
        None => at.require(
            !protocol.is_tls(),
            "a server of HTTPS or TLS has `tls` settings",
        ),
        Some(_) if protocol.is_tls() => {}
        Some(tls) if protocol.is_http() => {
            let may_redirect = tls.mode == ServerTlsMode::Passthrough
                && tls.ca_certificates.is_empty()
                && tls.private_key.is_empty()
                && tls.server_certificate.is_empty();
            at.field("tls").require(
                may_redirect,
                "a server of plaintext HTTP has no TLS settings but `httpsRedirect`",
            );
        }
        Some(_) => {
            at.field("tls")
                .error("a server of neither HTTPS nor TLS has no TLS settings");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, assert_warnings, read};

    #[test]
    fn a_server_has_hosts_a_port_and_tls_where_it_belongs() {
        let http = json!({"number": 80, "name": "http", "protocol": "HTTP"});
        let https = json!({"number": 443, "name": "https", "protocol": "HTTPS"});
        let tcp = json!({"number": 443, "name": "tcp", "protocol": "TCP"});
        let simple = json!({"mode": "SIMPLE", "credentialName": "a"});
        let cases = [
            (json!({"hosts": ["*"], "port": http}), 0),
            (json!({"hosts": ["*"], "port": https, "tls": simple}), 0),
            (
                json!({"hosts": ["*"], "port": http, "tls": {"httpsRedirect": true}}),
                0,
            ),
            (json!({"port": http}), 1),
            (json!({"hosts": ["*"]}), 1),
            (json!({"hosts": ["*"], "port": https}), 1),
            (json!({"hosts": ["*"], "port": http, "tls": simple}), 1),
            (json!({"hosts": ["*"], "port": tcp, "tls": {}}), 1),
            (json!({"hosts": ["*"], "port": http, "bind": "a"}), 1),
            (
                json!({"hosts": ["*"], "port": http, "bind": "unix:///a"}),
                1,
            ),
        ];
        for (server, errors) in cases {
            assert_errors(&server.to_string(), errors, |at| {
                validate_server(&read(server.clone()), false, at);
            });
        }
    }

    #[test]
    fn a_port_has_a_number_a_known_protocol_and_a_name() {
        let cases = [
            (
                json!({"number": 80, "name": "http", "protocol": "http"}),
                "",
                0,
            ),
            (
                json!({"number": 0, "name": "http", "protocol": "http"}),
                "unix:///a",
                0,
            ),
            (json!({}), "", 3),
            (
                json!({"number": 80, "name": "a", "protocol": "HTTP", "targetPort": 8080}),
                "",
                1,
            ),
        ];
        for (port, bind, errors) in cases {
            assert_errors(&port.to_string(), errors, |at| {
                validate_server_port(&read(port.clone()), bind, at);
            });
        }
    }

    #[test]
    fn port_names_are_distinct() {
        let server = |protocol: &str, tls| {
            let port = json!({"number": 80, "name": "a", "protocol": protocol});
            json!({"hosts": ["*"], "port": port, "tls": tls})
        };
        let gateway = |servers| {
            let mut resource = Resource::<Gateway>::default();
            resource.metadata.name = "public".into();
            resource.spec = read(json!({"servers": servers}));
            resource
        };
        let twice = gateway(json!([
            server("HTTP", json!(null)),
            server("HTTP", json!(null))
        ]));
        assert_errors("twice", 1, |at| validate(&twice, at));
        let redirect = gateway(json!([server("TLS", json!({"httpsRedirect": true}))]));
        assert_warnings("redirect of TLS", 1, |at| validate(&redirect, at));
    }
}
