//! What istiod writes back to resources.
//!
//! Source: `meta/v1alpha1/status.proto`. A WorkloadEntry has its health there.
//!
//! ```
//! use mesh_core::resource::istio::status::IstioStatus;
//!
//! let status: IstioStatus = serde_json::from_str(
//!     r#"{"conditions": [{"type": "Healthy", "status": "True"}]}"#,
//! )?;
//! assert_eq!(status.conditions[0].r#type, "Healthy");
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};

use crate::resource::Value;
use crate::resource::istio::is_default;

/// State of a resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioStatus {
    /// Conditions, one a type.
    #[serde(skip_serializing_if = "is_default")]
    pub conditions: Vec<IstioCondition>,
    /// What Istio's analysis found, as written.
    #[serde(skip_serializing_if = "is_default")]
    pub validation_messages: Vec<Value>,
    /// Generation of the resource that the status is about.
    #[serde(deserialize_with = "generation", skip_serializing_if = "is_default")]
    pub observed_generation: i64,
}

/// One aspect of the state of a resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioCondition {
    /// Which aspect, such as `Healthy` or `Reconciled`.
    #[serde(skip_serializing_if = "is_default")]
    pub r#type: String,
    /// `True`, `False` or `Unknown`.
    #[serde(skip_serializing_if = "is_default")]
    pub status: String,
    /// When it was last looked at, as an RFC 3339 time.
    #[serde(skip_serializing_if = "is_default")]
    pub last_probe_time: String,
    /// When `status` last changed, as an RFC 3339 time.
    #[serde(skip_serializing_if = "is_default")]
    pub last_transition_time: String,
    /// Why, as a single word.
    #[serde(skip_serializing_if = "is_default")]
    pub reason: String,
    /// Why, for people.
    #[serde(skip_serializing_if = "is_default")]
    pub message: String,
    /// Generation of the resource that the condition is about.
    #[serde(deserialize_with = "generation", skip_serializing_if = "is_default")]
    pub observed_generation: i64,
}

/// Reads a generation: a number, or the text that protobuf's JSON makes of 64 bits.
pub(super) fn generation<'de, D>(deserializer: D) -> Result<i64, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(GenerationVisitor)
}

struct GenerationVisitor;

impl Visitor<'_> for GenerationVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer, or one in quotes")
    }

    fn visit_i64<E>(self, value: i64) -> Result<i64, E> {
        Ok(value)
    }

    fn visit_u64<E>(self, value: u64) -> Result<i64, E>
    where
        E: Error,
    {
        value.try_into().map_err(E::custom)
    }

    fn visit_str<E>(self, text: &str) -> Result<i64, E>
    where
        E: Error,
    {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn a_condition_is_read_whole() {
        let status: IstioStatus = round_trip(&json!({
            "observedGeneration": 3,
            "conditions": [{
                "type": "Healthy",
                "status": "False",
                "lastTransitionTime": "2026-02-03T04:05:06Z",
                "reason": "ProbeFailed",
                "message": "connection refused",
            }],
        }));
        assert_eq!(status.conditions[0].reason, "ProbeFailed");
        assert_eq!(status.observed_generation, 3);
    }

    #[test]
    fn a_generation_may_be_written_as_text() {
        for written in [json!(3), json!("3")] {
            let document = json!({"observedGeneration": written});
            let status: IstioStatus = serde_json::from_value(document).unwrap();
            assert_eq!(status.observed_generation, 3, "{written}");
        }
    }

    #[test]
    fn a_generation_that_is_no_integer_is_refused() {
        for written in [json!("three"), json!(u64::MAX), json!(true)] {
            let document = json!({"observedGeneration": written});
            assert!(
                serde_json::from_value::<IstioStatus>(document).is_err(),
                "{written}"
            );
        }
    }
}
