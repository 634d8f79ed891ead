//! Annotations by which a pod adjusts its sidecar, and what they may hold.

use std::str::FromStr;

use ipnet::IpNet;
use mesh_core::parse::{Limits, parse_as};
use mesh_core::resource::istio::mesh_config::ProxyConfig;
use mesh_core::validate::Report;
use mesh_core::validate::mesh_config::{Completeness, validate_proxy_config};

use super::error::AnnotationError;
use super::pod::Pod;

pub(super) const BOOTSTRAP_OVERRIDE: &str = "sidecar.istio.io/bootstrapOverride";
pub(super) const EXCLUDE_INBOUND_PORTS: &str = "traffic.sidecar.istio.io/excludeInboundPorts";
pub(super) const EXCLUDE_INTERFACES: &str = "traffic.sidecar.istio.io/excludeInterfaces";
pub(super) const EXCLUDE_OUTBOUND_IP_RANGES: &str =
    "traffic.sidecar.istio.io/excludeOutboundIPRanges";
pub(super) const EXCLUDE_OUTBOUND_PORTS: &str = "traffic.sidecar.istio.io/excludeOutboundPorts";
pub(super) const INCLUDE_INBOUND_PORTS: &str = "traffic.sidecar.istio.io/includeInboundPorts";
pub(super) const INCLUDE_OUTBOUND_IP_RANGES: &str =
    "traffic.sidecar.istio.io/includeOutboundIPRanges";
pub(super) const INCLUDE_OUTBOUND_PORTS: &str = "traffic.sidecar.istio.io/includeOutboundPorts";
pub(super) const INTERCEPTION_MODE: &str = "sidecar.istio.io/interceptionMode";
pub(super) const KUBEVIRT_INTERFACES: &str = "traffic.sidecar.istio.io/kubevirtInterfaces";
pub(super) const NATIVE_SIDECAR: &str = "sidecar.istio.io/nativeSidecar";
pub(super) const OVERRIDES: &str = "proxy.istio.io/overrides";
pub(super) const PROMETHEUS_MERGE: &str = "prometheus.istio.io/merge-metrics";
pub(super) const PROXY_CONFIG: &str = "proxy.istio.io/config";
pub(super) const REROUTE_INTERFACES: &str = "istio.io/reroute-virtual-interfaces";
pub(super) const REWRITE_PROBERS: &str = "sidecar.istio.io/rewriteAppHTTPProbers";
pub(super) const STATUS: &str = "sidecar.istio.io/status";
pub(super) const STATUS_PORT: &str = "status.sidecar.istio.io/port";
pub(super) const TEMPLATES: &str = "inject.istio.io/templates";

/// Resources of the proxy: the annotation, the kind, and the resource.
pub(super) const RESOURCES: [(&str, &str, &str); 4] = [
    ("sidecar.istio.io/proxyCPU", "requests", "cpu"),
    ("sidecar.istio.io/proxyMemory", "requests", "memory"),
    ("sidecar.istio.io/proxyCPULimit", "limits", "cpu"),
    ("sidecar.istio.io/proxyMemoryLimit", "limits", "memory"),
];

/// Longest name of a network interface (`IFNAMSIZ`, without its end).
const INTERFACE_NAME_LENGTH: usize = 15;

/// What Istio's injector refuses in the annotations of a pod, all at once.
pub(super) fn validate(pod: &Pod) -> Result<(), Vec<AnnotationError>> {
    let wrong = pod
        .annotations()
        .filter(|(name, value)| !is_valid(name, value));
    let errors: Vec<_> = wrong
        .map(|(name, value)| AnnotationError {
            name: name.to_owned(),
            value: value.to_owned(),
        })
        .collect();
    if errors.is_empty() {
        Ok(())
    } else {
        Err(errors)
    }
}

fn is_valid(name: &str, value: &str) -> bool {
    match name {
        INTERCEPTION_MODE => matches!(value, "NONE" | "REDIRECT" | "TPROXY"),
        STATUS_PORT => is_port(value),
        "readiness.status.sidecar.istio.io/failureThreshold"
        | "readiness.status.sidecar.istio.io/initialDelaySeconds"
        | "readiness.status.sidecar.istio.io/periodSeconds" => number::<u32>(value).is_some(),
        INCLUDE_OUTBOUND_IP_RANGES => value == "*" || are_networks(value),
        EXCLUDE_OUTBOUND_IP_RANGES => are_networks(value),
        INCLUDE_INBOUND_PORTS => value == "*" || are_ports(value),
        EXCLUDE_INBOUND_PORTS | EXCLUDE_OUTBOUND_PORTS => are_ports(value),
        EXCLUDE_INTERFACES | KUBEVIRT_INTERFACES | REROUTE_INTERFACES => are_interfaces(value),
        PROMETHEUS_MERGE => parse_bool(value).is_some(),
        PROXY_CONFIG => is_proxy_config(value),
        _ if RESOURCES.iter().any(|(resource, ..)| *resource == name) => is_quantity(value),
        _ => true,
    }
}

/// Whether these are settings of a proxy, as far as they are written (`validateProxyConfig`).
fn is_proxy_config(value: &str) -> bool {
    let parsed = parse_as::<ProxyConfig>(PROXY_CONFIG, value, &Limits::default());
    parsed.is_ok_and(|(config, _)| {
        let report = Report::default();
        validate_proxy_config(&config, Completeness::Overlay, report.root());
        let violations = report.into_violations();
        !violations.iter().any(|violation| violation.is_error())
    })
}

/// A number without a sign, as Go's `strconv.ParseUint` reads it.
fn number<T: FromStr>(value: &str) -> Option<T> {
    let digits = Some(value).filter(|value| !value.starts_with('+'));
    digits?.parse().ok()
}

fn is_port(value: &str) -> bool {
    number::<u16>(value.trim()).is_some()
}

/// Go's `strconv.ParseBool`.
pub(super) fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn are_networks(value: &str) -> bool {
    value.is_empty()
        || value
            .split(',')
            .all(|network| IpNet::from_str(network).is_ok())
}

fn are_ports(value: &str) -> bool {
    let value = value.trim();
    value.is_empty() || value.split(',').all(is_port)
}

/// Names of interfaces begin with a letter (`ValidateInterfaceNames`).
fn are_interfaces(value: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.len() <= INTERFACE_NAME_LENGTH
            && name.bytes().all(is_part)
    };
    value.is_empty() || value.split(',').all(|name| is_name(name.trim()))
}

/// A quantity of Kubernetes: a decimal number with an SI or binary suffix, or an exponent.
fn is_quantity(value: &str) -> bool {
    let unsigned = value.strip_prefix(['+', '-']).unwrap_or(value);
    let number = unsigned
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.');
    let (number, suffix) = unsigned.split_at(number.count());
    let has_digit = number.bytes().any(|byte| byte.is_ascii_digit());
    let points = number.bytes().filter(|byte| *byte == b'.').count();
    has_digit && points <= 1 && is_suffix(suffix)
}

fn is_suffix(suffix: &str) -> bool {
    match suffix {
        "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" => true,
        "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei" => true,
        _ => suffix
            .strip_prefix(['e', 'E'])
            .is_some_and(|exponent| exponent.parse::<i32>().is_ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_cannot_be_meant_are_refused() {
        let cases = [
            (INTERCEPTION_MODE, "TPROXY", true),
            (INTERCEPTION_MODE, "tproxy", false),
            (STATUS_PORT, "15020", true),
            (STATUS_PORT, "70000", false),
            (INCLUDE_OUTBOUND_IP_RANGES, "*", true),
            (INCLUDE_OUTBOUND_IP_RANGES, "10.0.0.0/8,2001:db8::/32", true),
            (INCLUDE_OUTBOUND_IP_RANGES, "10.0.0.0", false),
            (EXCLUDE_OUTBOUND_IP_RANGES, "*", false),
            (INCLUDE_INBOUND_PORTS, "*", true),
            (INCLUDE_INBOUND_PORTS, "80, 90", true),
            (EXCLUDE_OUTBOUND_PORTS, "80;90", false),
            (EXCLUDE_INTERFACES, "eth0,net1", true),
            (EXCLUDE_INTERFACES, "an-interface-too-long", false),
            (EXCLUDE_INTERFACES, "eth0@1", false),
            (KUBEVIRT_INTERFACES, "0eth", false),
            (REROUTE_INTERFACES, " ", false),
            (EXCLUDE_INBOUND_PORTS, "+80", false),
            ("readiness.status.sidecar.istio.io/periodSeconds", "2", true),
            (
                "readiness.status.sidecar.istio.io/periodSeconds",
                "+2",
                false,
            ),
            (PROMETHEUS_MERGE, "T", true),
            (PROMETHEUS_MERGE, "yes", false),
            (PROXY_CONFIG, "concurrency: 2", true),
            (PROXY_CONFIG, "concurrency: many", false),
            (PROXY_CONFIG, "drainDuration: 0s", false),
            (PROXY_CONFIG, "statusPort: 70000", false),
            (PROXY_CONFIG, "discoveryAddress: istiod.example", false),
            (PROXY_CONFIG, "discoveryAddress: istiod.example:15012", true),
            ("sidecar.istio.io/proxyCPU", "100m", true),
            ("sidecar.istio.io/proxyMemory", "1.5Gi", true),
            ("sidecar.istio.io/proxyCPULimit", "1e3", true),
            ("sidecar.istio.io/proxyMemoryLimit", "lots", false),
            ("example.org/anything", "", true),
        ];
        for (name, value, valid) in cases {
            assert_eq!(is_valid(name, value), valid, "{name}: {value}");
        }
    }
}
