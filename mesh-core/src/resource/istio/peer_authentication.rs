//! PeerAuthentication: whether a workload takes mutual TLS, plain text, or both.
//!
//! Source: messages of `security/v1beta1/peer_authentication.proto`; `security.istio.io/v1` and
//! `v1beta1`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::peer_authentication::{MutualTlsMode, PeerAuthentication};
//!
//! let spec: PeerAuthentication = serde_json::from_str(r#"{"mtls": {"mode": "STRICT"}}"#)?;
//!
//! assert_eq!(spec.mtls.map(|mtls| mtls.mode), Some(MutualTlsMode::Strict));
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;
use crate::resource::istio::selector::WorkloadSelector;

/// Whether workloads take mutual TLS, plain text, or both.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PeerAuthentication {
    /// Workloads of this namespace. Default: all of them, or the whole mesh from the root
    /// namespace.
    #[serde(skip_serializing_if = "is_default")]
    pub selector: Option<WorkloadSelector>,
    /// What all ports take. Default: as the namespace says, or the mesh, or both.
    #[serde(skip_serializing_if = "is_default")]
    pub mtls: Option<MutualTls>,
    /// What single ports take, by the number of the workload's port. Needs a selector; may not be
    /// present and empty.
    #[serde(skip_serializing_if = "is_default")]
    pub port_level_mtls: Option<BTreeMap<String, MutualTls>>,
}

/// What a port takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MutualTls {
    /// What it takes.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: MutualTlsMode,
}

/// What a port takes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MutualTlsMode {
    /// What the next wider policy says, and both if there is none.
    #[default]
    Unset,
    /// Plain text only.
    Disable,
    /// Mutual TLS and plain text.
    Permissive,
    /// Mutual TLS only.
    Strict,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn a_policy_with_an_exception_for_a_port_is_read_whole() {
        let spec: PeerAuthentication = round_trip(&json!({
            "selector": {"matchLabels": {"app": "finance"}},
            "mtls": {"mode": "STRICT"},
            "portLevelMtls": {"8080": {"mode": "DISABLE"}},
        }));

        assert_eq!(
            spec.port_level_mtls.unwrap()["8080"].mode,
            MutualTlsMode::Disable
        );
    }

    #[test]
    fn empty_ports_are_not_absent_ones() {
        let spec: PeerAuthentication = round_trip(&json!({"portLevelMtls": {}}));
        assert_eq!(spec.port_level_mtls, Some(BTreeMap::new()));
        assert_eq!(PeerAuthentication::default().port_level_mtls, None);
    }

    #[test]
    fn an_unknown_mode_is_refused() {
        let spec = json!({"mtls": {"mode": "LAX"}});
        assert!(serde_json::from_value::<PeerAuthentication>(spec).is_err());
    }
}
