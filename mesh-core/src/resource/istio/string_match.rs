//! Matching of a string exactly, by its prefix, or by a regular expression.
//!
//! Source: message `StringMatch` of `networking/v1alpha3/virtual_service.proto`.
//!
//! ```
//! use mesh_core::resource::istio::string_match::StringMatch;
//!
//! let written: StringMatch = serde_json::from_str(r#"{"prefix": "/api"}"#)?;
//! assert_eq!(written, StringMatch::prefix("/api"));
//! # Ok::<(), serde_json::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;

/// How a string has to look. At most one member may be set.
///
/// Where Istio matches headers and query parameters, one with no member set asks only that the
/// header or parameter is present.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StringMatch {
    /// The whole string, byte for byte.
    #[serde(skip_serializing_if = "is_default")]
    pub exact: Option<String>,
    /// The beginning of the string.
    #[serde(skip_serializing_if = "is_default")]
    pub prefix: Option<String>,
    /// RE2 expression that the whole string has to match.
    #[serde(skip_serializing_if = "is_default")]
    pub regex: Option<String>,
}

impl StringMatch {
    /// Matches `value` and nothing else.
    pub fn exact(value: impl Into<String>) -> Self {
        Self {
            exact: Some(value.into()),
            ..Self::default()
        }
    }

    /// Matches every string that begins with `value`.
    pub fn prefix(value: impl Into<String>) -> Self {
        Self {
            prefix: Some(value.into()),
            ..Self::default()
        }
    }

    /// Matches every string that the RE2 expression `value` matches as a whole.
    pub fn regex(value: impl Into<String>) -> Self {
        Self {
            regex: Some(value.into()),
            ..Self::default()
        }
    }

    /// Whether no member is set.
    pub fn is_empty(&self) -> bool {
        is_default(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resource::istio::round_trip;

    #[test]
    fn two_members_are_kept_for_validation_to_refuse() {
        let both: StringMatch = round_trip(&json!({"exact": "a", "regex": "b"}));
        assert_eq!(both.exact.as_deref(), Some("a"));
        assert_eq!(both.regex.as_deref(), Some("b"));
    }

    #[test]
    fn an_empty_member_is_not_an_absent_one() {
        assert!(round_trip::<StringMatch>(&json!({})).is_empty());
        assert!(!round_trip::<StringMatch>(&json!({"exact": ""})).is_empty());
    }
}
