//! Choice of a port by its number.
//!
//! Source: message `PortSelector`, which `networking/v1alpha3/virtual_service.proto` and
//! `type/v1beta1/selector.proto` define alike.
//!
//! ```
//! use mesh_core::resource::istio::port::PortSelector;
//!
//! let port: PortSelector = serde_json::from_str(r#"{"number": 8080}"#)?;
//! assert_eq!(port.number, 8080);
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;

/// Names a port by its number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PortSelector {
    /// Number of the port, from 1 to 65535. 0: not written.
    #[serde(skip_serializing_if = "is_default")]
    pub number: u32,
}
