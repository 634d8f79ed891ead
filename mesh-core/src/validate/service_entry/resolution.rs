//! How addresses of a service are found, and what each way requires.

use std::collections::BTreeSet;

use crate::dns;
use crate::host::HostPattern;
use crate::labels::USE_WAYPOINT;
use crate::resource::Resource;
use crate::resource::istio::service_entry::{Location, Resolution, ServiceEntry};
use crate::resource::istio::workload_entry::WorkloadEntry;
use crate::service::Protocol;
use crate::validate::address::is_ip;
use crate::validate::{At, workload_entry};

/// Checks what the resolution of the service requires of its other fields.
pub(super) fn validate(resource: &Resource<ServiceEntry>, at: At<'_>) {
    let entry = &resource.spec;
    match entry.resolution {
        Resolution::None => validate_none(entry, at),
        Resolution::Static => {
            let ports = port_names(entry);
            at.field("endpoints")
                .each(&entry.endpoints, |endpoint, at| {
                    workload_entry::validate_endpoint(endpoint, Some(&ports), false, at);
                });
        }
        Resolution::Dns | Resolution::DnsRoundRobin => validate_dns(entry, at),
        Resolution::DynamicDns => validate_dynamic_dns(resource, at),
    }
    validate_distinguishable(entry, at.field("ports"));
}

fn port_names(entry: &ServiceEntry) -> BTreeSet<&str> {
    entry.ports.iter().map(|port| port.name.as_str()).collect()
}

fn validate_none(entry: &ServiceEntry, at: At<'_>) {
    let endpoints = at.field("endpoints");
    if !entry.endpoints.is_empty() || endpoints.is_written() {
        endpoints.error("a service with resolution NONE has no endpoints");
    }
    if entry.workload_selector.is_some() {
        at.field("workloadSelector")
            .warning("with resolution NONE no workloads are selected");
    }
}

fn validate_dns(entry: &ServiceEntry, at: At<'_>) {
    if entry.endpoints.is_empty() {
        at.field("hosts").each(&entry.hosts, |host, at| {
            if dns::validate_fqdn(host).is_err() {
                at.error(format_args!(
                    "without endpoints `{host}` would have to be resolved"
                ));
            }
        });
    }
    if entry.resolution == Resolution::DnsRoundRobin && entry.endpoints.len() > 1 {
        at.field("endpoints")
            .error("a service with resolution DNS_ROUND_ROBIN has one endpoint at most");
    }
    let ports = port_names(entry);
    at.field("endpoints")
        .each(&entry.endpoints, |endpoint, at| {
            validate_resolved_endpoint(endpoint, &ports, at);
        });
    let mut protocols = entry
        .ports
        .iter()
        .map(|port| Protocol::parse(&port.protocol));
    let is_tcp = protocols.any(Protocol::is_tcp);
    if is_tcp && !entry.addresses.is_empty() && entry.hosts.len() > 1 {
        at.field("hosts")
            .warning("hosts that share addresses are not told apart on a TCP port");
    }
}

fn validate_resolved_endpoint(endpoint: &WorkloadEntry, ports: &BTreeSet<&str>, at: At<'_>) {
    let address = endpoint.address.as_str();
    if !is_ip(address) && dns::validate_fqdn(address).is_err() {
        at.field("address").error(format_args!(
            "`{address}` is neither a host name nor an IP address"
        ));
    }
    workload_entry::validate_ports(endpoint, Some(ports), at.field("ports"));
    workload_entry::validate_shape(endpoint, at);
}

fn validate_dynamic_dns(resource: &Resource<ServiceEntry>, at: At<'_>) {
    let entry = &resource.spec;
    at.field("hosts").each(&entry.hosts, |host, at| {
        if !HostPattern::new(host).is_wildcard() {
            at.error(format_args!(
                "with resolution DYNAMIC_DNS `{host}` has to be a wildcard"
            ));
        }
    });
    for (field, is_empty) in [
        ("addresses", entry.addresses.is_empty()),
        ("endpoints", entry.endpoints.is_empty()),
    ] {
        if !is_empty {
            at.field(field).error(format_args!(
                "a service with resolution DYNAMIC_DNS has no `{field}`"
            ));
        }
    }
    at.field("ports").each(&entry.ports, |port, at| {
        let allowed = [
            Protocol::Http,
            Protocol::Tls,
            Protocol::Grpc,
            Protocol::Http2,
        ];
        if !allowed.contains(&Protocol::parse(&port.protocol)) {
            at.field("protocol")
                .error("with resolution DYNAMIC_DNS a port is HTTP, HTTP2, GRPC or TLS");
        }
    });
    let waypoint = resource.metadata.labels.get(USE_WAYPOINT);
    let uses_waypoint =
        waypoint.is_some_and(|name| !name.is_empty() && !name.eq_ignore_ascii_case("none"));
    if entry.location == Location::MeshInternal && uses_waypoint {
        at.field("location")
            .error("with resolution DYNAMIC_DNS a waypoint reaches MESH_EXTERNAL services only");
    }
}

/// Checks that connections to several hosts can be told apart, which plain TCP does not allow.
fn validate_distinguishable(entry: &ServiceEntry, at: At<'_>) {
    if entry.resolution == Resolution::None || entry.hosts.len() < 2 {
        return;
    }
    at.each(&entry.ports, |port, at| {
        let protocol = Protocol::parse(&port.protocol);
        if !protocol.is_http() && !protocol.is_tls() {
            at.error("several hosts are not told apart on a port of neither HTTP nor TLS");
        }
    });
}
