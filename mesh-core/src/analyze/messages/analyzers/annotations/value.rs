//! The values that annotations may have (`pkg/kube/inject/validate.go`).

use std::net::IpAddr;
use std::str::FromStr;

use crate::origin::Source;
use crate::parse::{Limits, parse_as};
use crate::resource::istio::mesh_config::ProxyConfig;
use crate::validate::Report;
use crate::validate::mesh_config::{Completeness, validate_proxy_config};

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
        | "readiness.status.sidecar.istio.io/failureThreshold" => match number::<u32>(value) {
            Some(_) => Ok(()),
            None => Err(AnnotationValueError::Integer(value.to_owned())),
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
    match number::<u16>(text.trim()) {
        Some(_) => Ok(()),
        None => Err(AnnotationValueError::Port(text.to_owned())),
    }
}

/// A number without a sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = Some(text).filter(|text| !text.starts_with('+'));
    digits?.parse().ok()
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
        let bits: u8 = number(bits).filter(|_| bits == "0" || !bits.starts_with('0'))?;
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
        let is_first = |found: char| found.is_ascii_alphabetic();
        name.starts_with(is_first) && name.len() <= MAX_INTERFACE_NAME && name.chars().all(allowed)
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
    let found: Vec<String> = match parsed {
        Ok((config, _)) => violations(&config),
        Err(problems) => {
            let problems = problems.iter();
            problems.map(|problem| problem.kind.to_string()).collect()
        }
    };
    match found.as_slice() {
        [] => Ok(()),
        found => Err(AnnotationValueError::ProxyConfig(found.join("; "))),
    }
}

/// What is wrong with the settings of a proxy that are laid over those of the mesh.
fn violations(config: &ProxyConfig) -> Vec<String> {
    let report = Report::default();
    validate_proxy_config(config, Completeness::Overlay, report.root());
    let violations = report.into_violations();
    let errors = violations.iter().filter(|found| found.is_error());
    errors.map(|found| found.message.clone()).collect()
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
            (
                "traffic.sidecar.istio.io/excludeInterfaces",
                "net1.2",
                "1net",
            ),
            ("traffic.sidecar.istio.io/excludeOutboundPorts", "80", "+80"),
            (
                "traffic.sidecar.istio.io/excludeOutboundIPRanges",
                "10.0.0.0/8",
                "10.0.0.0/08",
            ),
            ("proxy.istio.io/config", "concurrency: 2", "concurrencyy: 2"),
            ("proxy.istio.io/config", "statusPort: 1", "statusPort: 0"),
            (
                "proxy.istio.io/config",
                "drainDuration: 1s",
                "drainDuration: 0s",
            ),
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
