//! The settings of a pod's proxy: what the pod says, over what it would have.

use mesh_core::parse::{Limits, Problem, ProblemKind, parse_as};
use mesh_core::resource::istio::mesh_config::ProxyConfig;
use serde_json::{Map, Value};

use super::annotation::PROXY_CONFIG;

/// Headers of the proxy that a pod keeps where it speaks of others alone.
const KEPT_HEADERS: [&str; 5] = [
    "forwardedClientCert",
    "requestId",
    "attemptCount",
    "server",
    "envoyDebugHeaders",
];

/// Fields of which one at most is set, so that the one takes the place of the other.
const EXCLUSIVE: [&str; 2] = ["serviceCluster", "tracingServiceName"];

/// Lays what a pod has `written` over what it would have: each field whole, also an empty one, but variables
/// by their names, and [some headers](KEPT_HEADERS) by theirs.
///
/// Source: Istio's `MergeProxyConfig`.
pub(super) fn overlay(base: &ProxyConfig, written: &str) -> Result<ProxyConfig, Vec<Problem>> {
    let limits = Limits::default();
    let (own, _) = parse_as::<ProxyConfig>(PROXY_CONFIG, written, &limits)?;
    let mut merged = fields(base)?;
    let own = fields(&own)?;
    if EXCLUSIVE.iter().any(|name| own.contains_key(*name)) {
        merged.retain(|name, _| !EXCLUSIVE.contains(&name.as_str()));
    }
    let (as_written, _) = parse_as::<Map<String, Value>>(PROXY_CONFIG, written, &limits)?;
    merged.retain(|name, _| {
        !as_written
            .get(name)
            .is_some_and(|own| is_emptied(name, own))
    });
    for (name, mut value) in own {
        keep(&name, merged.get(&name), &mut value);
        merged.insert(name, value);
    }
    let merged = Value::Object(merged).to_string();
    Ok(parse_as(PROXY_CONFIG, &merged, &limits)?.0)
}

/// Whether a list or a map of no message is written empty. Fields that are messages are there all the same.
fn is_emptied(name: &str, own: &Value) -> bool {
    match own {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty() && name == "runtimeValues",
        _ => false,
    }
}

/// Adds to a field what it keeps of the `old` one.
fn keep(name: &str, old: Option<&Value>, own: &mut Value) {
    let (Some(old), Some(own)) = (old.and_then(Value::as_object), own.as_object_mut()) else {
        return;
    };
    let is_kept = |field: &str| match name {
        "proxyMetadata" => true,
        "proxyHeaders" => KEPT_HEADERS.contains(&field),
        _ => false,
    };
    for (field, old) in old.iter().filter(|(field, _)| is_kept(field)) {
        own.entry(field).or_insert_with(|| old.clone());
    }
}

/// The fields of a configuration that are set.
fn fields(config: &ProxyConfig) -> Result<Map<String, Value>, Vec<Problem>> {
    let written = serde_json::to_value(config).and_then(serde_json::from_value);
    written.map_err(|error| {
        vec![Problem {
            file: PROXY_CONFIG.into(),
            position: Default::default(),
            path: String::new(),
            kind: ProblemKind::Invalid {
                message: error.to_string(),
            },
        }]
    })
}
