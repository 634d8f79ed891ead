//! Patches that may not do what their authors expect.

use std::collections::BTreeSet;

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report};
use crate::origin::FieldPath;
use crate::resource::Resource;
use crate::resource::istio::EnvoyFilter;
use crate::resource::istio::envoy_filter::{ApplyTo, EnvoyConfigObjectPatch, PatchOperation};
use crate::resource::value::Value;

/// Operations have to suit what they are applied to, and those that are relative to other filters
/// need a priority.
pub(super) fn patches(context: &Context<'_>, report: &mut Report) {
    // Filters that an earlier patch has for one version of the proxy.
    let mut versioned = BTreeSet::new();
    let root = FieldPath::root();
    let spec = root.field("spec");
    for filter in &context.resources.envoy_filters {
        let patches = spec.field("configPatches");
        for (index, patch) in filter.spec.config_patches.iter().enumerate() {
            let Some(operation) = patch.patch.as_ref().map(|patch| patch.operation) else {
                break;
            };
            let name = filter_name(patch);
            let is_versioned = versioned.contains(name);
            if let Some(code) = finding(filter, patch.apply_to, operation, is_versioned) {
                report.at(filter, &patches.index(index), code, &[]);
            }
            let proxy = patch
                .r#match
                .as_ref()
                .and_then(|found| found.proxy.as_ref());
            if proxy.is_some_and(|proxy| !proxy.proxy_version.is_empty()) {
                versioned.insert(name.to_owned());
            }
        }
    }
}

fn finding(
    filter: &Resource<EnvoyFilter>,
    apply_to: ApplyTo,
    operation: PatchOperation,
    is_versioned: bool,
) -> Option<Code> {
    let is_route = matches!(apply_to, ApplyTo::RouteConfiguration | ApplyTo::HttpRoute);
    let is_replaceable = matches!(
        apply_to,
        ApplyTo::NetworkFilter | ApplyTo::HttpFilter | ApplyTo::VirtualHost
    );
    match operation {
        PatchOperation::Add if is_route => Some(Code::EnvoyFilterUsesAddOperationIncorrectly),
        PatchOperation::Remove if is_route => Some(Code::EnvoyFilterUsesRemoveOperationIncorrectly),
        PatchOperation::Replace if !is_replaceable => {
            Some(Code::EnvoyFilterUsesReplaceOperationIncorrectly)
        }
        PatchOperation::Remove
        | PatchOperation::Replace
        | PatchOperation::InsertBefore
        | PatchOperation::InsertAfter
            if filter.spec.priority == 0 =>
        {
            Some(match is_versioned {
                true => Code::EnvoyFilterUsesRelativeOperationWithProxyVersion,
                false => Code::EnvoyFilterUsesRelativeOperation,
            })
        }
        _ => None,
    }
}

/// The name of the filter that a patch brings, or the one it is relative to.
fn filter_name(patch: &EnvoyConfigObjectPatch) -> &str {
    let Some(value) = patch.patch.as_ref().and_then(|patch| patch.value.as_ref()) else {
        return "";
    };
    if let Some(name) = value.get("name").and_then(Value::as_str) {
        return name;
    }
    let listener = patch
        .r#match
        .as_ref()
        .and_then(|found| found.listener.as_ref());
    let chain = listener.and_then(|listener| listener.filter_chain.as_ref());
    let filter = chain.and_then(|chain| chain.filter.as_ref());
    filter
        .map(|filter| filter.name.as_str())
        .unwrap_or_default()
}
