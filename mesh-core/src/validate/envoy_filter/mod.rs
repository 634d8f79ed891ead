//! Rules of EnvoyFilter (`ValidateEnvoyFilter`).
//!
//! Whether a patch is a part of Envoy's configuration is checked as far as types go: each has a
//! known version of the API. The fields of Envoy's messages are not known here.
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::EnvoyFilter;
//! use mesh_core::validate::{Report, envoy_filter};
//!
//! let resource = Resource::<EnvoyFilter>::default();
//! let report = Report::default();
//! envoy_filter::validate(&resource, report.root());
//! let violations = report.into_violations();
//! assert_eq!(violations[0].message, "an EnvoyFilter relies on internals, which may change");
//! assert!(!violations[0].is_error());
//! ```

mod listener;
mod value;

use super::{At, port, regex, selector};
use crate::resource::Resource;
use crate::resource::istio::EnvoyFilter;
use crate::resource::istio::envoy_filter::{
    ApplyTo, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, PatchContext, PatchOperation,
};

/// Checks an EnvoyFilter, which is never without a warning.
pub fn validate(resource: &Resource<EnvoyFilter>, at: At<'_>) {
    at.warning("an EnvoyFilter relies on internals, which may change")
        .help("use another resource where one does the same");
    validate_patches(&resource.spec, at.field("spec"));
}

/// Checks what an EnvoyFilter says (`validateEnvoyFilter`).
pub fn validate_patches(filter: &EnvoyFilter, at: At<'_>) {
    let EnvoyFilter {
        workload_selector,
        target_refs,
        config_patches,
        priority: _,
    } = filter;
    let refs = at.field("targetRefs");
    at.at_most_one(&[
        ("workloadSelector", workload_selector.is_some()),
        ("targetRefs", (!target_refs.is_empty() || refs.is_written())),
    ]);
    if let Some(selector) = workload_selector {
        selector::validate_networking(selector, at.field("workloadSelector"));
    }
    selector::validate_references(target_refs, refs);
    at.field("configPatches")
        .each(config_patches, validate_patch);
}

fn validate_patch(object: &EnvoyConfigObjectPatch, at: At<'_>) {
    let EnvoyConfigObjectPatch {
        apply_to,
        r#match,
        patch,
    } = object;
    let matcher_at = at.field("match");
    if let Some(matcher) = r#match {
        validate_context(matcher, matcher_at);
        if matcher.context == PatchContext::Waypoint {
            return;
        }
    }
    at.field("applyTo")
        .require(*apply_to != ApplyTo::Invalid, "`applyTo` is required");
    if let Some(matcher) = r#match {
        validate_version(matcher, matcher_at);
        validate_objects(*apply_to, matcher, matcher_at);
    }
    let Some(patch) = patch else {
        at.error("a patch is required");
        return;
    };
    let at = at.field("patch");
    match (patch.operation, &patch.value) {
        (PatchOperation::Invalid, _) => at
            .field("operation")
            .require(false, "an operation is required"),
        (PatchOperation::Remove, _) => {}
        (_, None) => {
            at.field("value").error("only REMOVE has no value");
        }
        (_, Some(value)) => value::validate(value, *apply_to, at.field("value")),
    }
}

/// Checks that waypoints, and nothing else, are matched in their context.
fn validate_context(matcher: &EnvoyConfigObjectMatch, at: At<'_>) {
    let is_waypoint = matcher.context == PatchContext::Waypoint;
    if is_waypoint != matcher.waypoint.is_some() {
        at.error("`waypoint` is matched with context WAYPOINT, and nothing else is then");
    }
    at.at_most_one(&[
        ("listener", matcher.listener.is_some()),
        ("routeConfiguration", matcher.route_configuration.is_some()),
        ("cluster", matcher.cluster.is_some()),
        ("waypoint", matcher.waypoint.is_some()),
    ]);
    let waypoint = at.field("waypoint");
    let number = waypoint.field("portNumber");
    if let Some(matcher) = &matcher.waypoint
        && (matcher.port_number != 0 || number.is_written())
    {
        port::validate_number(matcher.port_number, number);
    }
}

fn validate_version(matcher: &EnvoyConfigObjectMatch, at: At<'_>) {
    let Some(proxy) = &matcher.proxy else {
        return;
    };
    let proxy_at = at.field("proxy");
    let at = proxy_at.field("proxyVersion");
    if proxy.proxy_version.len() > regex::MAX_LEN {
        at.warning("an expression of more than 1024 bytes is ignored");
    } else if !proxy.proxy_version.is_empty() {
        regex::validate(&proxy.proxy_version, at);
    }
}

/// Checks that the objects that are matched are those that are patched.
fn validate_objects(apply_to: ApplyTo, matcher: &EnvoyConfigObjectMatch, at: At<'_>) {
    let expected = match apply_to {
        ApplyTo::Listener | ApplyTo::FilterChain | ApplyTo::NetworkFilter | ApplyTo::HttpFilter => {
            "listener"
        }
        ApplyTo::RouteConfiguration | ApplyTo::VirtualHost | ApplyTo::HttpRoute => {
            "routeConfiguration"
        }
        ApplyTo::Cluster => "cluster",
        ApplyTo::Invalid
        | ApplyTo::ExtensionConfig
        | ApplyTo::Bootstrap
        | ApplyTo::ListenerFilter => return,
    };
    for (field, is_set) in [
        ("listener", matcher.listener.is_some()),
        ("routeConfiguration", matcher.route_configuration.is_some()),
        ("cluster", matcher.cluster.is_some()),
    ] {
        if is_set && field != expected {
            at.field(field)
                .error(format_args!("what is patched is matched by `{expected}`"));
        }
    }
    if let Some(matcher) = matcher.listener.as_ref().filter(|_| expected == "listener") {
        listener::validate(matcher, apply_to, at.field("listener"));
    }
}

#[cfg(test)]
mod tests;
