//! What an unquoted scalar means.
//!
//! Kubernetes reads YAML with `sigs.k8s.io/yaml`, which resolves scalars by YAML 1.1 as go-yaml v2
//! does (`goyaml.v2/resolve.go`): `yes`, `on` and `y` are booleans, `0o17` and `0x1f` are integers,
//! `12:30` is text. Integers that YAML 1.1 and 1.2 read differently (`012`, `1_000`) are told apart
//! here so that the reader can refuse them.

/// Meaning of an unquoted scalar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Meaning {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    /// A number, but which one depends on the version of YAML, or does not fit anything.
    AmbiguousNumber,
    Text,
}

impl Meaning {
    pub(super) fn of(text: &str) -> Self {
        let Some(first) = text.bytes().next() else {
            return Self::Null;
        };
        match first {
            b'0'..=b'9' | b'+' | b'-' | b'.' => number(text),
            b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => {
                word(text)
            }
            _ => Self::Text,
        }
    }

    /// What a person calls it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float(_) | Self::AmbiguousNumber => "a number",
            Self::Text => "a string",
        }
    }
}

fn word(text: &str) -> Meaning {
    match text {
        "~" | "null" | "Null" | "NULL" => Meaning::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Meaning::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Meaning::Bool(false)
        }
        _ => Meaning::Text,
    }
}

fn number(text: &str) -> Meaning {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.contains('_') {
        return match number(&text.replace('_', "")) {
            Meaning::Text => Meaning::Text,
            _ => Meaning::AmbiguousNumber,
        };
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.is_empty() {
        return decimal(text, digits);
    }
    match radix(digits) {
        Some((radix, digits)) => match i128::from_str_radix(digits, radix) {
            Ok(value) => Meaning::Integer(if negative { -value } else { value }),
            Err(_) => Meaning::AmbiguousNumber,
        },
        None => float(text, negative, digits),
    }
}

fn decimal(text: &str, digits: &str) -> Meaning {
    if digits.len() > 1 && digits.starts_with('0') {
        return Meaning::AmbiguousNumber;
    }
    match text.parse() {
        Ok(value) => Meaning::Integer(value),
        Err(_) => text
            .parse()
            .map_or(Meaning::AmbiguousNumber, Meaning::Float),
    }
}

/// The base and the digits of `0x1f`, `0o17` and `0b1`.
fn radix(digits: &str) -> Option<(u32, &str)> {
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        _ => return None,
    };
    let valid = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    valid.then_some((radix, digits))
}

fn float(text: &str, negative: bool, digits: &str) -> Meaning {
    match digits {
        ".inf" | ".Inf" | ".INF" if negative => return Meaning::Float(f64::NEG_INFINITY),
        ".inf" | ".Inf" | ".INF" => return Meaning::Float(f64::INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Meaning::Float(f64::NAN),
        _ => {}
    }
    // Rust's grammar of floats adds only words (`inf`, `nan`) to go-yaml's.
    let numeric = |byte: u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !digits.bytes().all(numeric)
    {
        return Meaning::Text;
    }
    text.parse().map_or(Meaning::Text, Meaning::Float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolves_scalars_as_kubernetes_does() {
        for (text, meaning) in [
            ("", Meaning::Null),
            ("~", Meaning::Null),
            ("null", Meaning::Null),
            ("nUll", Meaning::Text),
            ("yes", Meaning::Bool(true)),
            ("On", Meaning::Bool(true)),
            ("oN", Meaning::Text),
            ("off", Meaning::Bool(false)),
            ("n", Meaning::Bool(false)),
            ("0", Meaning::Integer(0)),
            ("-0", Meaning::Integer(0)),
            ("+80", Meaning::Integer(80)),
            ("18446744073709551616", Meaning::Integer(1 << 64)),
            ("0x1F", Meaning::Integer(31)),
            ("-0x10", Meaning::Integer(-16)),
            ("0o17", Meaning::Integer(15)),
            ("0b101", Meaning::Integer(5)),
            ("0x", Meaning::Text),
            ("0xg", Meaning::Text),
            ("1.0", Meaning::Float(1.0)),
            (".5", Meaning::Float(0.5)),
            ("5.", Meaning::Float(5.0)),
            ("-1e3", Meaning::Float(-1000.0)),
            ("-.inf", Meaning::Float(f64::NEG_INFINITY)),
            ("012", Meaning::AmbiguousNumber),
            ("080", Meaning::AmbiguousNumber),
            ("1_000", Meaning::AmbiguousNumber),
            ("1_a", Meaning::Text),
            ("1.2.3", Meaning::Text),
            ("12:30", Meaning::Text),
            ("2020-01-01", Meaning::Text),
            ("5s", Meaning::Text),
            ("1e", Meaning::Text),
            ("-", Meaning::Text),
            (".", Meaning::Text),
            ("-inf", Meaning::Text),
            ("reviews", Meaning::Text),
            ("été", Meaning::Text),
        ] {
            assert_eq!(Meaning::of(text), meaning, "{text}");
        }
    }
}
