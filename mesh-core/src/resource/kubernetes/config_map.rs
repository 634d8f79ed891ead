//! ConfigMap: texts, such as the certificates of authorities or Istio's own configuration.
//!
//! `ConfigMap` of `core/v1`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::config_map::ConfigMap;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let map: ConfigMap =
//!     serde_json::from_str(r#"{"data": {"mesh": "accessLogFile: /dev/stdout\n"}}"#)?;
//! assert_eq!(map.data["mesh"], "accessLogFile: /dev/stdout\n");
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A ConfigMap without its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigMap {
    /// Texts by their keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Bytes by their keys, each in base64 of RFC 4648, section 4. No key is in `data` too.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub binary_data: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_config_map_keeps_all_that_is_read() {
        let written = json!({"data": {"ca.crt": "text"}, "binaryData": {"logo": "AAEC"}});
        let map: ConfigMap = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(map.binary_data["logo"], "AAEC");
        assert_eq!(serde_json::to_value(&map).unwrap(), written);
    }
}
