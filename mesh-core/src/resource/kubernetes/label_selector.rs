//! A choice of objects by their labels.
//!
//! `LabelSelector` of `meta/v1`. All requirements have to hold; a selector without any chooses
//! every object.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::label_selector::{LabelSelector, LabelSelectorOperator};
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let selector: LabelSelector = serde_json::from_str(
//!     r#"{
//!         "matchLabels": {"app": "cart"},
//!         "matchExpressions": [{"key": "version", "operator": "In", "values": ["v1", "v2"]}]
//!     }"#,
//! )?;
//! assert_eq!(selector.match_labels["app"], "cart");
//! let operator = selector.match_expressions[0].operator;
//! assert_eq!(operator, Some(LabelSelectorOperator::In));
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::labels::{Labels, SelectorOperator};

/// Requirements on labels, all of which have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that an object has to have, with these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

/// A requirement on one label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelectorRequirement {
    /// Key of the label. Required.
    pub key: String,
    /// What is required of it. Required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<LabelSelectorOperator>,
    /// Values to compare with. Required for `In` and `NotIn`, and for no other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// What is required of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LabelSelectorOperator {
    /// The object does not have it.
    DoesNotExist,
    /// The object has it, with any value.
    Exists,
    /// The object has it, with one of the values.
    In,
    /// The object does not have it, or has it with another value.
    NotIn,
}

impl LabelSelector {
    /// Whether an object with `labels` is chosen. A requirement that is not
    /// [whole](LabelSelectorRequirement::is_whole) chooses nothing.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let mut fixed = self.match_labels.iter();
        fixed.all(|(key, value)| labels.value(key) == Some(value))
            && self
                .match_expressions
                .iter()
                .all(|found| found.is_met(labels))
    }
}

impl LabelSelectorRequirement {
    /// Whether it has an operator, and values if the operator compares with some and only then.
    ///
    /// Kubernetes keeps others, and does not apply the selector (`LabelSelectorAsSelector`).
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let operator = self.operator.map(SelectorOperator::from);
        operator.is_some_and(|operator| operator.validate(&self.values).is_ok())
    }

    fn is_met(&self, labels: &Labels) -> bool {
        let operator = self.operator.map(SelectorOperator::from);
        let value = labels.value(&self.key);
        operator.is_some_and(|operator| operator.is_met(value, &self.values))
    }
}

impl From<LabelSelectorOperator> for SelectorOperator {
    fn from(operator: LabelSelectorOperator) -> Self {
        match operator {
            LabelSelectorOperator::DoesNotExist => Self::DoesNotExist,
            LabelSelectorOperator::Exists => Self::Exists,
            LabelSelectorOperator::In => Self::In,
            LabelSelectorOperator::NotIn => Self::NotIn,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_keeps_all_its_requirements() {
        let written = json!({
            "matchLabels": {"app": "cart", "tier": ""},
            "matchExpressions": [
                {"key": "version", "operator": "NotIn", "values": ["v1"]},
                {"key": "canary", "operator": "Exists"},
                {"key": "legacy", "operator": "DoesNotExist"},
            ],
        });
        let selector: LabelSelector = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(selector.match_expressions.len(), 3);
        assert_eq!(serde_json::to_value(&selector).unwrap(), written);
    }

    #[test]
    fn all_requirements_have_to_hold() {
        let selector: LabelSelector = serde_json::from_value(json!({
            "matchLabels": {"app": "cart"},
            "matchExpressions": [
                {"key": "version", "operator": "In", "values": ["v1", "v2"]},
                {"key": "legacy", "operator": "DoesNotExist"},
            ],
        }))
        .unwrap();
        for (labels, chosen) in [
            (&[("app", "cart"), ("version", "v2")][..], true),
            (&[("app", "cart"), ("version", "v3")], false),
            (&[("app", "cart")], false),
            (&[("version", "v1")], false),
            (&[("app", "cart"), ("version", "v1"), ("legacy", "")], false),
        ] {
            let own = Labels::from_iter(labels.iter().copied());
            assert_eq!(selector.matches(&own), chosen, "{labels:?}");
        }
    }

    #[test]
    fn an_operator_of_node_affinity_is_refused() {
        let written = json!({"matchExpressions": [{"key": "a", "operator": "Gt"}]});
        assert!(serde_json::from_value::<LabelSelector>(written).is_err());
    }

    #[test]
    fn a_requirement_whose_values_do_not_go_with_its_operator_chooses_nothing() {
        for requirement in [
            json!({"key": "version", "operator": "In"}),
            json!({"key": "version", "operator": "NotIn", "values": []}),
            json!({"key": "version", "operator": "Exists", "values": ["v1"]}),
            json!({"key": "legacy", "operator": "DoesNotExist", "values": ["v1"]}),
            json!({"key": "version"}),
        ] {
            let selector = json!({"matchExpressions": [requirement]});
            let selector: LabelSelector = serde_json::from_value(selector).unwrap();
            let labels = Labels::from_iter([("version", "v1")]);
            assert!(!selector.matches(&labels), "{requirement}");
            assert!(!selector.match_expressions[0].is_whole(), "{requirement}");
        }
    }
}
