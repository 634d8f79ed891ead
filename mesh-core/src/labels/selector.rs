//! Label selectors of Kubernetes.

use serde::{Deserialize, Serialize};

use super::Labels;

/// A Kubernetes `LabelSelector` (meta/v1): labels to have and expressions to meet.
///
/// All of them have to hold, so a selector without any selects everything.
///
/// ```
/// use mesh_core::labels::{LabelSelector, Labels};
///
/// # fn main() -> Result<(), serde_json::Error> {
/// let selector: LabelSelector = serde_json::from_str(
///     r#"{"matchExpressions": [{"key": "version", "operator": "NotIn", "values": ["v1"]}]}"#,
/// )?;
/// assert!(selector.matches(&Labels::from_iter([("version", "v2")])));
/// assert!(selector.matches(&Labels::new()));
/// assert!(!selector.matches(&Labels::from_iter([("version", "v1")])));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// The labels to have.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub match_labels: Labels,
    /// The expressions to meet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelSelectorRequirement>,
}

impl LabelSelector {
    /// Whether the labels are selected.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.is_subset_of(labels)
            && self.match_expressions.iter().all(|r| r.matches(labels))
    }

    /// Whether the selector has neither labels nor expressions, and so selects everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }
}

impl From<Labels> for LabelSelector {
    fn from(match_labels: Labels) -> Self {
        Self {
            match_labels,
            match_expressions: Vec::new(),
        }
    }
}

/// An expression of a [`LabelSelector`].
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct LabelSelectorRequirement {
    /// The key that is looked at.
    pub key: String,
    /// What has to hold of it.
    pub operator: SelectorOperator,
    /// The values to compare with; none for `Exists` and `DoesNotExist`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

impl LabelSelectorRequirement {
    /// Whether the labels meet the expression. None meet one that is not [valid](Self::validate).
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.value(&self.key);
        self.operator.is_met(value, &self.values)
    }

    /// Checks that there are values where the operator compares, and none where it does not.
    ///
    /// # Errors
    ///
    /// When that does not hold. Keys and values are the subject of
    /// [`validate_key`](super::validate_key) and [`validate_value`](super::validate_value).
    pub fn validate(&self) -> Result<(), RequirementError> {
        self.operator.validate(&self.values)
    }
}

/// What an expression asks of a key.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum SelectorOperator {
    /// The key is there with one of the values.
    In,
    /// The key is absent, or there with none of the values.
    NotIn,
    /// The key is there.
    Exists,
    /// The key is absent.
    DoesNotExist,
}

impl SelectorOperator {
    /// Whether the value of a key is as asked for, if `values` go with the operator.
    pub(crate) fn is_met(self, value: Option<&str>, values: &[String]) -> bool {
        let is_listed = || value.is_some_and(|value| values.iter().any(|listed| listed == value));
        let is_met = match self {
            Self::In => is_listed(),
            Self::NotIn => !is_listed(),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
        };
        is_met && self.validate(values).is_ok()
    }

    /// Checks that there are values if the operator compares, and none if it does not
    /// (`NewRequirement` of Kubernetes).
    pub(crate) fn validate(self, values: &[String]) -> Result<(), RequirementError> {
        let operator = self;
        match self {
            Self::In | Self::NotIn if values.is_empty() => {
                Err(RequirementError::NoValues { operator })
            }
            Self::Exists | Self::DoesNotExist if !values.is_empty() => {
                Err(RequirementError::Values { operator })
            }
            _ => Ok(()),
        }
    }
}

/// Why an expression is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RequirementError {
    /// The operator compares with values and there are none.
    #[error("operator `{operator:?}` needs values")]
    NoValues {
        /// The operator.
        operator: SelectorOperator,
    },
    /// The operator does not compare and there are values.
    #[error("operator `{operator:?}` takes no values")]
    Values {
        /// The operator.
        operator: SelectorOperator,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(operator: SelectorOperator, values: &[&str]) -> LabelSelectorRequirement {
        LabelSelectorRequirement {
            key: "a".to_owned(),
            operator,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        }
    }

    #[test]
    fn an_absent_key_is_in_no_set() {
        use SelectorOperator::{DoesNotExist, Exists, In, NotIn};
        let cases = [
            (In, [false, true, false]),
            (NotIn, [true, false, true]),
            (Exists, [false, true, true]),
            (DoesNotExist, [true, false, false]),
        ];
        let subjects = [
            Labels::new(),
            Labels::from_iter([("a", "x")]),
            Labels::from_iter([("a", "y")]),
        ];
        for (operator, expected) in cases {
            let values: &[&str] = match operator {
                In | NotIn => &["x"],
                Exists | DoesNotExist => &[],
            };
            let requirement = requirement(operator, values);
            let matched = subjects
                .each_ref()
                .map(|labels| requirement.matches(labels));
            assert_eq!(matched, expected, "{operator:?}");
        }
    }

    #[test]
    fn no_labels_meet_an_expression_whose_values_do_not_go_with_its_operator() {
        use SelectorOperator::{DoesNotExist, Exists, In, NotIn};
        let subjects = [Labels::new(), Labels::from_iter([("a", "x")])];
        for (operator, values, is_valid) in [
            (In, &["x"][..], true),
            (In, &[], false),
            (NotIn, &["x"], true),
            (NotIn, &[], false),
            (Exists, &[], true),
            (Exists, &["x"], false),
            (DoesNotExist, &[], true),
            (DoesNotExist, &["x"], false),
        ] {
            let requirement = requirement(operator, values);
            let is_met = subjects.iter().any(|labels| requirement.matches(labels));
            let is_accepted = requirement.validate().is_ok();
            assert_eq!(
                [is_met, is_accepted],
                [is_valid; 2],
                "{operator:?} {values:?}"
            );
        }
    }

    #[test]
    fn labels_and_expressions_all_have_to_hold() {
        let selector = LabelSelector {
            match_labels: Labels::from_iter([("b", "y")]),
            match_expressions: vec![requirement(SelectorOperator::Exists, &[])],
        };
        assert!(selector.matches(&Labels::from_iter([("a", "x"), ("b", "y")])));
        assert!(!selector.matches(&Labels::from_iter([("b", "y")])));
        assert!(!selector.matches(&Labels::from_iter([("a", "x")])));
        assert!(LabelSelector::default().matches(&Labels::new()));
    }
}
