//! Percentages as Istio writes them.
//!
//! Source: message `Percent` of `networking/v1alpha3/virtual_service.proto`.
//!
//! ```
//! use mesh_core::resource::istio::percent::Percent;
//!
//! let percent: Percent = serde_json::from_str(r#"{"value": 0.1}"#)?;
//! assert_eq!(percent.value, 0.1);
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;

/// A percentage of requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Percent {
    /// From 0 to 100; fractions are allowed. Default: 0.
    #[serde(skip_serializing_if = "is_default")]
    pub value: f64,
}
