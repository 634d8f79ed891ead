//! Listeners for traffic from the workload.

use std::collections::{BTreeMap, BTreeSet};

use super::validate_no_target_port;
use crate::resource::istio::sidecar::{CaptureMode, IstioEgressListener, SidecarPort};
use crate::validate::address::UNIX_PREFIX;
use crate::validate::{At, address, port, scoped_host};

/// Checks the listeners of a Sidecar in `namespace`.
pub(super) fn validate(listeners: &[IstioEgressListener], namespace: &str, at: At<'_>) {
    let (mut numbers, mut sockets) = (BTreeSet::new(), BTreeSet::new());
    for (index, listener) in listeners.iter().enumerate() {
        let at = at.index(index);
        match &listener.port {
            None if index + 1 < listeners.len() => {
                at.error("only the last listener can have no port");
            }
            None => {}
            Some(port) => {
                validate_port(port, listener, at);
                let is_new = match port.number {
                    0 => sockets.insert(listener.bind.as_str()),
                    number => numbers.insert(number),
                };
                at.field("port")
                    .require(is_new, "another listener has the same port or socket");
            }
        }
        validate_hosts(&listener.hosts, namespace, at.field("hosts"));
    }
}

/// Checks port, address and capture (`validateSidecarEgressPortBindAndCaptureMode`).
fn validate_port(port: &SidecarPort, listener: &IstioEgressListener, at: At<'_>) {
    let at_port = at.field("port");
    validate_no_target_port(port, at_port);
    if !port.name.is_empty() {
        port::validate_name(&port.name, at_port.field("name"));
    }
    port::validate_protocol(&port.protocol, at_port.field("protocol"));
    let (bind, at_bind) = (listener.bind.as_str(), at.field("bind"));
    if port.number != 0 {
        port::validate_number(port.number, at_port.field("number"));
        if !bind.is_empty() {
            address::validate_ip(bind, at_bind);
        }
        return;
    }
    match bind.strip_prefix(UNIX_PREFIX) {
        Some(path) => address::validate_unix_path(path, at_bind),
        None => {
            at_bind.error("a listener without port number is bound to a Unix domain socket");
        }
    }
    at.field("captureMode").require(
        listener.capture_mode != CaptureMode::Iptables,
        "traffic is not captured for a Unix domain socket",
    );
}

fn validate_hosts(hosts: &[String], namespace: &str, at: At<'_>) {
    at.require(!hosts.is_empty(), "a listener has at least one host");
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (index, host) in hosts.iter().enumerate() {
        let at = at.index(index);
        scoped_host::validate_sidecar_host(host, at);
        let Some((scope, name)) = host.split_once('/').filter(|(ns, _)| !ns.starts_with('~'))
        else {
            continue;
        };
        let scope = if scope == "." { namespace } else { scope };
        let names = seen.entry(scope).or_default();
        let is_covered = if name == "*" {
            !names.is_empty()
        } else {
            names.contains("*") || names.contains(name)
        };
        if is_covered {
            at.warning(format_args!(
                "host `{host}` overlaps another of the listener"
            ));
        }
        names.insert(name);
    }
    let selects_all = seen.get("*").is_some_and(|names| names.contains("*"));
    if selects_all && seen.len() > 1 {
        at.warning("`*/*` selects all services, so that other hosts have no effect");
    }
}
