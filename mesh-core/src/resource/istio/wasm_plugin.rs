//! WasmPlugin: a WebAssembly module among the proxy's filters.
//!
//! Kept whole, so that what is written can be reported as not supported.
//!
//! Source: messages of `extensions/v1alpha1/wasm.proto`; `extensions.istio.io/v1alpha1`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::wasm_plugin::{PluginPhase, WasmPlugin};
//!
//! let spec: WasmPlugin = serde_json::from_str(
//!     r#"{"url": "oci://registry.example.com/basic-auth:1.2", "phase": "AUTHN"}"#,
//! )?;
//!
//! assert_eq!(spec.phase, PluginPhase::Authn);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::Value;
use crate::resource::istio::is_default;
use crate::resource::istio::port::PortSelector;
use crate::resource::istio::selector::{PolicyTargetReference, WorkloadMode, WorkloadSelector};

/// A WebAssembly module among the proxy's filters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WasmPlugin {
    /// Workloads of this namespace. Default: all of them, or the whole mesh from the root
    /// namespace. Exclusive with `target_ref` and `target_refs`.
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<WorkloadSelector>,
    /// Resource that the plugin is attached to.
    #[serde(skip_serializing_if = "is_default")]
    pub target_ref: Option<PolicyTargetReference>,
    /// Resources that the plugin is attached to.
    #[serde(skip_serializing_if = "is_default")]
    pub target_refs: Vec<PolicyTargetReference>,
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
    /// Key for the signature of the module. Istio hides it and does nothing with it.
    #[serde(skip_serializing_if = "is_default")]
    pub verification_key: String,
    /// Configuration that the module gets.
    #[serde(skip_serializing_if = "is_default")]
    pub plugin_config: Option<BTreeMap<String, Value>>,
    /// Name that the module knows itself by. May not be present and empty.
    #[serde(skip_serializing_if = "is_default")]
    pub plugin_name: Option<String>,
    /// Where among the filters the module stands.
    #[serde(skip_serializing_if = "is_default")]
    pub phase: PluginPhase,
    /// Order within the phase, highest first. Default: after all that say.
    #[serde(skip_serializing_if = "is_default")]
    pub priority: Option<i32>,
    /// What becomes of traffic when the module fails.
    #[serde(skip_serializing_if = "is_default")]
    pub fail_strategy: FailStrategy,
    /// The machine that runs the module.
    #[serde(skip_serializing_if = "is_default")]
    pub vm_config: Option<VmConfig>,
    /// Traffic that goes through the module, any of these. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub r#match: Vec<TrafficSelector>,
    /// Kind of filter that the module is.
    #[serde(skip_serializing_if = "is_default")]
    pub r#type: PluginType,
}

/// Traffic, by direction and port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TrafficSelector {
    /// Direction. Default: both.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: WorkloadMode,
    /// Ports, any of which is enough. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub ports: Vec<PortSelector>,
}

/// Kind of filter.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PluginType {
    /// Not said: a filter of HTTP.
    #[default]
    UnspecifiedPluginType,
    /// A filter of HTTP.
    Http,
    /// A filter of connections.
    Network,
}

/// Where among the filters a module stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PluginPhase {
    /// At the end, just before the router.
    #[default]
    UnspecifiedPhase,
    /// Before authentication.
    Authn,
    /// Before authorization.
    Authz,
    /// Before statistics.
    Stats,
}

/// When a module is fetched again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PullPolicy {
    /// Not said: always for the tag `latest`, else only if it is not there.
    #[default]
    UnspecifiedPolicy,
    /// Only if it is not there.
    #[serde(rename = "IfNotPresent")]
    IfNotPresent,
    /// Whenever the resource changes.
    #[serde(rename = "Always")]
    Always,
}

/// The machine that runs a module.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VmConfig {
    /// Environment variables of the machine.
    #[serde(skip_serializing_if = "is_default")]
    pub env: Vec<EnvVar>,
}

/// An environment variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnvVar {
    /// Name of the variable. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub name: String,
    /// Where its value comes from.
    #[serde(skip_serializing_if = "is_default")]
    pub value_from: EnvValueSource,
    /// Its value, with [`EnvValueSource::Inline`] only.
    #[serde(skip_serializing_if = "is_default")]
    pub value: Option<String>,
}

/// Where the value of an environment variable comes from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EnvValueSource {
    /// The resource.
    #[default]
    Inline,
    /// The variable of that name of the proxy.
    Host,
}

/// What becomes of traffic when a module fails.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailStrategy {
    /// It is refused.
    #[default]
    FailClose,
    /// It goes on without the module.
    FailOpen,
    /// The module is started anew, and traffic is refused until then.
    FailReload,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn a_plugin_is_read_whole() {
        let spec: WasmPlugin = round_trip(&json!({
            "selector": {"matchLabels": {"istio": "ingressgateway"}},
            "url": "file:///opt/filters/auth.wasm",
            "imagePullPolicy": "IfNotPresent",
            "pluginConfig": {"realm": "shop", "users": [{"name": "ok", "level": 3}]},
            "priority": -5,
            "failStrategy": "FAIL_OPEN",
            "vmConfig": {"env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": "HOST"}]},
            "match": [{"mode": "CLIENT", "ports": [{"number": 8080}]}],
            "type": "NETWORK",
        }));

        assert_eq!(spec.image_pull_policy, PullPolicy::IfNotPresent);
        let config = spec.plugin_config.unwrap();
        assert_eq!(config["realm"].as_str(), Some("shop"));
        assert_eq!(
            spec.vm_config.unwrap().env[1].value_from,
            EnvValueSource::Host
        );
        assert_eq!(spec.r#type, PluginType::Network);
    }

    #[test]
    fn the_configuration_of_a_plugin_is_a_map() {
        let spec = json!({"url": "a", "pluginConfig": "text"});
        assert!(serde_json::from_value::<WasmPlugin>(spec).is_err());
    }
}
