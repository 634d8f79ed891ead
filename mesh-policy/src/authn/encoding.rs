//! Base64url and JSON, read as Envoy reads them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mesh_core::resource::Value;

/// Padding may be left out, as RFC 7515 §2 has it, or be there, as Envoy accepts it.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes Base64url; `None` if it is none.
pub(super) fn base64url(text: &str) -> Option<Vec<u8>> {
    BASE64URL.decode(text).ok()
}

/// The fields of a JSON object; `None` if it is none.
///
/// Envoy reads JSON by protobuf's parser, which lets a list or object end with a comma, and so do
/// some key sets in use. It takes no object that names a field twice (RFC 7519 §4), nor is that a [`Value`].
pub(super) fn object(text: &str) -> Option<BTreeMap<String, Value>> {
    let value = serde_json::from_str(text).or_else(|error| {
        let repaired = without_trailing_commas(text);
        match &repaired {
            Cow::Borrowed(_) => Err(error),
            Cow::Owned(repaired) => serde_json::from_str(repaired),
        }
    });
    match value {
        Ok(Value::Map(fields)) => Some(fields),
        Ok(_) | Err(_) => None,
    }
}

/// The text without the commas that only space and a closing bracket follow, one at a place.
fn without_trailing_commas(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut trailing = Vec::new();
    let mut comma = None;
    let mut previous = 0;
    let mut in_string = false;
    let mut escaped = false;
    for (index, &byte) in bytes.iter().enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b']' | b'}' => trailing.extend(comma),
            b'"' => in_string = true,
            _ => {}
        }
        let is_after_value = !matches!(previous, 0 | b'[' | b'{' | b',' | b':');
        comma = (byte == b',' && is_after_value).then_some(index);
        previous = byte;
    }
    if trailing.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut repaired = String::with_capacity(text.len());
    let mut start = 0;
    for comma in trailing {
        repaired.push_str(&text[start..comma]);
        start = comma + 1;
    }
    repaired.push_str(&text[start..]);
    Cow::Owned(repaired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_padded_or_not() {
        assert_eq!(base64url("_-8"), Some(vec![0xff, 0xef]));
        assert_eq!(base64url("_-8="), Some(vec![0xff, 0xef]));
        for text in ["_", "+/8", "_-8 ", "_-8==", "_=-8"] {
            assert_eq!(base64url(text), None, "{text}");
        }
    }

    #[test]
    fn an_object_names_each_field_once() {
        assert!(object(r#"{"a": {"b": 1}, "b": 2}"#).is_some());
        assert!(object(r#"{"a": {"b": 1, "b": 1}}"#).is_none());
        assert!(object(r#"{"a": 1, "a": 1,}"#).is_none());
    }

    #[test]
    fn a_comma_may_stand_before_a_closing_bracket() {
        let cases = [
            (r#"{"a": [1, 2, ], "b": {"c": "x,}",},}"#, true),
            (r#"{"a": ",]\",}"}"#, true),
            (r"{}", true),
            (r#"{"a": [1,,]}"#, false),
            (r#"{"a": [,]}"#, false),
            (r"{,}", false),
            (r"[]", false),
            (r"", false),
        ];
        for (text, expected) in cases {
            assert_eq!(object(text).is_some(), expected, "{text}");
        }
        let fields = object(r#"{"b": {"c": "x,}",},}"#).unwrap();
        assert_eq!(fields["b"].field("c").and_then(Value::as_str), Some("x,}"));
    }
}
