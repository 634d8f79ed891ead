//! Whether a Gateway is served, and where (`ResolveGatewayInstances` in
//! `pilot/pkg/config/kube/gatewaycommon/context.go`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::Serialize;

use crate::analyze::status::condition::Verdict;
use crate::analyze::status::existing;
use crate::analyze::status::scene::Scene;
use crate::config::MeshConfig;
use crate::config::gateway_api::reason::Reason;
use crate::config::services::{Provider, Service, ServicePort};
use crate::resolve::gateway_api::gateway;
use crate::resource::gateway_api::gateway::Gateway;
use crate::resource::kubernetes::service::ServiceType;
use crate::resource::{Resource, Value};

/// Annotation that says which type of addresses a Gateway reports of a Service in the cluster.
const ADDRESS_TYPE: &str = "networking.istio.io/address-type";
/// Label of what was deployed for a Gateway.
const MANAGED: &str = "gateway.istio.io/managed";

/// An address at which a Gateway is served.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct GatewayStatusAddress {
    /// Whether it is an `IPAddress` or a `Hostname`.
    pub r#type: String,
    /// The address.
    pub value: String,
}

impl GatewayStatusAddress {
    fn new(value: &str) -> Self {
        let is_ip = value.parse::<IpAddr>().is_ok();
        Self {
            r#type: if is_ip { "IPAddress" } else { "Hostname" }.to_owned(),
            value: value.to_owned(),
        }
    }
}

/// Where a Gateway is served.
#[derive(Debug, Default)]
pub(super) struct Instances {
    /// Ports of Services in the cluster that somebody is behind.
    internal: BTreeSet<String>,
    /// Addresses of these Services in the cluster.
    cluster_addresses: BTreeSet<String>,
    /// Their addresses outside of it.
    external: BTreeSet<String>,
    /// Services that will have an address outside of the cluster.
    pending: BTreeSet<String>,
    /// What is missing.
    warnings: Vec<String>,
    /// Whether some of it will not come by itself.
    has_unusable: bool,
    /// Whether the Gateway has Services at all.
    has_services: bool,
}

/// Where a Gateway is served, at these ports of its Services.
pub(super) fn instances(
    config: &MeshConfig,
    gateway: &Resource<Gateway>,
    ports: &BTreeSet<u16>,
) -> Instances {
    let services = gateway::services(config, gateway);
    let mut found = Instances {
        has_services: !services.is_empty(),
        ..Instances::default()
    };
    let namespace = &gateway.metadata.namespace;
    for hostname in services {
        let mut declared = config.services().declared(&hostname);
        match declared.find(|service| service.namespace == *namespace) {
            Some(service) => found.add(config, service, ports),
            None => found.add_missing(config, &hostname, namespace),
        }
    }
    found.warnings.sort_unstable();
    found
}

impl Instances {
    fn add_missing(&mut self, config: &MeshConfig, hostname: &str, namespace: &str) {
        let declared = config.services().declared(hostname);
        let elsewhere: BTreeSet<String> = declared
            .map(|service| format!("\"{}\"", service.namespace))
            .collect();
        let elsewhere: Vec<String> = elsewhere.into_iter().collect();
        self.has_unusable = true;
        self.warnings.push(match elsewhere.as_slice() {
            [] => format!("hostname \"{hostname}\" not found"),
            found => format!(
                "hostname \"{hostname}\" not found in namespace \"{namespace}\", but it was found \
                 in namespace(s) {}",
                found.join(", ")
            ),
        });
    }

    fn add(&mut self, config: &MeshConfig, service: &Service, ports: &BTreeSet<u16>) {
        for &port in ports {
            let found = service.port(port);
            let is_served = found.is_some_and(|port| !service.endpoints(port).is_empty());
            match is_served {
                true => self.add_served(config, service, port),
                false => self.add_unserved(service, port),
            }
        }
    }

    fn add_served(&mut self, config: &MeshConfig, service: &Service, port: u16) {
        let hostname = &service.hostname;
        self.internal.insert(format!("{hostname}:{port}"));
        let addresses = service.addresses.iter();
        self.cluster_addresses
            .extend(addresses.map(|address| address.addr().to_string()));
        let (external, is_load_balanced) = external_addresses(config, service);
        if external.is_empty() && is_load_balanced && self.pending.insert(hostname.clone()) {
            let warning = format!("address pending for hostname \"{hostname}\"");
            self.warnings.push(warning);
        }
        self.external.extend(external);
    }

    fn add_unserved(&mut self, service: &Service, port: u16) {
        let hostname = &service.hostname;
        let mut all = service.ports.iter();
        if all.all(|port| service.endpoints(port).is_empty()) {
            self.warnings
                .push(format!("no instances found for hostname \"{hostname}\""));
            return;
        }
        let is_behind = |found: &ServicePort| {
            let endpoints = service.endpoints(found).iter();
            let mut ports = endpoints.filter_map(|endpoint| endpoint.address.port());
            ports.any(|behind| behind == port)
        };
        let hints = service.ports.iter().filter(|found| is_behind(found));
        let hints: BTreeSet<String> = hints.map(|found| found.number.to_string()).collect();
        if !hints.is_empty() {
            let hints: Vec<String> = hints.into_iter().collect();
            self.has_unusable = true;
            self.warnings.push(format!(
                "port {port} not found for hostname \"{hostname}\" (hint: the service port should \
                 be specified, not the workload port. Did you mean one of these ports: [{}]?)",
                hints.join(" ")
            ));
            return;
        }
        // What was deployed for the Gateway has the port soon.
        let is_managed = service.labels.value(MANAGED).is_some();
        if !is_managed || service.port(port).is_none() {
            self.has_unusable = true;
            let warning = format!("port {port} not found for hostname \"{hostname}\"");
            self.warnings.push(warning);
        }
    }

    /// Whether it is served (`SetProgrammedCondition`).
    pub(super) fn programmed(&self) -> Verdict {
        if !self.has_services {
            let message = "Failed to assign to any requested addresses";
            return Verdict::no(Reason::UnsupportedAddress, message);
        }
        let internal: Vec<&str> = self.internal.iter().map(String::as_str).collect();
        let assigned = human_readable(&internal);
        let missing = self.warnings.join("; ");
        let reason = match self.has_unusable {
            true => Reason::AddressNotUsable,
            false => Reason::AddressNotAssigned,
        };
        match (internal.is_empty(), self.warnings.is_empty()) {
            (true, true) => Verdict::yes(Reason::Programmed, "Resource programmed"),
            (false, true) => {
                let message = format!("Resource programmed, assigned to service(s) {assigned}");
                Verdict::yes(Reason::Programmed, message)
            }
            (true, false) => {
                let message = format!("Failed to assign to any requested addresses: {missing}");
                Verdict::no(reason, message)
            }
            (false, false) => {
                let message = format!(
                    "Assigned to service(s) {assigned}, but failed to assign to all requested \
                     addresses: {missing}"
                );
                Verdict::no(reason, message)
            }
        }
    }

    /// The addresses to report: those outside of the cluster, else those within.
    fn reported(&self, gateway: &Resource<Gateway>) -> BTreeSet<String> {
        if !self.external.is_empty() {
            return self.external.clone();
        }
        let wanted = gateway.metadata.annotations.get(ADDRESS_TYPE);
        match wanted.map_or("Hostname", String::as_str) {
            "Hostname" => self.hosts().collect(),
            "IPAddress" => self.cluster_addresses.clone(),
            // As in istiod, any other type is both.
            _ => self.hosts().chain(self.cluster_addresses.clone()).collect(),
        }
    }

    /// The Services in the cluster, but for those that will have an address outside of it.
    fn hosts(&self) -> impl Iterator<Item = String> {
        self.internal.iter().filter_map(|internal| {
            let (host, _) = internal.rsplit_once(':')?;
            (!self.pending.contains(host)).then(|| host.to_owned())
        })
    }
}

/// Where a Gateway is served. An address that was reported once stays until there is another.
pub(super) fn addresses(
    scene: &Scene<'_>,
    gateway: &Resource<Gateway>,
    instances: &Instances,
) -> Vec<GatewayStatusAddress> {
    let given = given(scene, gateway);
    let found = match given {
        Some(given) => given.iter().cloned().collect(),
        None => instances.reported(gateway),
    };
    if !found.is_empty() {
        return found
            .iter()
            .map(|value| GatewayStatusAddress::new(value))
            .collect();
    }
    let existing = existing::list(gateway.status.as_ref(), "addresses").iter();
    let value = |address: &Value| GatewayStatusAddress::new(existing::text(address, "value"));
    existing.map(value).collect()
}

/// The addresses of a Gateway that the caller knows.
pub(super) fn given<'s>(
    scene: &'s Scene<'_>,
    gateway: &Resource<Gateway>,
) -> Option<&'s Vec<String>> {
    let metadata = &gateway.metadata;
    let key = (metadata.namespace.clone(), metadata.name.clone());
    scene.options.addresses.get(&key)
}

/// The addresses of a Service outside of the cluster, and whether somebody is to give it one.
fn external_addresses(config: &MeshConfig, service: &Service) -> (Vec<String>, bool) {
    let mut services = config.resources().services.iter();
    let written = services.find(|written| {
        service.provider == Provider::Kubernetes
            && written.metadata.name == service.name
            && written.metadata.namespace == service.namespace
    });
    let Some(written) = written.map(|written| &written.spec) else {
        return (Vec::new(), false);
    };
    let is_load_balanced = written.spec.r#type == Some(ServiceType::LoadBalancer);
    let ingress = written.status.load_balancer.ingress.iter();
    let ingress = ingress.filter_map(|ingress| {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        filled(&ingress.ip).or_else(|| filled(&ingress.hostname))
    });
    let mut addresses: Vec<String> = ingress.filter(|_| is_load_balanced).collect();
    addresses.extend(written.spec.external_ips.iter().cloned());
    (addresses, is_load_balanced)
}

/// `a`, `a and b`, `a, b, and c`.
fn human_readable(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first, second] => format!("{first} and {second}"),
        [first @ .., last] => format!("{}, and {last}", first.join(", ")),
    }
}
