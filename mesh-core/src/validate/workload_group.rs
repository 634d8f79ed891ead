//! Rules of WorkloadGroup (`ValidateWorkloadGroup`).
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::WorkloadGroup;
//! use mesh_core::validate::{Report, workload_group};
//!
//! let resource = Resource::<WorkloadGroup>::default();
//! let report = Report::default();
//! workload_group::validate(&resource, report.root());
//! assert_eq!(report.into_violations()[0].message, "a template is required");
//! ```

use super::address::UNIX_PREFIX;
use super::{At, address, port, selector, workload_entry};
use crate::header;
use crate::resource::Resource;
use crate::resource::istio::workload_entry::WorkloadEntry;
use crate::resource::istio::workload_group::{
    HttpHealthCheckConfig, ObjectMeta, ReadinessProbe, WorkloadGroup,
};

/// The most labels, and annotations, of entries.
const MAX_ENTRIES: usize = 256;

/// Checks a WorkloadGroup. Its template may lack what each workload adds, such as its address.
pub fn validate(resource: &Resource<WorkloadGroup>, at: At<'_>) {
    let WorkloadGroup {
        metadata,
        template,
        probe,
    } = &resource.spec;
    let at = at.field("spec");
    match template {
        Some(template) => validate_template(template, at.field("template")),
        None => {
            at.error("a template is required");
        }
    }
    if let Some(metadata) = metadata {
        validate_metadata(metadata, at.field("metadata"));
    }
    if let Some(probe) = probe {
        validate_probe(probe, at.field("probe"));
    }
}

fn validate_metadata(metadata: &ObjectMeta, at: At<'_>) {
    let ObjectMeta {
        labels,
        annotations,
    } = metadata;
    selector::validate_labels(labels, at.field("labels"));
    for (field, entries) in [("labels", labels), ("annotations", annotations)] {
        if entries.len() > MAX_ENTRIES {
            at.field(field)
                .error(format_args!("more than {MAX_ENTRIES} entries"));
        }
    }
}

/// Checks a template by its schema, which is all that Istio does: its labels may be anything.
fn validate_template(template: &WorkloadEntry, at: At<'_>) {
    if let Some(path) = template.address.strip_prefix(UNIX_PREFIX) {
        address::validate_unix_path(path, at.field("address"));
        workload_entry::validate_no_ports(template, at.field("ports"));
    }
    workload_entry::validate_ports(template, None, at.field("ports"));
    workload_entry::validate_bounds(template, at);
}

/// Checks how the health of a workload is probed (`validateReadinessProbe`).
///
/// The schema has `grpc`, which Istio's webhook does not know and refuses.
pub(super) fn validate_probe(probe: &ReadinessProbe, at: At<'_>) {
    for (field, value) in [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ] {
        if value < 0 {
            at.field(field).error(format_args!("`{value}` is negative"));
        }
    }
    at.exactly_one(&[
        ("httpGet", probe.http_get.is_some()),
        ("tcpSocket", probe.tcp_socket.is_some()),
        ("exec", probe.exec.is_some()),
        ("grpc", probe.grpc.is_some()),
    ]);
    if let Some(http) = &probe.http_get {
        validate_http(http, at.field("httpGet"));
    }
    if let Some(socket) = &probe.tcp_socket {
        port::validate_number(socket.port, at.field("tcpSocket").field("port"));
    }
    if let Some(exec) = &probe.exec {
        let exec_at = at.field("exec");
        let at = exec_at.field("command");
        at.require(!exec.command.is_empty(), "a command is required");
        at.each(&exec.command, |word, at| {
            at.require(!word.is_empty(), "a word of a command cannot be empty");
        });
    }
    if let Some(grpc) = &probe.grpc {
        validate_grpc(grpc.port, at.field("grpc"));
    }
}

/// Checks the port of a gRPC probe, which may be left out.
fn validate_grpc(number: u32, at: At<'_>) {
    at.error("Istio refuses probes by gRPC")
        .help("use `httpGet`, `tcpSocket` or `exec`");
    let at = at.field("port");
    if number != 0 || at.is_written() {
        port::validate_number(number, at);
    }
}

fn validate_http(http: &HttpHealthCheckConfig, at: At<'_>) {
    port::validate_number(http.port, at.field("port"));
    if !matches!(http.scheme.as_str(), "" | "HTTP" | "HTTPS") {
        at.field("scheme").error("the scheme is `HTTP` or `HTTPS`");
    }
    at.field("httpHeaders")
        .each(&http.http_headers, |header, at| {
            at.field("name")
                .check(header::validate_probe_name(&header.name));
        });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, read};

    #[test]
    fn a_template_needs_no_address() {
        let group = |spec| Resource::<WorkloadGroup> {
            spec: read(spec),
            ..Resource::default()
        };
        let many: BTreeMap<_, _> = (0..257).map(|n| (format!("a{n}"), "b")).collect();
        let cases = [
            (json!({"template": {}}), 0),
            (json!({"template": {"labels": {"a b": "c"}}}), 0),
            (json!({"template": {"labels": many}}), 1),
            (json!({"template": {"ports": {"http": 99999}}}), 1),
            (
                json!({"template": {"address": "unix://a", "ports": {"http": 80}}}),
                2,
            ),
            (
                json!({"template": {}, "metadata": {"labels": {"a b": "c"}}}),
                1,
            ),
            (
                json!({"template": {}, "metadata": {"annotations": many}}),
                1,
            ),
            (json!({}), 1),
        ];
        for (spec, errors) in cases {
            assert_errors(&spec.to_string(), errors, |at| {
                validate(&group(spec.clone()), at)
            });
        }
    }

    #[test]
    fn a_probe_uses_one_method() {
        let cases = [
            (json!({"httpGet": {"port": 80, "scheme": "HTTPS"}}), 0),
            (json!({"tcpSocket": {"port": 80}, "periodSeconds": 5}), 0),
            (json!({"exec": {"command": ["true"]}}), 0),
            (json!({"grpc": {}}), 1),
            (json!({"grpc": {"port": 65536}}), 2),
            (json!({}), 1),
            (
                json!({"httpGet": {"port": 80}, "exec": {"command": ["a"]}}),
                1,
            ),
            (
                json!({"httpGet": {"port": 0, "scheme": "http", "httpHeaders": [{"name": "_"}]}}),
                3,
            ),
            (json!({"exec": {}}), 1),
            (json!({"tcpSocket": {"port": 80}, "timeoutSeconds": -1}), 1),
        ];
        for (probe, errors) in cases {
            assert_errors(&probe.to_string(), errors, |at| {
                validate_probe(&read(probe.clone()), at)
            });
        }
    }
}
