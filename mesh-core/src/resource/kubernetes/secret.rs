//! Secret: certificates and keys.
//!
//! `Secret` of `core/v1`. Istio reads the certificate chain from `tls.crt` and its key from
//! `tls.key` (or `cert` and `key`), authorities from `ca.crt` (or `cacert`), revocations from
//! `ca.crl` (or `crl`) and a stapled response from `tls.ocsp-staple`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::secret::Secret;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let secret: Secret = serde_json::from_str(
//!     r#"{"type": "kubernetes.io/tls", "data": {"tls.crt": "LS0t", "tls.key": "LS0t"}}"#,
//! )?;
//! assert_eq!(secret.data["tls.crt"], "LS0t");
//!
//! // Neither keys nor certificates are printed.
//! assert!(!format!("{secret:?}").contains("LS0t"));
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A Secret without its metadata.
///
/// Its [`Debug`](fmt::Debug) form has the keys of the maps and no value.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Secret {
    /// What the Secret holds, such as `kubernetes.io/tls`. Default: `Opaque`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// The values, each in base64 of RFC 4648, section 4.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Values as they are, which replace those of the same key in `data`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub string_data: BTreeMap<String, String>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("type", &self.r#type)
            .field("data", &self.data.keys())
            .field("string_data", &self.string_data.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_keeps_all_that_is_read() {
        let written = json!({
            "type": "Opaque",
            "data": {"ca.crt": "Y2E="},
            "stringData": {"crl": "revoked"},
        });
        let secret: Secret = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(secret.string_data["crl"], "revoked");
        assert_eq!(serde_json::to_value(&secret).unwrap(), written);
    }

    #[test]
    fn a_secret_is_printed_without_its_values() {
        let secret = Secret {
            data: [("tls.key".to_owned(), "a2V5".to_owned())].into(),
            string_data: [("key".to_owned(), "hunter2".to_owned())].into(),
            ..Secret::default()
        };
        let printed = format!("{secret:?}");
        assert!(printed.contains("tls.key"), "{printed}");
        assert!(
            !printed.contains("a2V5") && !printed.contains("hunter2"),
            "{printed}"
        );
    }
}
