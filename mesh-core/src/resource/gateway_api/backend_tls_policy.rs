//! BackendTLSPolicy: TLS from the gateway to a backend, and what its certificate has to show.
//!
//! `apis/v1/backendtlspolicy_types.go`. Where a policy is invalid, connections to its targets
//! fail; they never go in the clear.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::backend_tls_policy::BackendTlsPolicy;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let policy: BackendTlsPolicy = serde_json::from_str(
//!     r#"{
//!         "targetRefs": [{"group": "", "kind": "Service", "name": "cart"}],
//!         "validation": {"hostname": "cart.example", "wellKnownCACertificates": "System"}
//!     }"#,
//! )?;
//! assert_eq!(policy.target_refs[0].section_name, None); // every port of the Service
//! assert_eq!(policy.validation.hostname, "cart.example");
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::gateway_api::object_reference::LocalObjectReference;
use crate::resource::gateway_api::object_reference::LocalPolicyTargetReference;

/// The `spec` of a BackendTLSPolicy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendTlsPolicy {
    /// The backends; a section is the name of a port. Required, 1 to 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target_refs: Vec<LocalPolicyTargetReference>,
    /// What the backend's certificate has to show. Required.
    pub validation: BackendTlsPolicyValidation,
    /// Settings that an implementation defines.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// What a backend's certificate has to show.
///
/// Exactly one of `ca_certificate_refs` and `well_known_ca_certificates` is required.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendTlsPolicyValidation {
    /// Certificates of the authorities to trust, by ConfigMaps with a key `ca.crt`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ca_certificate_refs: Vec<LocalObjectReference>,
    /// A set of authorities with a name: `System`, or one with a domain prefix.
    #[serde(
        rename = "wellKnownCACertificates",
        skip_serializing_if = "Option::is_none"
    )]
    pub well_known_ca_certificates: Option<String>,
    /// SNI of the connection and, without `subject_alt_names`, the name that the certificate
    /// has to have. Required.
    pub hostname: String,
    /// Names of which the certificate has to have one, in place of `hostname`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<SubjectAltName>,
}

/// A name in a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectAltName {
    /// Which of the members below applies. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<SubjectAltNameType>,
    /// DNS name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Absolute URI, such as a SPIFFE ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// The form of a [`SubjectAltName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubjectAltNameType {
    /// A DNS name.
    Hostname,
    /// A URI.
    #[serde(rename = "URI")]
    Uri,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_keeps_all_its_fields() {
        let written = json!({
            "targetRefs": [
                {"group": "", "kind": "Service", "name": "cart", "sectionName": "https"},
            ],
            "validation": {
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}],
                "wellKnownCACertificates": "System",
                "hostname": "cart.example",
                "subjectAltNames": [
                    {"type": "Hostname", "hostname": "cart.example"},
                    {"type": "URI", "uri": "spiffe://cluster.local/ns/shop/sa/cart"},
                ],
            },
            "options": {"example.net/ciphers": "modern"},
        });
        let policy: BackendTlsPolicy = serde_json::from_value(written.clone()).unwrap();
        let names = &policy.validation.subject_alt_names;
        assert_eq!(names[1].r#type, Some(SubjectAltNameType::Uri));
        assert_eq!(serde_json::to_value(&policy).unwrap(), written);
    }
}
