//! JSON (RFC 8259), as far as the inside of a text field has to be understood.

use std::collections::BTreeMap;

use crate::resource::Value;

/// How deep values may nest.
const MAX_DEPTH: usize = 32;

/// The value of a text, if it is one value in JSON.
pub(super) fn parse(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text };
    let value = reader.value(0)?;
    reader.skip_space();
    reader.rest.is_empty().then_some(value)
}

struct Reader<'t> {
    rest: &'t str,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes `token`, after space, if it is next.
    fn take(&mut self, token: &str) -> Option<()> {
        self.skip_space();
        self.rest = self.rest.strip_prefix(token)?;
        Some(())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_space();
        match self.rest.as_bytes().first()? {
            b'{' if depth < MAX_DEPTH => self.object(depth),
            b'[' if depth < MAX_DEPTH => self.array(depth),
            b'"' => self.string().map(Value::String),
            b't' => self.take("true").map(|()| Value::Bool(true)),
            b'f' => self.take("false").map(|()| Value::Bool(false)),
            b'n' => self.take("null").map(|()| Value::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        let mut fields = BTreeMap::new();
        self.take("{")?;
        if self.take("}").is_some() {
            return Some(Value::Map(fields));
        }
        loop {
            self.skip_space();
            let name = self.string()?;
            self.take(":")?;
            fields.insert(name, self.value(depth + 1)?);
            if self.take(",").is_none() {
                self.take("}")?;
                return Some(Value::Map(fields));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        let mut items = Vec::new();
        self.take("[")?;
        if self.take("]").is_some() {
            return Some(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take(",").is_none() {
                self.take("]")?;
                return Some(Value::List(items));
            }
        }
    }

    /// A string. Escapes are checked for their form; `\u` is not decoded, which no member of a key
    /// needs.
    fn string(&mut self) -> Option<String> {
        let text = self.rest.strip_prefix('"')?;
        let mut value = String::new();
        let mut chars = text.char_indices();
        while let Some((index, char)) = chars.next() {
            match char {
                '"' => {
                    self.rest = &text[index + 1..];
                    return Some(value);
                }
                '\\' => match chars.next()?.1 {
                    'u' => {
                        let digits: Option<String> = (0..4)
                            .map(|_| chars.next().map(|(_, digit)| digit))
                            .collect();
                        u16::from_str_radix(&digits?, 16).ok()?;
                        value.push(char::REPLACEMENT_CHARACTER);
                    }
                    escaped @ ('"' | '\\' | '/') => value.push(escaped),
                    'b' | 'f' | 'n' | 'r' | 't' => value.push(' '),
                    _ => return None,
                },
                '\0'..='\u{1f}' => return None,
                char => value.push(char),
            }
        }
        None
    }

    fn number(&mut self) -> Option<Value> {
        let is_part = |char: char| char.is_ascii_digit() || "+-.eE".contains(char);
        let end = self
            .rest
            .find(|char| !is_part(char))
            .unwrap_or(self.rest.len());
        let (number, rest) = self.rest.split_at(end);
        let is_number = number.starts_with(|char: char| char.is_ascii_digit() || char == '-');
        let value = number.parse().ok().filter(|_| is_number)?;
        self.rest = rest;
        Some(Value::Float(value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_read_whole() {
        for text in [
            "{}",
            " [ ] ",
            r#"{"a": [1, -2.5e3, true, false, null], "b": {"c": "d\"\u00e9"}}"#,
            "\"é\"",
        ] {
            assert!(parse(text).is_some(), "{text}");
        }
        assert_eq!(
            parse(r#"{"a": "b\\"}"#).unwrap().field("a"),
            Some(&Value::String("b\\".into()))
        );
        for text in [
            "",
            "{",
            "[1,]",
            r#"{"a" 1}"#,
            "\"a",
            "\"\\x\"",
            "tru",
            "1 2",
            "+1",
            "'a'",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_none());
    }

    proptest! {
        #[test]
        fn all_json_is_read_and_nothing_else_panics(text in "[\\[\\]{}\",:0-9a-z\\\\ .-]{0,24}") {
            let expected = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            // Go's and our numbers may have leading zeros, which JSON does not allow.
            prop_assert!(!expected || parse(&text).is_some(), "{}", text);
        }
    }
}
