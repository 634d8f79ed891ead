//! Distinguished names as texts.

use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// Writes a name as [RFC 2253] says and OpenSSL and Envoy do (`XN_FLAG_RFC2253`): the most specific
/// part first, `CN=reviews,O=Acme`.
///
/// [RFC 2253]: https://www.rfc-editor.org/rfc/rfc2253
pub(crate) fn to_rfc2253(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name
        .iter_rdn()
        .map(|part| {
            let values: Vec<String> = part.iter().map(attribute).collect();
            values.join("+")
        })
        .collect();
    let reversed: Vec<&str> = parts.iter().rev().map(String::as_str).collect();
    reversed.join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let abbreviation = oid2abbrev(attribute.attr_type(), oid_registry());
    match (abbreviation, attribute.as_str()) {
        (Ok(name), Ok(value)) => format!("{name}={}", escape(value)),
        // What has no name, or is no text, is written as the bytes that it is.
        (name, _) => {
            let oid = attribute.attr_type().to_id_string();
            let hex = attribute.as_slice().iter();
            let hex: String = hex.map(|byte| format!("{byte:02X}")).collect();
            format!("{}=#{hex}", name.unwrap_or(&oid))
        }
    }
}

/// Escapes what RFC 2253 section 2.4 demands, and bytes that are not printable ASCII.
fn escape(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut escaped = String::with_capacity(bytes.len());
    for (index, byte) in bytes.iter().enumerate() {
        let is_first = index == 0;
        let is_last = index + 1 == bytes.len();
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                escaped.push('\\');
                escaped.push(char::from(*byte));
            }
            b'#' if is_first => escaped.push_str("\\#"),
            b' ' if is_first || is_last => escaped.push_str("\\ "),
            b' '..=b'~' => escaped.push(char::from(*byte)),
            _ => escaped.push_str(&format!("\\{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_escaped() {
        let cases = [
            ("Acme", "Acme"),
            ("Acme, Inc.", r"Acme\, Inc."),
            (" a ", r"\ a\ "),
            ("#1 #2", r"\#1 #2"),
            ("a\"b\\c+d<e>f;g=h", r#"a\"b\\c\+d\<e\>f\;g=h"#),
            ("Zürich\n", r"Z\C3\BCrich\0A"),
            (" ", r"\ "),
            ("", ""),
        ];
        for (value, expected) in cases {
            assert_eq!(escape(value), expected, "{value}");
        }
    }
}
