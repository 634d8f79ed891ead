//! Rules of WorkloadEntry, and of the endpoints of a ServiceEntry (`ValidateWorkloadEntry`).
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::WorkloadEntry;
//! use mesh_core::validate::{Report, workload_entry};
//!
//! let resource = Resource::<WorkloadEntry>::default();
//! let report = Report::default();
//! workload_entry::validate(&resource, report.root());
//! assert_eq!(report.into_violations()[0].message, "an address is required");
//! ```

use std::collections::BTreeSet;

use super::address::{UNIX_PREFIX, is_ip};
use super::{At, address, port, selector};
use crate::dns;
use crate::resource::Resource;
use crate::resource::istio::WorkloadEntry;

/// The longest address.
const MAX_ADDRESS_LEN: usize = 256;

/// The longest locality and name of a network.
const MAX_LOCALITY_LEN: usize = 2048;

/// The longest name of a service account.
const MAX_ACCOUNT_LEN: usize = 253;

/// The most labels and ports.
const MAX_LABELS: usize = 256;
const MAX_PORTS: usize = 128;

/// The longest name of a port, one less than that of a service may have.
const MAX_PORT_NAME_LEN: usize = 62;

/// Checks a WorkloadEntry.
pub fn validate(resource: &Resource<WorkloadEntry>, at: At<'_>) {
    validate_endpoint(&resource.spec, None, true, at.field("spec"));
}

/// Checks an endpoint. Its ports are those of `service_ports`, if the service is known, and its
/// address may be a host name where that is resolved.
pub(super) fn validate_endpoint(
    entry: &WorkloadEntry,
    service_ports: Option<&BTreeSet<&str>>,
    may_be_name: bool,
    at: At<'_>,
) {
    let address = entry.address.as_str();
    if address.is_empty() {
        if entry.network.is_empty() {
            at.error("an address is required");
            return;
        }
        at.warning(format_args!(
            "an endpoint of network `{}` has no address",
            entry.network
        ));
    }
    validate_address(address, may_be_name, at.field("address"));
    if address.starts_with(UNIX_PREFIX) {
        validate_no_ports(entry, at.field("ports"));
        let one_port = service_ports.is_none_or(|ports| ports.len() == 1);
        at.require(
            one_port,
            "a service at a Unix domain socket has exactly one port",
        );
    }
    validate_ports(entry, service_ports, at.field("ports"));
    validate_shape(entry, at);
}

fn validate_address(address: &str, may_be_name: bool, at: At<'_>) {
    if let Some(path) = address.strip_prefix(UNIX_PREFIX) {
        address::validate_unix_path(path, at);
    } else if address.is_empty() || is_ip(address) {
    } else if !may_be_name {
        at.error(format_args!("`{address}` is not an IP address"));
    } else if dns::validate_fqdn(address).is_err() {
        at.error(format_args!(
            "`{address}` is neither a host name nor an IP address"
        ));
    }
}

/// Checks ports by name, which belong to the service if it is known.
pub(super) fn validate_ports(
    entry: &WorkloadEntry,
    service_ports: Option<&BTreeSet<&str>>,
    at: At<'_>,
) {
    at.each_entry(&entry.ports, |name, number, at| {
        if service_ports.is_some_and(|ports| !ports.contains(name)) {
            at.error(format_args!("the service has no port `{name}`"));
        }
        port::validate_name(name, at);
        at.require(
            name.len() <= MAX_PORT_NAME_LEN,
            "the name of a port of an endpoint has at most 62 bytes",
        );
        port::validate_number(*number, at);
    });
}

/// Checks that an endpoint at a Unix domain socket has no ports, nor an empty map of them.
pub(super) fn validate_no_ports(entry: &WorkloadEntry, at: At<'_>) {
    at.require(
        entry.ports.is_empty() && !at.is_written(),
        "an endpoint at a Unix domain socket has no ports",
    );
}

/// Checks labels, and the bounds on all fields.
pub(super) fn validate_shape(entry: &WorkloadEntry, at: At<'_>) {
    selector::validate_labels(&entry.labels, at.field("labels"));
    validate_bounds(entry, at);
}

/// Checks the bounds that the schema sets.
pub(super) fn validate_bounds(entry: &WorkloadEntry, at: At<'_>) {
    for (field, len, max) in [
        ("address", entry.address.len(), MAX_ADDRESS_LEN),
        ("labels", entry.labels.len(), MAX_LABELS),
        ("locality", entry.locality.len(), MAX_LOCALITY_LEN),
        ("network", entry.network.len(), MAX_LOCALITY_LEN),
        ("ports", entry.ports.len(), MAX_PORTS),
        (
            "serviceAccount",
            entry.service_account.len(),
            MAX_ACCOUNT_LEN,
        ),
    ] {
        if len > max {
            at.field(field).error(format_args!("longer than {max}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, assert_warnings, read};

    #[test]
    fn an_endpoint_has_an_address() {
        let cases = [
            (json!({"address": "10.0.0.1", "ports": {"http": 80}}), 0),
            (json!({"address": "vm.example.com"}), 0),
            (json!({"address": "unix:///run/a"}), 0),
            (json!({"address": "unix://@a"}), 0),
            (json!({"address": "unix://a"}), 1),
            (json!({"address": "unix:///a", "ports": {"http": 80}}), 1),
            (json!({"address": "a b"}), 1),
            (json!({"address": "10.0.0.1", "ports": {"a b": 0}}), 2),
            (json!({"address": "10.0.0.1", "labels": {"a": "b c"}}), 1),
            (
                json!({"address": "10.0.0.1", "ports": {"a".repeat(62): 80}}),
                0,
            ),
            (
                json!({"address": "10.0.0.1", "ports": {"a".repeat(63): 80}}),
                1,
            ),
            (json!({}), 1),
        ];
        for (entry, errors) in cases {
            assert_errors(&entry.to_string(), errors, |at| {
                validate_endpoint(&read(entry.clone()), None, true, at);
            });
        }
        let remote = read(json!({"network": "east"}));
        assert_warnings("of a network", 1, |at| {
            validate_endpoint(&remote, None, true, at)
        });
    }

    #[test]
    fn ports_are_those_of_the_service() {
        let ports = BTreeSet::from(["http", "grpc"]);
        for (entry, errors) in [
            (json!({"address": "10.0.0.1", "ports": {"http": 80}}), 0),
            (json!({"address": "10.0.0.1", "ports": {"tcp": 80}}), 1),
            (json!({"address": "unix:///a"}), 1),
            (json!({"address": "vm.example.com"}), 1),
        ] {
            assert_errors(&entry.to_string(), errors, |at| {
                validate_endpoint(&read(entry.clone()), Some(&ports), false, at);
            });
        }
    }
}
