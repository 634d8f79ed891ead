//! Values as Go's tables have them, as the JSON that API objects have.

use mesh_core::parse::{self, Limits};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A Go value as JSON: names of fields begin with a small letter, positional lists are lists, whole
/// numbers have no fraction, and a pointer to nothing within a list is an empty message.
pub(super) fn json(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(item).collect(),
        Value::Object(fields) => match fields.get("_pos") {
            Some(items) => json(items),
            None => {
                let fields = fields.iter();
                let fields = fields.map(|(name, value)| (field_name(name), json(value)));
                Value::Object(fields.collect())
            }
        },
        Value::Number(number) => whole(number.as_f64()).unwrap_or_else(|| value.clone()),
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

fn item(value: &Value) -> Value {
    match value {
        Value::Null => Value::Object(Map::new()),
        value => json(value),
    }
}

/// `Port` is `port`; symbols and names that begin otherwise stay.
fn field_name(name: &str) -> String {
    let mut letters = name.chars();
    match letters.next() {
        Some(first) if first.is_ascii_uppercase() && !name.contains('(') => {
            format!("{}{}", first.to_ascii_lowercase(), letters.as_str())
        }
        _ => name.to_owned(),
    }
}

fn whole(number: Option<f64>) -> Option<Value> {
    // Beyond this, not every whole number is one of floating point.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let number = number.filter(|number| number.fract() == 0.0 && number.abs() < EXACT)?;
    // The conversion is exact by the check above.
    let text = format!("{number:.0}");
    text.parse::<i64>().ok().map(Value::from)
}

/// Reads a value whole: `None` if anything in it is not of the type.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Option<T> {
    let text = json(value).to_string();
    let (read, _) = parse::parse_as("row", &text, &Limits::default()).ok()?;
    Some(read)
}

/// Reads a value whole, or nothing where nothing is written.
pub(super) fn read_optional<T: DeserializeOwned>(value: Option<&Value>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}

/// Reads a list whole; empty where nothing is written.
pub(super) fn read_list<T: DeserializeOwned>(value: Option<&Value>) -> Option<Vec<T>> {
    value.map_or_else(|| Some(Vec::new()), read)
}
