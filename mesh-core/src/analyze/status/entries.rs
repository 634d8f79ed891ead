use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::resource::Value;

/// A list that several controllers write into: the parents of a route, the ancestors of a policy.
///
/// Serialized it is one list, those of others first.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries<T> {
    /// The controller's own.
    pub own: Vec<T>,
    /// Those of other controllers, as they wrote them.
    pub others: Vec<Value>,
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        let (own, others) = (Vec::new(), Vec::new());
        Self { own, others }
    }
}

impl<T: Serialize> Serialize for Entries<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { own, others } = self;
        let mut list = serializer.serialize_seq(Some(own.len() + others.len()))?;
        for other in others {
            list.serialize_element(other)?;
        }
        for own in own {
            list.serialize_element(own)?;
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn those_of_others_are_written_first() {
        let entries = Entries {
            own: vec!["ours"],
            others: vec![Value::String("theirs".to_owned())],
        };
        assert_eq!(
            serde_json::to_value(&entries).unwrap(),
            json!(["theirs", "ours"])
        );
    }
}
