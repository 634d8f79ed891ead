//! ServiceEntries, as istiod converts them
//! (`pilot/pkg/serviceregistry/serviceentry/conversion.go`): a service for each host.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::services::instance::{InstanceHost, WorkloadInstance};
use crate::config::services::{
    PortEndpoints, Provider, Service, ServicePort, Sources, TargetPort, kubernetes,
};
use crate::config::visibility::{self, Visibility};
use crate::labels::Labels;
use crate::model::cluster::{Discovery, Endpoint};
use crate::resource::istio::ServiceEntry;
use crate::resource::istio::service_entry::{Location, Resolution, ServicePort as WrittenPort};
use crate::resource::{Resource, Value};
use crate::service::{PortNumber, Protocol};

/// Label of an entry that wants no addresses from a controller.
const AUTO_ALLOCATE: &str = "networking.istio.io/enable-autoallocate-ip";

/// Reads the services of a ServiceEntry, one for each host.
pub(super) fn services<'a>(
    resource: &'a Resource<ServiceEntry>,
    sources: &'a Sources<'a>,
) -> impl Iterator<Item = Service> {
    let instances = instances(resource, sources);
    let hosts = resource.spec.hosts.iter();
    hosts.map(move |host| service(resource, &host.to_ascii_lowercase(), &instances, sources))
}

fn service(
    resource: &Resource<ServiceEntry>,
    host: &str,
    instances: &[WorkloadInstance],
    sources: &Sources<'_>,
) -> Service {
    let spec = &resource.spec;
    let metadata = &resource.metadata;
    let selector = spec.workload_selector.as_ref();
    Service {
        hostname: host.to_owned(),
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        addresses: addresses(&spec.addresses),
        allocated_addresses: allocated_addresses(resource, host),
        discovery: discovery(spec.resolution),
        headless: false,
        external: spec.location == Location::MeshExternal,
        alias_of: None,
        aliases: Vec::new(),
        visibility: visibility(resource, sources),
        traffic_distribution: kubernetes::traffic_distribution(None, metadata, sources),
        node_local: false,
        selector: selector.map(|selector| selector.labels.iter().collect()),
        labels: metadata.labels.iter().collect(),
        subject_alt_names: spec.subject_alt_names.clone(),
        created: metadata.creation_timestamp,
        provider: Provider::External,
        origin: resource.origin(),
        ports: spec.ports.iter().filter_map(port).collect(),
        endpoints: endpoints(spec, host, instances),
    }
}

fn discovery(resolution: Resolution) -> Discovery {
    match resolution {
        Resolution::None => Discovery::OriginalDestination,
        Resolution::Static => Discovery::Static,
        Resolution::Dns => Discovery::StrictDns,
        Resolution::DnsRoundRobin => Discovery::LogicalDns,
        Resolution::DynamicDns => Discovery::DynamicDns,
    }
}

/// Who sees the entry: what it says, narrowed by `serviceEntryVisibility` of the mesh.
fn visibility(resource: &Resource<ServiceEntry>, sources: &Sources<'_>) -> Visibility {
    let namespace = &resource.metadata.namespace;
    let own = &resource.spec.export_to;
    let tokens = match own.is_empty() {
        true => sources.options.default_service_export_to(),
        false => own,
    };
    let written = Visibility::parse(tokens, namespace);
    match &sources.options.as_written().service_entry_visibility {
        Some(rules) if rules.apply_to_sidecars => {
            let labels = sources.resources.namespace_labels(namespace);
            visibility::narrow(written, namespace, rules, &labels)
        }
        _ => written,
    }
}

fn port(port: &WrittenPort) -> Option<ServicePort> {
    let number = PortNumber::new(port.number).ok()?.get();
    Some(ServicePort {
        name: port.name.clone(),
        number,
        target: TargetPort::Number(target(port).unwrap_or(number)),
        protocol: Protocol::parse(&port.protocol),
    })
}

fn target(port: &WrittenPort) -> Option<u16> {
    PortNumber::new(port.target_port).ok().map(PortNumber::get)
}

fn addresses(written: &[String]) -> Vec<IpNet> {
    let parse = |text: &String| {
        let address: Option<IpAddr> = text.parse().ok();
        address.map(IpNet::from).or_else(|| text.parse().ok())
    };
    written.iter().filter_map(parse).collect()
}

/// The addresses of `.status.addresses`, which only entries without own ones have
/// (`ShouldV2AutoAllocateIP`).
fn allocated_addresses(resource: &Resource<ServiceEntry>, host: &str) -> Vec<IpAddr> {
    let spec = &resource.spec;
    let refused = resource.metadata.labels.get(AUTO_ALLOCATE);
    let refused = refused.is_some_and(|value| value.eq_ignore_ascii_case("false"));
    if refused || spec.resolution == Resolution::None || !spec.addresses.is_empty() {
        return Vec::new();
    }
    let written = resource
        .status
        .as_ref()
        .and_then(|status| status.field("addresses"));
    let Some(Value::List(written)) = written else {
        return Vec::new();
    };
    let text = |address: &Value, field| {
        let text = address.field(field).and_then(Value::as_str);
        text.map(str::to_owned)
    };
    // An address without host was given by an old controller, for the only host.
    let is_own = |address: &&Value| match text(address, "host").as_deref() {
        Some("") | None => spec.hosts.len() == 1,
        Some(of) => of.eq_ignore_ascii_case(host),
    };
    let own = written.iter().filter(is_own);
    own.filter_map(|address| text(address, "value")?.parse().ok())
        .collect()
}

/// The workloads that an entry lists or selects. Only an entry that is resolved by DNS may have
/// selected ones that are known by name.
fn instances(resource: &Resource<ServiceEntry>, sources: &Sources<'_>) -> Vec<WorkloadInstance> {
    let spec = &resource.spec;
    let namespace = &resource.metadata.namespace;
    let Some(selector) = &spec.workload_selector else {
        let listed = spec.endpoints.iter().filter_map(|entry| {
            let labels: Labels = entry.labels.iter().collect();
            sources.entry_instance(entry, &labels, namespace)
        });
        return listed.collect();
    };
    let by_dns = matches!(spec.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    let selector: Labels = selector.labels.iter().collect();
    sources
        .selected(namespace, &selector)
        .filter(|instance| by_dns || matches!(instance.host, InstanceHost::Ip(_)))
        .cloned()
        .collect()
}

fn endpoints(
    spec: &ServiceEntry,
    host: &str,
    instances: &[WorkloadInstance],
) -> Vec<PortEndpoints> {
    let by_dns = matches!(spec.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    let is_host = by_dns && spec.endpoints.is_empty() && spec.workload_selector.is_none();
    let of_port = |written: &WrittenPort| {
        let number = PortNumber::new(written.number).ok()?.get();
        let endpoints = if is_host {
            let port = target(written).unwrap_or(number);
            let address = InstanceHost::Dns(host.to_owned()).at(port);
            vec![Endpoint::new(address)]
        } else {
            let endpoint = |instance: &WorkloadInstance| {
                instance.endpoint(instance_port(instance, written, number))
            };
            instances.iter().map(endpoint).collect()
        };
        Some(PortEndpoints {
            port: number,
            name: written.name.as_str().into(),
            endpoints,
        })
    };
    spec.ports.iter().filter_map(of_port).collect()
}

/// The port of a workload behind a ServiceEntry: its own for that name, else the target port, else
/// the number that clients use.
fn instance_port(instance: &WorkloadInstance, port: &WrittenPort, number: u16) -> u16 {
    let own = instance.ports.get(&port.name).copied();
    own.or_else(|| target(port)).unwrap_or(number)
}
