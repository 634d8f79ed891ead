//! Labels of workloads and objects, and the selectors that choose by them.
//!
//! Istio selects by equality: a workload is chosen when it has all labels of the selector, so an
//! empty selector chooses every workload. Kubernetes adds expressions, see [`LabelSelector`].
//!
//! # Example
//!
//! ```
//! use mesh_core::labels::Labels;
//!
//! let subset = Labels::from_iter([("version", "v1")]);
//! let pod = Labels::from_iter([("app", "reviews"), ("version", "v1")]);
//! assert!(subset.is_subset_of(&pod));
//! assert!(!pod.is_subset_of(&subset));
//! assert_eq!(pod.to_string(), "app=reviews,version=v1");
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dns::{MAX_LABEL_LEN, is_unbounded_label};

mod selector;

pub use selector::{LabelSelector, LabelSelectorRequirement, RequirementError, SelectorOperator};

/// Label of a service, or of its namespace, with the Gateway that its clients go through.
pub(crate) const USE_WAYPOINT: &str = "istio.io/use-waypoint";

/// The longest DNS name before the `/` of a key, in bytes.
const MAX_PREFIX_LEN: usize = 253;

/// Keys with a value each, in the order of the keys.
#[derive(Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// No labels.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// The value of a key.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Sets the value of a key, and gives back the value that it had.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<String>) -> Option<String> {
        self.0.insert(key.into(), value.into())
    }

    /// The keys with their values, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `other` has all these keys, with the same values.
    ///
    /// This is how a selector chooses a workload: `selector.is_subset_of(&workload)`.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter()
            .all(|(key, value)| other.value(key) == Some(value))
    }

    /// Checks all keys and values, see [`validate_key`] and [`validate_value`].
    ///
    /// # Errors
    ///
    /// One for each key and each value that is refused.
    pub fn validate(&self) -> Result<(), Vec<LabelError>> {
        let checks = self
            .iter()
            .flat_map(|(key, value)| [validate_key(key), validate_value(value)]);
        let errors: Vec<_> = checks.filter_map(Result::err).collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }
}

impl fmt::Display for Labels {
    /// Writes `key=value` pairs between commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(labels: I) -> Self {
        let pairs = labels.into_iter();
        Self(
            pairs
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }
}

impl std::str::FromStr for Labels {
    type Err = ParseLabelsError;

    /// Parses `key=value` pairs between commas, as on a command line; an empty text has none.
    ///
    /// # Errors
    ///
    /// When a pair has no `=`, or its key or value is refused by [`validate_key`] or
    /// [`validate_value`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut labels = Self::new();
        for pair in text.split(',').filter(|_| !text.is_empty()) {
            let Some((key, value)) = pair.split_once('=') else {
                let pair = pair.to_owned();
                return Err(ParseLabelsError::Pair { pair });
            };
            validate_key(key)?;
            validate_value(value)?;
            labels.insert(key, value);
        }
        Ok(labels)
    }
}

/// Checks the key of a label: a name of at most 63 letters, digits, `-`, `_` and `.` that begins
/// and ends with a letter or digit, perhaps after a DNS name of at most 253 bytes and a `/`.
///
/// # Errors
///
/// When the key is of another form.
pub fn validate_key(key: &str) -> Result<(), LabelError> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    // The whole prefix has a bound, and none of its labels.
    let is_dns_name =
        |prefix: &str| prefix.len() <= MAX_PREFIX_LEN && prefix.split('.').all(is_unbounded_label);
    if prefix.is_none_or(is_dns_name) && name.len() <= MAX_LABEL_LEN && is_qualified_name(name) {
        Ok(())
    } else {
        Err(LabelError::Key { key: key.into() })
    }
}

/// Checks the value of a label: empty, or the characters of a key's name.
///
/// Istio does not bound the length, which Kubernetes does at 63 bytes.
///
/// # Errors
///
/// When the value has another character or begins or ends with `-`, `_` or `.`.
pub fn validate_value(value: &str) -> Result<(), LabelError> {
    if value.is_empty() || is_qualified_name(value) {
        Ok(())
    } else {
        let value = value.to_owned();
        Err(LabelError::Value { value })
    }
}

fn is_qualified_name(name: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    is_end(bytes.first())
        && is_end(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Why a label was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LabelError {
    /// The key is not a name, perhaps after a DNS name.
    #[error("`{key}` is not the key of a label")]
    Key {
        /// The key as given.
        key: String,
    },
    /// The value has a character that is not allowed at its place.
    #[error("`{value}` is not the value of a label")]
    Value {
        /// The value as given.
        value: String,
    },
}

/// Why a text is not a list of labels.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseLabelsError {
    /// A part between commas has no `=`.
    #[error("`{pair}` is not of the form key=value")]
    Pair {
        /// The part as given.
        pair: String,
    },
    /// A key or a value was refused.
    #[error(transparent)]
    Label(#[from] LabelError),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_selector_selects_all() {
        let pod = Labels::from_iter([("app", "a"), ("empty", "")]);
        assert!(Labels::new().is_subset_of(&pod));
        assert!(Labels::from_iter([("empty", "")]).is_subset_of(&pod));
        assert!(!Labels::from_iter([("absent", "")]).is_subset_of(&pod));
        assert!(!Labels::from_iter([("app", "b")]).is_subset_of(&pod));
    }

    #[test]
    fn a_key_may_have_a_dns_name_before_it() {
        let (long, too_long) = ("a".repeat(63), "a".repeat(64));
        let long_prefix = format!("{too_long}.io/a");
        for key in [
            "a",
            "A.b_c-9",
            "k8s.io/a",
            "localhost/a",
            &long,
            &long_prefix,
        ] {
            assert!(validate_key(key).is_ok(), "{key}");
        }
        let prefix = format!("{}/a", ["a"; 128].join("."));
        for key in [
            "", "/a", "a/", "a/b/c", "a./b", "_a", "a-", "a$", "é", &too_long, &prefix,
        ] {
            assert!(validate_key(key).is_err(), "{key}");
        }
    }

    #[test]
    fn a_value_may_be_empty() {
        for value in ["", "a", "a_b", "1.2.3"] {
            assert!(validate_value(value).is_ok(), "{value}");
        }
        for value in [".a", "a-", "a b", "a/b", "*"] {
            assert!(validate_value(value).is_err(), "{value}");
        }
    }

    #[test]
    fn all_faults_are_found_at_once() {
        let labels = Labels::from_iter([("^", "^"), ("a", "b"), ("c", "$")]);
        assert_eq!(labels.validate().unwrap_err().len(), 3);
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(
            labels in proptest::collection::btree_map("[a-z]{1,4}", "[a-z0-9]{0,3}", 0..4),
        ) {
            let labels = Labels::from_iter(labels);
            prop_assert_eq!(labels.to_string().parse(), Ok(labels.clone()));
            let json = serde_json::to_string(&labels).unwrap();
            prop_assert_eq!(serde_json::from_str::<Labels>(&json).unwrap(), labels);
        }
    }
}
