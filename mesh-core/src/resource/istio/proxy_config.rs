//! ProxyConfig: settings of the proxies of some workloads.
//!
//! This is the resource, which has few fields. The settings that `defaultConfig` of the mesh and
//! the annotation `proxy.istio.io/config` hold are
//! [`mesh_config::ProxyConfig`](super::mesh_config::ProxyConfig).
//!
//! Source: `networking/v1beta1/proxy_config.proto`; `networking.istio.io/v1beta1`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::proxy_config::ProxyConfig;
//!
//! let spec: ProxyConfig = serde_json::from_str(
//!     r#"{"concurrency": 0, "image": {"imageType": "distroless"}}"#,
//! )?;
//!
//! assert_eq!(spec.concurrency, Some(0));
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;
use crate::resource::istio::selector::WorkloadSelector;

/// Settings of the proxies of some workloads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfig {
    /// Workloads of this namespace. Default: all of them, or the whole mesh from the root
    /// namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<WorkloadSelector>,
    /// Worker threads; 0 for one a core. Default: by the limits of the container.
    #[serde(skip_serializing_if = "is_default")]
    pub concurrency: Option<i32>,
    /// Environment variables of the proxy.
    #[serde(skip_serializing_if = "is_default")]
    pub environment_variables: BTreeMap<String, String>,
    /// Image of the proxy.
    #[serde(skip_serializing_if = "is_default")]
    pub image: Option<ProxyImage>,
}

/// Image of the proxy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyImage {
    /// `default`, `debug` or `distroless`.
    #[serde(skip_serializing_if = "is_default")]
    pub image_type: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn a_proxy_config_is_read_whole() {
        let spec: ProxyConfig = round_trip(&json!({
            "selector": {"matchLabels": {"app": "ratings"}},
            "concurrency": 2,
            "environmentVariables": {"ISTIO_META_DNS_CAPTURE": "true"},
            "image": {"imageType": "debug"},
        }));

        assert_eq!(spec.concurrency, Some(2));
        assert_eq!(spec.environment_variables["ISTIO_META_DNS_CAPTURE"], "true");
    }
}
