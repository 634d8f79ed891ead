//! Rules of ServiceEntry (`ValidateServiceEntry`).
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::ServiceEntry;
//! use mesh_core::validate::{Report, service_entry};
//!
//! let mut resource = Resource::<ServiceEntry>::default();
//! resource.spec.hosts = vec!["*".into()];
//! let report = Report::default();
//! service_entry::validate(&resource, report.root());
//! assert_eq!(report.into_violations()[0].origin.path(), "spec.hosts[0]");
//! ```

use std::collections::BTreeSet;

mod resolution;

use super::export_to::{self, Exporter};
use super::{At, address, port, selector};
use crate::dns;
use crate::resource::Resource;
use crate::resource::istio::service_entry::{Resolution, ServiceEntry, ServicePort};

/// The most hosts, addresses and ports.
const MAX_ITEMS: usize = 256;

/// The most endpoints.
const MAX_ENDPOINTS: usize = 4096;

/// The longest address of a service.
const MAX_ADDRESS_LEN: usize = 64;

/// Label by which a user opts out of addresses that Istio allocates.
const AUTO_ALLOCATION: &str = "networking.istio.io/enable-autoallocate-ip";

/// Checks a ServiceEntry.
pub fn validate(resource: &Resource<ServiceEntry>, at: At<'_>) {
    let entry = &resource.spec;
    let at = at.field("spec");

    validate_bounds(entry, at);
    if let Some(selector) = &entry.workload_selector {
        selector::validate_networking(selector, at.field("workloadSelector"));
        let endpoints = at.field("endpoints");
        if !entry.endpoints.is_empty() || endpoints.is_written() {
            at.error("only one of `workloadSelector` and `endpoints` can be set");
        }
    }
    at.field("hosts").each(&entry.hosts, |host, at| {
        validate_host(host, entry.resolution, at)
    });
    at.field("addresses").each(&entry.addresses, |subnet, at| {
        address::validate_subnet(subnet, at);
        let allows_ranges = matches!(entry.resolution, Resolution::None | Resolution::Static);
        if subnet.contains('/') && !allows_ranges {
            at.error(format_args!(
                "with this resolution range `{subnet}` is not an address"
            ))
            .help("ranges are for the resolutions NONE and STATIC");
        }
        if subnet.len() > MAX_ADDRESS_LEN {
            at.error(format_args!(
                "an address is longer than {MAX_ADDRESS_LEN} bytes"
            ));
        }
    });
    validate_ports(resource, at.field("ports"));
    resolution::validate(resource, at);
    let namespace = &resource.metadata.namespace;
    let export_to = at.field("exportTo");
    export_to::validate(
        &entry.export_to,
        Exporter::ServiceEntry,
        namespace,
        export_to,
    );
}

fn validate_bounds(entry: &ServiceEntry, at: At<'_>) {
    at.field("hosts")
        .require(!entry.hosts.is_empty(), "at least one host is required");
    for (field, len, max) in [
        ("hosts", entry.hosts.len(), MAX_ITEMS),
        ("addresses", entry.addresses.len(), MAX_ITEMS),
        ("ports", entry.ports.len(), MAX_ITEMS),
        ("endpoints", entry.endpoints.len(), MAX_ENDPOINTS),
    ] {
        if len > max {
            at.field(field).error(format_args!("more than {max} items"));
        }
    }
}

fn validate_host(host: &str, resolution: Resolution, at: At<'_>) {
    if host == "*" {
        at.error("a service cannot be every host (`*`)");
        return;
    }
    at.check(dns::validate_wildcard_domain(host));
    if resolution != Resolution::DynamicDns && dns::is_partial_wildcard(host) {
        at.warning(format_args!("in `{host}` a wildcard is not a whole label"));
    }
}

fn validate_ports(resource: &Resource<ServiceEntry>, at: At<'_>) {
    let entry = &resource.spec;
    let has_address = !entry.addresses.is_empty() || allocates_addresses(resource);
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    at.each(&entry.ports, |port, at| {
        let ServicePort {
            number,
            protocol,
            name,
            target_port,
        } = port;
        if !names.insert(name.as_str()) {
            at.field("name")
                .error(format_args!("port name `{name}` is there twice"));
        }
        if !numbers.insert(*number) {
            at.field("number")
                .error(format_args!("port number `{number}` is there twice"));
        }
        if !has_address && matches!(protocol.as_str(), "" | "TCP") {
            at.warning("a TCP port needs `addresses`, since none are allocated");
        }
        port::validate_name(name, at.field("name"));
        port::validate_protocol(protocol, at.field("protocol"));
        port::validate_number(*number, at.field("number"));
        let target = at.field("targetPort");
        if *target_port != 0 || target.is_written() {
            port::validate_number(*target_port, target);
        }
    });
}

/// Whether Istio gives the service addresses of its own (`ShouldV2AutoAllocateIP`).
fn allocates_addresses(resource: &Resource<ServiceEntry>) -> bool {
    let entry = &resource.spec;
    let label = resource.metadata.labels.get(AUTO_ALLOCATION);
    let opted_out = label.is_some_and(|value| value.eq_ignore_ascii_case("false"));
    entry.resolution != Resolution::None && !opted_out
}

#[cfg(test)]
mod tests;
