//! Kubernetes Services, as istiod converts them (`pilot/pkg/serviceregistry/kube/conversion.go`).

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::services::{
    Provider, Service, ServicePort, Sources, TargetPort, TrafficDistribution, endpoints,
};
use crate::config::visibility::Visibility;
use crate::model::cluster::Discovery;
use crate::resource::kubernetes::int_or_string::IntOrString;
use crate::resource::kubernetes::service as written;
use crate::resource::{Metadata, Resource};
use crate::service::{PortNumber, Protocol, ServiceName, Transport};

/// Annotation by which a Kubernetes Service says what `exportTo` says elsewhere.
const EXPORT_TO: &str = "networking.istio.io/exportTo";
/// Annotation that says what `trafficDistribution` says, of a Service or its namespace.
const TRAFFIC_DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";
/// Annotation with the identities of a service's workloads.
const CANONICAL_ACCOUNTS: &str = "alpha.istio.io/canonical-serviceaccounts";
/// Annotation with the Kubernetes service accounts of a service's workloads.
const KUBERNETES_ACCOUNTS: &str = "alpha.istio.io/kubernetes-serviceaccounts";

/// Reads a Kubernetes Service.
pub(super) fn service<'a>(
    resource: &'a Resource<written::Service>,
    sources: &Sources<'a>,
) -> Service {
    let spec = &resource.spec.spec;
    let metadata = &resource.metadata;
    let headless = spec.cluster_ip.as_deref() == Some("None");
    let ports: Vec<ServicePort> = spec.ports.iter().filter_map(port).collect();
    let alias_of = alias_of(spec);
    let endpoints = match alias_of {
        Some(_) => Vec::new(),
        None => endpoints::of_kubernetes(resource, &ports, headless, sources),
    };
    let name = ServiceName::new(&metadata.namespace, &metadata.name);
    Service {
        hostname: name.hostname(sources.domain).to_ascii_lowercase(),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        addresses: cluster_addresses(spec),
        allocated_addresses: Vec::new(),
        discovery: if headless {
            Discovery::OriginalDestination
        } else {
            Discovery::Static
        },
        headless,
        external: alias_of.is_some(),
        alias_of,
        aliases: Vec::new(),
        visibility: visibility(metadata, sources.options.default_service_export_to()),
        traffic_distribution: traffic_distribution(
            spec.traffic_distribution.as_deref(),
            metadata,
            sources,
        ),
        node_local: spec.internal_traffic_policy == Some(written::TrafficPolicy::Local),
        selector: (!spec.selector.is_empty()).then(|| spec.selector.iter().collect()),
        labels: metadata.labels.iter().collect(),
        subject_alt_names: identities(metadata, sources.options.trust_domain()),
        created: metadata.creation_timestamp,
        provider: Provider::Kubernetes,
        origin: resource.origin(),
        ports,
        endpoints,
    }
}

fn alias_of(spec: &written::ServiceSpec) -> Option<String> {
    let name = spec
        .external_name
        .as_deref()
        .filter(|name| !name.is_empty())?;
    let is_alias = spec.r#type == Some(written::ServiceType::ExternalName);
    is_alias.then(|| name.to_ascii_lowercase())
}

fn visibility(metadata: &Metadata, default: &[String]) -> Visibility {
    match metadata.annotations.get(EXPORT_TO) {
        Some(tokens) if !tokens.is_empty() => {
            let tokens = tokens.split(',').map(|token| token.trim().to_owned());
            Visibility::parse(&tokens.collect::<Vec<_>>(), &metadata.namespace)
        }
        _ => Visibility::parse(default, &metadata.namespace),
    }
}

/// What `trafficDistribution` says, else the annotation of the object, else that of its namespace.
pub(super) fn traffic_distribution(
    written: Option<&str>,
    metadata: &Metadata,
    sources: &Sources<'_>,
) -> TrafficDistribution {
    match written {
        Some("PreferSameZone" | "PreferClose") => return TrafficDistribution::PreferSameZone,
        Some("PreferSameNode") => return TrafficDistribution::PreferSameNode,
        _ => {}
    }
    let namespace = || {
        let found = sources.resources.namespace(&metadata.namespace)?;
        found.metadata.annotations.get(TRAFFIC_DISTRIBUTION)
    };
    let own = metadata.annotations.get(TRAFFIC_DISTRIBUTION);
    let annotation = own.filter(|value| !value.is_empty()).or_else(namespace);
    match annotation
        .map(|value| value.to_ascii_lowercase())
        .as_deref()
    {
        Some("prefersamezone" | "preferclose") => TrafficDistribution::PreferSameZone,
        Some("prefersamenode") => TrafficDistribution::PreferSameNode,
        _ => TrafficDistribution::Any,
    }
}

fn identities(metadata: &Metadata, trust_domain: &str) -> Vec<String> {
    let list = |key| {
        let names = metadata
            .annotations
            .get(key)
            .filter(|names| !names.is_empty());
        names
            .into_iter()
            .flat_map(|names: &String| names.split(','))
    };
    let namespace = &metadata.namespace;
    let account = |name: &str| format!("spiffe://{trust_domain}/ns/{namespace}/sa/{name}");
    list(CANONICAL_ACCOUNTS)
        .map(str::to_owned)
        .chain(list(KUBERNETES_ACCOUNTS).map(account))
        .collect()
}

fn cluster_addresses(spec: &written::ServiceSpec) -> Vec<IpNet> {
    let mut addresses: Vec<IpNet> = Vec::new();
    for address in spec.cluster_ip.iter().chain(&spec.cluster_ips) {
        if let Ok(address) = address.parse::<IpAddr>()
            && !addresses.contains(&address.into())
        {
            addresses.push(address.into());
        }
    }
    addresses
}

fn port(port: &written::ServicePort) -> Option<ServicePort> {
    let number = PortNumber::new(port.port.into()).ok()?;
    let name = port.name.clone().unwrap_or_default();
    let transport = match port.protocol.as_deref() {
        Some("UDP") => Transport::Udp,
        Some("SCTP") => Transport::Sctp,
        _ => Transport::Tcp,
    };
    let app_protocol = port.app_protocol.as_deref();
    Some(ServicePort {
        protocol: Protocol::select(number, &name, transport, app_protocol),
        number: number.get(),
        target: target(port),
        name,
    })
}

fn target(port: &written::ServicePort) -> TargetPort {
    match &port.target_port {
        Some(IntOrString::Int(number)) => {
            let number = u16::try_from(*number).ok().filter(|number| *number != 0);
            TargetPort::Number(number.unwrap_or(port.port))
        }
        Some(IntOrString::String(name)) => match name.parse() {
            Ok(number) => TargetPort::Number(number),
            Err(_) => TargetPort::Name(name.clone()),
        },
        None => TargetPort::Number(port.port),
    }
}
