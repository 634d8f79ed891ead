//! Further conditions.

use super::operation::validate_ports;
use super::source::{validate_accounts, validate_ip_blocks, validate_wildcards};
use super::validate_no_empty;
use crate::resource::istio::authorization_policy::Condition;
use crate::validate::At;

pub(super) fn validate(condition: &Condition, at: At<'_>) {
    let Condition {
        key,
        values,
        not_values,
    } = condition;
    if key.is_empty() {
        at.field("key").error("the key of a condition is required");
        return;
    }
    if values.is_empty() && not_values.is_empty() {
        at.error(format_args!("condition `{key}` has no values"));
    }
    validate_key(key, at.field("key"));
    for (field, values) in [("values", values), ("notValues", not_values)] {
        validate_values(key, values, at.field(field));
    }
}

/// Checks the name of an attribute (`security.ValidateAttribute`).
fn validate_key(key: &str, at: At<'_>) {
    let nested = [
        "request.headers",
        "request.auth.claims",
        "experimental.envoy.filters.",
    ];
    let removed = [
        "destination.name",
        "destination.namespace",
        "destination.user",
    ];
    let plain = [
        "connection.sni",
        "destination.ip",
        "destination.port",
        "remote.ip",
        "request.auth.audiences",
        "request.auth.presenter",
        "request.auth.principal",
        "source.ip",
        "source.namespace",
        "source.principal",
        "source.serviceAccount",
        "source.trustDomain",
    ];
    if nested.iter().any(|prefix| key.starts_with(prefix)) {
        at.require(has_nested_name(key), "the attribute is written as `a[b]`");
    } else if removed.contains(&key) || key.starts_with("destination.labels") {
        at.error(format_args!("attribute `{key}` was removed"))
            .help("use the namespace and the selector of the policy");
    } else if !plain.contains(&key) {
        at.error(format_args!("unknown attribute `{key}`"));
    }
}

/// Whether the key ends in a name in brackets.
fn has_nested_name(key: &str) -> bool {
    let nested = key.split_once('[').and_then(|(prefix, rest)| {
        let name = rest.strip_suffix(']')?;
        Some(!prefix.is_empty() && !name.is_empty())
    });
    nested == Some(true)
}

fn validate_values(key: &str, values: &[String], at: At<'_>) {
    match key {
        "source.ip" | "remote.ip" | "destination.ip" => validate_ip_blocks(values, at),
        "destination.port" => validate_ports(values, at),
        "source.serviceAccount" => validate_accounts(values, at),
        "source.trustDomain" => validate_wildcards(values, at),
        _ => validate_no_empty(values, at),
    }
}
