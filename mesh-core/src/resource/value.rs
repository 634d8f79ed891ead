//! Values whose form no schema fixes.
//!
//! Some fields are free-form: the configuration of a Wasm plugin, the patch of an EnvoyFilter, the
//! labels of a JSON access log. They are `google.protobuf.Struct` in Istio's API and are kept here
//! as they were written.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::Value;
//!
//! let value: Value = serde_json::from_str(r#"{"name": "lua", "limits": [1, 2.5]}"#)?;
//!
//! assert_eq!(value.field("name").and_then(Value::as_str), Some("lua"));
//! assert_eq!(
//!     value.field("limits"),
//!     Some(&Value::List(vec![Value::Integer(1), Value::Float(2.5)])),
//! );
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// A null, a scalar, a list or a map.
///
/// Integers are kept apart from other numbers, so that `1` is written back as `1`. One that an
/// `i64` does not hold becomes the nearest float, as every number of a `google.protobuf.Struct`
/// does.
///
/// A map that names an entry twice is no value, at whatever depth it is: who reads the same text elsewhere might
/// take the other one, and Envoy's JSON parser takes none.
///
/// How deep a value may nest is up to the deserializer that reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing, written as such.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without a fraction.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    String(String),
    /// Values in the order in which they were written.
    List(Vec<Self>),
    /// Values by name, in the order of the names.
    Map(BTreeMap<String, Self>),
}

impl Value {
    /// The text, if this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if this is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The entries, if this is a map.
    pub fn as_map(&self) -> Option<&BTreeMap<String, Self>> {
        match self {
            Self::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry `name`, if this is a map that has it.
    pub fn field(&self, name: &str) -> Option<&Self> {
        self.as_map()?.get(name)
    }
}

impl Serialize for Value {
    fn serialize<S>(&self, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
    {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::String(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => serializer.collect_map(entries),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D>(deserializer: D) -> Result<Self, D::Error>
    where
        D: Deserializer<'de>,
    {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a null, scalar, list or map")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D>(self, deserializer: D) -> Result<Value, D::Error>
    where
        D: Deserializer<'de>,
    {
        Deserialize::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A>(self, mut access: A) -> Result<Value, A::Error>
    where
        A: SeqAccess<'de>,
    {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A>(self, mut access: A) -> Result<Value, A::Error>
    where
        A: MapAccess<'de>,
    {
        let mut entries = BTreeMap::new();
        while let Some((name, value)) = access.next_entry()? {
            match entries.entry(name) {
                Entry::Vacant(entry) => entry.insert(value),
                Entry::Occupied(entry) => {
                    let twice = format_args!("`{}` is there twice", entry.key());
                    return Err(A::Error::custom(twice));
                }
            };
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_map_that_names_an_entry_twice_is_no_value() {
        for (text, expected) in [
            (r#"{"a": [{"b": 1}, {"b": null}], "b": -1}"#, true),
            (r#"{"a": 1, "b": 2, "a": 1}"#, false),
            (r#"{"a": [{"b": 1, "\u0062": 2}]}"#, false),
        ] {
            let read = serde_json::from_str::<Value>(text);
            assert_eq!(read.is_ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_document_is_given_back_as_it_was_written() {
        let document = json!({
            "null": null,
            "flag": true,
            "numbers": [0, -1, 2.5],
            "nested": {"empty list": [], "empty map": {}, "text": ""},
        });
        let value: Value = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(serde_json::to_value(value).unwrap(), document);
    }

    #[test]
    fn an_integer_beyond_64_signed_bits_becomes_a_float() {
        let value: Value = serde_json::from_str("18446744073709551615").unwrap();
        assert_eq!(value, Value::Float(18_446_744_073_709_551_615.0));
    }

    #[test]
    fn a_field_is_found_in_maps_only() {
        let map: Value = serde_json::from_value(json!({"a": true})).unwrap();
        assert_eq!(map.field("a").and_then(Value::as_bool), Some(true));
        assert_eq!(map.field("b"), None);
        assert_eq!(Value::String("a".to_owned()).field("a"), None);
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Integer),
            // Eighths: serde_json reads other fractions with an error in the last place.
            any::<i32>().prop_map(|eighths| Value::Float(f64::from(eighths) / 8.0)),
            ".*".prop_map(Value::String),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
                prop::collection::btree_map(".*", inner, 0..8).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_survives_being_written_and_read(value in any_value()) {
            let text = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}
