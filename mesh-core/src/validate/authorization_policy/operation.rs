//! What requests do.

use super::validate_no_empty;
use crate::matcher::PathTemplate;
use crate::resource::istio::authorization_policy::Operation;
use crate::validate::At;

pub(super) fn validate(operation: &Operation, at: At<'_>) {
    if *operation == Operation::default() {
        at.error("an operation cannot be empty");
    }
    let Operation {
        hosts,
        not_hosts,
        ports,
        not_ports,
        methods,
        not_methods,
        paths,
        not_paths,
    } = operation;
    for (field, values) in [
        ("hosts", hosts),
        ("notHosts", not_hosts),
        ("methods", methods),
        ("notMethods", not_methods),
        ("paths", paths),
        ("notPaths", not_paths),
    ] {
        validate_no_empty(values, at.field(field));
    }
    for (field, values) in [("ports", ports), ("notPorts", not_ports)] {
        validate_ports(values, at.field(field));
    }
    for (field, values) in [("paths", paths), ("notPaths", not_paths)] {
        at.field(field)
            .each(values, |path, at| validate_path(path, at));
    }
}

/// Whether the operation has an attribute that a TCP connection has.
pub(super) fn applies_to_tcp(operation: &Operation) -> bool {
    !operation.ports.is_empty() || !operation.not_ports.is_empty()
}

/// Checks ports, which may be 0 (`security.ValidatePorts`).
pub(super) fn validate_ports(ports: &[String], at: At<'_>) {
    at.each(ports, |port, at| {
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || port.parse::<u16>().is_err() {
            at.error(format_args!("`{port}` is not a port from 0 to 65535"));
        }
    });
}

/// Checks a path, which may be a template (`security.CheckValidPathTemplate`).
fn validate_path(path: &str, at: At<'_>) {
    if PathTemplate::is_template(path) {
        // A template may lack the slash in front.
        let absolute = format!("/{}", path.trim_start_matches('/'));
        at.check(PathTemplate::parse(&absolute).map(drop));
    } else if path.contains(['{', '}']) {
        at.error(format_args!(
            "`{path}` has a brace outside of `{{*}}` and `{{**}}`"
        ));
    }
}
