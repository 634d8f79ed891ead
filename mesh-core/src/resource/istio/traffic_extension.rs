//! TrafficExtension: a WebAssembly module or a Lua script among the proxy's filters.
//!
//! Kept whole, so that what is written can be reported as not supported.
//!
//! Source: messages of `extensions/v1alpha1/traffic_extension.proto`;
//! `extensions.istio.io/v1alpha1`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::traffic_extension::TrafficExtension;
//!
//! let spec: TrafficExtension = serde_json::from_str(
//!     r#"{"lua": {"inlineCode": "function envoy_on_request(handle) end"}}"#,
//! )?;
//!
//! assert!(spec.lua.is_some() && spec.wasm.is_none());
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::Value;
use crate::resource::istio::is_default;
use crate::resource::istio::selector::{PolicyTargetReference, WorkloadSelector};
use crate::resource::istio::wasm_plugin::{
    FailStrategy, PluginType, PullPolicy, TrafficSelector, VmConfig,
};

/// An extension of the proxy. One of `wasm` and `lua` has to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficExtension {
    /// Workloads of this namespace. Default: all of them, or the whole mesh from the root
    /// namespace. Exclusive with `target_refs`.
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<WorkloadSelector>,
    /// Resources that the extension is attached to.
    #[serde(skip_serializing_if = "is_default")]
    pub target_refs: Vec<PolicyTargetReference>,
    /// Where among the filters the extension stands.
    #[serde(skip_serializing_if = "is_default")]
    pub phase: ExecutionPhase,
    /// Order within the phase, highest first. Default: after all that say.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: Option<i32>,
    /// Traffic that goes through the extension, any of these. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub r#match: Vec<TrafficSelector>,
    /// A WebAssembly module.
    #[serde(skip_serializing_if = "is_default")]
    pub wasm: Option<WasmConfig>,
    /// A Lua script.
    #[serde(skip_serializing_if = "is_default")]
    pub lua: Option<LuaConfig>,
}

/// Where among the filters an extension stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionPhase {
    /// At the end, just before the router.
    #[default]
    Unspecified,
    /// Before authentication.
    Authn,
    /// Before authorization.
    Authz,
    /// Before statistics.
    Stats,
}

/// A WebAssembly module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WasmConfig {
    /// Where the module is: `oci://`, the default, `http://`, `https://` or `file://`. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub url: String,
    /// SHA-256 hash of the module, in hexadecimal. Default: it is not checked.
    #[serde(skip_serializing_if = "is_default")]
    pub sha256: String,
    /// When the module is fetched again.
    #[serde(skip_serializing_if = "is_default")]
    pub image_pull_policy: PullPolicy,
    /// Secret for the registry. May not be present and empty.
    #[serde(skip_serializing_if = "is_default")]
    pub image_pull_secret: Option<String>,
    /// Key for the signature of the module. Istio does nothing with it.
    #[serde(skip_serializing_if = "is_default")]
    pub verification_key: String,
    /// Configuration that the module gets.
    #[serde(skip_serializing_if = "is_default")]
    pub plugin_config: Option<BTreeMap<String, Value>>,
    /// Name that the module knows itself by. May not be present and empty.
    #[serde(skip_serializing_if = "is_default")]
    pub plugin_name: Option<String>,
    /// What becomes of traffic when the module fails.
    #[serde(skip_serializing_if = "is_default")]
    pub fail_strategy: FailStrategy,
    /// The machine that runs the module.
    #[serde(skip_serializing_if = "is_default")]
    pub vm_config: Option<VmConfig>,
    /// Kind of filter that the module is.
    #[serde(skip_serializing_if = "is_default")]
    pub r#type: PluginType,
}

/// A Lua script.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LuaConfig {
    /// The script, of at most 64 KiB. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub inline_code: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn a_module_is_read_whole() {
        let spec: TrafficExtension = round_trip(&json!({
            "targetRefs": [
                {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web"},
            ],
            "phase": "AUTHZ",
            "priority": 10,
            "match": [{"mode": "SERVER"}],
            "wasm": {
                "url": "oci://registry.example.com/filter:latest",
                "imagePullPolicy": "Always",
                "pluginConfig": {},
                "failStrategy": "FAIL_RELOAD",
            },
        }));

        let wasm = spec.wasm.unwrap();
        assert_eq!(wasm.image_pull_policy, PullPolicy::Always);
        assert_eq!(wasm.plugin_config, Some(BTreeMap::new()));
        assert_eq!(spec.phase, ExecutionPhase::Authz);
    }
}
