//! A value that is a number or a name, such as the target port of a Service.
//!
//! `IntOrString` of `k8s.io/apimachinery/pkg/util/intstr`.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::kubernetes::int_or_string::IntOrString;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let number: IntOrString = serde_json::from_str("8080")?;
//! assert_eq!(number, IntOrString::Int(8080));
//!
//! // A number in quotes is a name, as it is to Kubernetes.
//! let name: IntOrString = serde_json::from_str(r#""8080""#)?;
//! assert_eq!(name, IntOrString::String("8080".to_owned()));
//! # Ok(())
//! # }
//! ```

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// A number or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntOrString {
    /// A number.
    Int(i32),
    /// A name.
    String(String),
}

impl fmt::Display for IntOrString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::String(name) => name.fmt(f),
        }
    }
}

impl Serialize for IntOrString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Int(number) => serializer.serialize_i32(*number),
            Self::String(name) => serializer.serialize_str(name),
        }
    }
}

impl<'de> Deserialize<'de> for IntOrString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IntOrStringVisitor)
    }
}

struct IntOrStringVisitor;

impl Visitor<'_> for IntOrStringVisitor {
    type Value = IntOrString;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a 32-bit integer or a string")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        i32::try_from(number)
            .map(IntOrString::Int)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        i32::try_from(number)
            .map(IntOrString::Int)
            .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(IntOrString::String(name.to_owned()))
    }

    fn visit_string<E: Error>(self, name: String) -> Result<Self::Value, E> {
        Ok(IntOrString::String(name))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_and_a_name_come_back_as_they_were_written() {
        for written in [json!(80), json!(-1), json!("http"), json!("80")] {
            let value: IntOrString = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(&value).unwrap(), written);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for written in [json!(1.5), json!(true), json!(4_294_967_296_u64), json!([])] {
            assert!(
                serde_json::from_value::<IntOrString>(written.clone()).is_err(),
                "{written}"
            );
        }
    }
}
