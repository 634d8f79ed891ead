//! Fields of EnvoyFilter, WasmPlugin and TrafficExtension.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::envoy_filter::{
    EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, EnvoyFilter, FilterClass, Patch, PatchOperation,
};
use crate::resource::istio::traffic_extension::{
    ExecutionPhase, LuaConfig, TrafficExtension, WasmConfig,
};
use crate::resource::istio::wasm_plugin::{PluginPhase, WasmPlugin};
use crate::resource::value::Value;

/// Why nothing becomes of a patch.
const PATCH: &str = "there is no Envoy whose configuration could be patched";

/// What becomes of patches that limit rates.
const LIMITS: &str = "patches that limit rates as Istio documents it; no others";

const LIMITED: Support = Support::Differently(Capability::RateLimits, LIMITS);

/// Why nothing becomes of a patch that would limit rates.
const NARROWED: &str = "it is for what only a proxy of Istio's has: see its match";

/// Why nothing becomes of a plugin.
const PLUGIN: &str = "no WebAssembly is run";

/// Why nothing becomes of a script.
const SCRIPT: &str = "no Lua is run";

impl Classify for EnvoyFilter {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            workload_selector,
            target_refs,
            config_patches,
            priority,
        } = self;
        fields.leaf("workloadSelector", workload_selector, LIMITED);
        fields.leaf("targetRefs", target_refs, LIMITED);
        fields.nest("configPatches", config_patches);
        fields.leaf("priority", priority, LIMITED);
    }
}

impl Classify for EnvoyConfigObjectPatch {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            apply_to,
            r#match,
            patch,
        } = self;
        let default = Patch::default();
        let support = match support(patch.as_ref().unwrap_or(&default)) {
            Support::Differently(..) if narrows(r#match.as_ref()) => Support::never(NARROWED),
            support => support,
        };
        fields.leaf("applyTo", apply_to, support);
        fields.leaf("match", r#match, support);
        fields.nest_as("patch", patch, support);
    }
}

impl Classify for Patch {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            operation,
            value,
            filter_class,
        } = self;
        let support = support(self);
        fields.leaf("operation", operation, support);
        fields.leaf("value", value, support);
        fields.leaf("filterClass", filter_class, support);
    }
}

/// What becomes of a patch. A filter that says it authenticates or authorizes guards what is
/// behind it; one that limits rates is known, if it is as Istio's documentation has it.
fn support(patch: &Patch) -> Support {
    if matches!(patch.filter_class, FilterClass::Authn | FilterClass::Authz) {
        return Support::never_guards(PATCH);
    }
    let value = patch.value.as_ref();
    let limits = value.map(|value| value.iter().any(limits_rates));
    let is_any = patch.operation == PatchOperation::Invalid;
    match limits.unwrap_or(is_any) {
        true => LIMITED,
        false => Support::never(PATCH),
    }
}

/// Whether a patch is for less than what can be told here, so that it is left out.
fn narrows(object: Option<&EnvoyConfigObjectMatch>) -> bool {
    object.is_some_and(|object| object.internals().is_some())
}

/// Whether an entry of Envoy's configuration is about rate limits.
fn limits_rates((key, value): (&String, &Value)) -> bool {
    let types = [
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "envoy.extensions.filters.http.ratelimit.v3.RateLimit",
    ];
    match value {
        Value::String(text) => types.iter().any(|known| text.ends_with(known)),
        Value::List(_) if key == "rate_limits" => true,
        Value::List(items) => items.iter().any(|item| limits_rates((key, item))),
        Value::Map(entries) => entries.iter().any(limits_rates),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => false,
    }
}

impl Classify for WasmPlugin {
    /// A plugin in the phases of authentication and authorization guards what is behind it.
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            selector,
            target_ref,
            target_refs,
            url,
            sha256,
            image_pull_policy,
            image_pull_secret,
            verification_key,
            plugin_config,
            plugin_name,
            phase,
            priority,
            fail_strategy,
            vm_config,
            r#match,
            r#type,
        } = self;
        let support = match phase {
            PluginPhase::Authn | PluginPhase::Authz => Support::never_guards(PLUGIN),
            PluginPhase::UnspecifiedPhase | PluginPhase::Stats => Support::never(PLUGIN),
        };
        fields.leaf("selector", selector, support);
        fields.leaf("targetRef", target_ref, support);
        fields.leaf("targetRefs", target_refs, support);
        fields.leaf("url", url, support);
        fields.leaf("sha256", sha256, support);
        fields.leaf("imagePullPolicy", image_pull_policy, support);
        fields.leaf("imagePullSecret", image_pull_secret, support);
        fields.leaf("verificationKey", verification_key, support);
        fields.leaf("pluginConfig", plugin_config, support);
        fields.leaf("pluginName", plugin_name, support);
        fields.leaf("phase", phase, support);
        fields.leaf("priority", priority, support);
        fields.leaf("failStrategy", fail_strategy, support);
        fields.leaf("vmConfig", vm_config, support);
        fields.leaf("match", r#match, support);
        fields.leaf("type", r#type, support);
    }
}

impl Classify for TrafficExtension {
    /// An extension in the phases of authentication and authorization guards what is behind it.
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            selector,
            target_refs,
            phase,
            priority,
            r#match,
            wasm,
            lua,
        } = self;
        let support = |note| match phase {
            ExecutionPhase::Authn | ExecutionPhase::Authz => Support::never_guards(note),
            ExecutionPhase::Unspecified | ExecutionPhase::Stats => Support::never(note),
        };
        let whole = support(if lua.is_some() { SCRIPT } else { PLUGIN });
        fields.leaf("selector", selector, whole);
        fields.leaf("targetRefs", target_refs, whole);
        fields.leaf("phase", phase, whole);
        fields.leaf("priority", priority, whole);
        fields.leaf("match", r#match, whole);
        fields.nest_as("wasm", wasm, support(PLUGIN));
        fields.nest_as("lua", lua, support(SCRIPT));
    }
}

impl Classify for WasmConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            url,
            sha256,
            image_pull_policy,
            image_pull_secret,
            verification_key,
            plugin_config,
            plugin_name,
            fail_strategy,
            vm_config,
            r#type,
        } = self;
        let support = Support::never(PLUGIN);
        fields.leaf("url", url, support);
        fields.leaf("sha256", sha256, support);
        fields.leaf("imagePullPolicy", image_pull_policy, support);
        fields.leaf("imagePullSecret", image_pull_secret, support);
        fields.leaf("verificationKey", verification_key, support);
        fields.leaf("pluginConfig", plugin_config, support);
        fields.leaf("pluginName", plugin_name, support);
        fields.leaf("failStrategy", fail_strategy, support);
        fields.leaf("vmConfig", vm_config, support);
        fields.leaf("type", r#type, support);
    }
}

impl Classify for LuaConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { inline_code } = self;
        fields.leaf("inlineCode", inline_code, Support::never(SCRIPT));
    }
}
