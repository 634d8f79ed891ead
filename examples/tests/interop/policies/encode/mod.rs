//! Policies as Envoy's filters, in the order and the form in which Istio writes them.
//!
//! What is not generated is not encoded.

mod authentication;
mod authorization;

use mesh_core::model::Model;
use serde_json::{Value, json};

use crate::envoy::Filters;

/// The filters of the policies and rate limits of a gateway.
pub(super) fn filters(model: &Model, limits: &[Value]) -> Filters {
    let mut filters = Filters::default();
    filters.first.extend(authentication::filter(
        &model.policies.request_authentication,
    ));
    filters
        .first
        .extend(authorization::filters(&model.policies.authorization));
    for limit in limits {
        let patch = &limit["spec"]["configPatches"][0];
        let value = patch["patch"]["value"].clone();
        let place = &patch["match"]["listener"]["filterChain"]["filter"];
        // Without a filter to stand before, it is the first.
        match place.get("subFilter") {
            None => filters.first.insert(0, value),
            Some(_) => filters.last.push(value),
        }
    }
    filters
}

/// The EnvoyFilters among `resources`.
pub(super) fn limits(resources: &[Value]) -> Vec<Value> {
    let limits = resources.iter().filter(|one| one["kind"] == "EnvoyFilter");
    limits.cloned().collect()
}

/// A filter by its short name.
pub(crate) fn filter(name: &str, message: &str, mut config: Value) -> Value {
    let kind = format!("type.googleapis.com/envoy.extensions.filters.http.{name}.v3.{message}");
    config["@type"] = json!(kind);
    json!({"name": format!("envoy.filters.http.{name}"), "typed_config": config})
}
