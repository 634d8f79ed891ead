//! The values that annotations may have (`pkg/kube/inject/validate.go`).

use std::net::IpAddr;

use crate::origin::Source;
use crate::parse::{Limits, parse_as};
use crate::resource::istio::mesh_config::ProxyConfig;

/// Longest name of an interface in Linux.
const MAX_INTERFACE_NAME: usize = 15;

/// Why a value does not suit its annotation.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum AnnotationValueError {
    #[error("`{0}` is neither true nor false")]
    Bool(String),
    #[error("`{0}` is not a whole number")]
    Integer(String),
    #[error("`{0}` is not the name of an interface")]
    Interface(String),
    #[error("`{0}` is none of REDIRECT, TPROXY and NONE")]
    InterceptionMode(String),
    #[error("`{0}` is not a network of the form address/bits")]
    Network(String),
    #[error("`{0}` is not a port number")]
    Port(String),
    #[error("{0}")]
    ProxyConfig(String),
    #[error("`{0}` is not a quantity such as 100m or 1Gi")]
    Quantity(String),
}

/// Checks the value of an annotation. Those that take any text are always valid.
pub(super) fn validate(name: &str, value: &str) -> Result<(), AnnotationValueError> {
    match name {
        "sidecar.istio.io/interceptionMode" => match value {
            "REDIRECT" | "TPROXY" | "NONE" => Ok(()),
            _ => Err(AnnotationValueError::InterceptionMode(value.to_owned())),
        },
        "status.sidecar.istio.io/port" => port(value),
        "readiness.status.sidecar.istio.io/initialDelaySeconds"
        | "readiness.status.sidecar.istio.io/periodSeconds"
        | "readiness.status.sidecar.istio.io/failureThreshold" => match value.parse::<u32>() {
            Ok(_) => Ok(()),
            Err(_) => Err(AnnotationValueError::Integer(value.to_owned())),
        },
        "traffic.sidecar.istio.io/includeOutboundIPRanges" if value == "*" => Ok(()),
        "traffic.sidecar.istio.io/includeOutboundIPRanges"
        | "traffic.sidecar.istio.io/excludeOutboundIPRanges" => networks(value),
        "traffic.sidecar.istio.io/includeInboundPorts" if value == "*" => Ok(()),
        "traffic.sidecar.istio.io/includeInboundPorts"
        | "traffic.sidecar.istio.io/excludeInboundPorts"
        | "traffic.sidecar.istio.io/excludeOutboundPorts" => ports(value),
        "traffic.sidecar.istio.io/excludeInterfaces"
        | "traffic.sidecar.istio.io/kubevirtInterfaces"
        | "istio.io/reroute-virtual-interfaces" => interfaces(value),
        "prometheus.istio.io/merge-metrics" => match value {
            "1" | "t" | "T" | "true" | "TRUE" | "True" | "0" | "f" | "F" | "false" | "FALSE"
            | "False" => Ok(()),
            _ => Err(AnnotationValueError::Bool(value.to_owned())),
        },
        "proxy.istio.io/config" => proxy_config(value),
        "sidecar.istio.io/proxyCPU"
        | "sidecar.istio.io/proxyCPULimit"
        | "sidecar.istio.io/proxyMemory"
        | "sidecar.istio.io/proxyMemoryLimit" => quantity(value),
        _ => Ok(()),
    }
}

fn port(text: &str) -> Result<(), AnnotationValueError> {
    match text.trim().parse::<u16>() {
        Ok(_) if !text.trim().starts_with('+') => Ok(()),
        _ => Err(AnnotationValueError::Port(text.to_owned())),
    }
}

fn ports(text: &str) -> Result<(), AnnotationValueError> {
    match text.trim() {
        "" => Ok(()),
        list => list.split(',').try_for_each(port),
    }
}

fn networks(text: &str) -> Result<(), AnnotationValueError> {
    let is_network = |text: &str| {
        let (address, bits) = text.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let bits: u8 = bits.parse().ok()?;
        Some(bits <= if address.is_ipv4() { 32 } else { 128 })
    };
    let mut networks = text.split(',').filter(|_| !text.is_empty());
    match networks.find(|network| is_network(network) != Some(true)) {
        Some(network) => Err(AnnotationValueError::Network(network.to_owned())),
        None => Ok(()),
    }
}

fn interfaces(text: &str) -> Result<(), AnnotationValueError> {
    let is_name = |name: &str| {
        let allowed = |found: char| found.is_ascii_alphanumeric() || "-_.".contains(found);
        !name.is_empty() && name.len() <= MAX_INTERFACE_NAME && name.chars().all(allowed)
    };
    let mut names = text.split(',').filter(|_| !text.is_empty()).map(str::trim);
    match names.find(|name| !is_name(name)) {
        Some(name) => Err(AnnotationValueError::Interface(name.to_owned())),
        None => Ok(()),
    }
}

fn proxy_config(text: &str) -> Result<(), AnnotationValueError> {
    let parsed: Result<(ProxyConfig, Source), _> =
        parse_as("proxy.istio.io/config", text, &Limits::default());
    match parsed {
        Ok(_) => Ok(()),
        Err(problems) => {
            let problems: Vec<String> = problems
                .iter()
                .map(|problem| problem.kind.to_string())
                .collect();
            Err(AnnotationValueError::ProxyConfig(problems.join("; ")))
        }
    }
}

/// A quantity of Kubernetes: a decimal number, and a suffix or an exponent.
fn quantity(text: &str) -> Result<(), AnnotationValueError> {
    const SUFFIXES: [&str; 16] = [
        "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
    ];
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|found: char| !found.is_ascii_digit() && found != '.');
    let (number, suffix) = unsigned.split_at(end.unwrap_or(unsigned.len()));
    let is_number = number.matches('.').count() <= 1 && number != "." && !number.is_empty();
    let is_exponent = suffix
        .strip_prefix(['e', 'E'])
        .is_some_and(|exponent| exponent.parse::<i32>().is_ok());
    match is_number && (is_exponent || SUFFIXES.contains(&suffix)) {
        true => Ok(()),
        false => Err(AnnotationValueError::Quantity(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_checked_by_the_kind_of_their_annotation() {
        for (name, good, bad) in [
            ("sidecar.istio.io/interceptionMode", "TPROXY", "tproxy"),
            ("status.sidecar.istio.io/port", "15020", "65536"),
            ("readiness.status.sidecar.istio.io/periodSeconds", "2", "-2"),
            (
                "traffic.sidecar.istio.io/includeOutboundIPRanges",
                "*",
                "10.0.0.0/33",
            ),
            (
                "traffic.sidecar.istio.io/excludeOutboundIPRanges",
                "10.0.0.0/8,fd00::/8",
                "*",
            ),
            ("traffic.sidecar.istio.io/includeInboundPorts", "*", "http"),
            (
                "traffic.sidecar.istio.io/excludeInboundPorts",
                "80, 81",
                "80,",
            ),
            (
                "traffic.sidecar.istio.io/excludeInterfaces",
                "net1, net2",
                "net 1",
            ),
            ("prometheus.istio.io/merge-metrics", "t", "yes"),
            ("proxy.istio.io/config", "concurrency: 2", "concurrencyy: 2"),
            ("sidecar.istio.io/proxyCPU", "1.5e3", "1.5.0"),
            ("sidecar.istio.io/proxyMemory", "128Mi", "128 Mi"),
            ("sidecar.istio.io/proxyMemoryLimit", "-1", "one"),
        ] {
            assert_eq!(validate(name, good), Ok(()), "{name}: {good}");
            assert!(validate(name, bad).is_err(), "{name}: {bad}");
        }
        assert_eq!(validate("sidecar.istio.io/logLevel", "anything"), Ok(()));
    }
}
