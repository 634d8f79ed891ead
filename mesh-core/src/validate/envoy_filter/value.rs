//! Parts of Envoy's configuration.

use std::collections::BTreeMap;

use crate::resource::Value;
use crate::resource::istio::envoy_filter::ApplyTo;
use crate::validate::At;

/// What the names of messages begin with (`google.protobuf.Any`).
const TYPE_PREFIX: &str = "type.googleapis.com/";

/// Fields of Envoy's messages that are text; of some, a number stands for a name.
const TEXTS: [(&str, bool); 4] = [
    ("name", false),
    ("stat_prefix", false),
    ("lb_policy", true),
    ("discovery_type", true),
];

/// Checks the value of a patch.
pub(super) fn validate(value: &BTreeMap<String, Value>, apply_to: ApplyTo, at: At<'_>) {
    validate_fields(value, at);
    for (field, allows_number) in TEXTS {
        let is_text = match value.get(field) {
            None | Some(Value::String(_) | Value::Null) => true,
            Some(Value::Integer(_)) => allows_number,
            Some(_) => false,
        };
        at.field(field).require(is_text, "a text is expected");
    }
    let is_extension = matches!(
        apply_to,
        ApplyTo::HttpFilter
            | ApplyTo::NetworkFilter
            | ApplyTo::ListenerFilter
            | ApplyTo::ExtensionConfig
    );
    let configured = [
        "typed_config",
        "typedConfig",
        "config_discovery",
        "configDiscovery",
    ];
    if is_extension && !configured.iter().any(|field| value.contains_key(*field)) {
        at.warning("extensions that are found by their name alone are deprecated")
            .help("add `typed_config`");
    }
}

fn validate_fields(fields: &BTreeMap<String, Value>, at: At<'_>) {
    at.each_entry(fields, |name, value, at| match value {
        Value::String(text) if name == "@type" => validate_type(text, at),
        value => validate_value(value, at),
    });
}

fn validate_value(value: &Value, at: At<'_>) {
    match value {
        Value::Map(fields) => validate_fields(fields, at),
        Value::List(items) => at.each(items, validate_value),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) | Value::String(_) => {}
    }
}

/// Checks the name of a message: of the versions of Envoy's API only 3 is left.
fn validate_type(text: &str, at: At<'_>) {
    let Some(name) = text.strip_prefix(TYPE_PREFIX) else {
        at.error(format_args!("`{text}` does not begin with `{TYPE_PREFIX}`"));
        return;
    };
    if name.starts_with("envoy.") && name.split('.').any(|part| part.starts_with("v2")) {
        at.error(format_args!("Envoy does not know `{name}`"))
            .help("use version 3 of the API");
    }
}
