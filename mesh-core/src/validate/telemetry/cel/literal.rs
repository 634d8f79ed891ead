//! Texts and numbers.

use super::Parser;

impl Parser<'_> {
    pub(super) fn literal(&mut self) -> Option<()> {
        self.skip_space();
        self.string().or_else(|| self.number())
    }

    fn string(&mut self) -> Option<()> {
        let quote_at = self.rest.find(['"', '\'']).filter(|at| *at <= 2)?;
        let (prefix, quoted) = self.rest.split_at(quote_at);
        let prefix = prefix.to_ascii_lowercase();
        if !matches!(prefix.as_str(), "" | "r" | "b" | "br") {
            return None;
        }
        let quote = &quoted[..1];
        let triple = quote.repeat(3);
        let end = if quoted.starts_with(&triple) {
            triple.as_str()
        } else {
            quote
        };
        let mut body = &quoted[end.len()..];
        while !body.starts_with(end) {
            let mut chars = body.chars();
            let char = chars.next()?;
            if matches!(char, '\n' | '\r') && end.len() == 1 {
                return None;
            }
            body = chars.as_str();
            if char == '\\' && !prefix.ends_with('r') {
                body = skip_escape(body)?;
            }
        }
        self.rest = &body[end.len()..];
        Some(())
    }

    pub(super) fn number(&mut self) -> Option<()> {
        let (text, is_integer) = match self.rest.strip_prefix("0x") {
            Some(digits) => (take_digits(digits, 16), true),
            None => decimal(self.rest)?,
        };
        let (radix, start) = match self.rest.strip_prefix("0x") {
            Some(_) => (16, 2),
            None => (10, 0),
        };
        self.rest = &self.rest[start + text.len()..];
        if is_integer {
            let unsigned = self.rest.strip_prefix(['u', 'U']);
            let max = unsigned.map_or(i64::MAX.unsigned_abs(), |_| u64::MAX);
            self.rest = unsigned.unwrap_or(self.rest);
            u64::from_str_radix(text, radix)
                .ok()
                .filter(|number| *number <= max)?;
        }
        Some(())
    }
}

/// What follows an escape, whose backslash was taken already.
fn skip_escape(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    let (digits, radix) = match first {
        'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '"' | '\'' | '\\' | '?' | '`' => (0, 16),
        'x' | 'X' => (2, 16),
        'u' => (4, 16),
        'U' => (8, 16),
        '0'..='3' => (2, 8),
        _ => return None,
    };
    let (escape, rest) = text.get(first.len_utf8()..)?.split_at_checked(digits)?;
    escape
        .chars()
        .all(|char| char.is_digit(radix))
        .then_some(rest)
}

/// The decimal number at the front of a text, and whether it has neither fraction nor exponent.
fn decimal(text: &str) -> Option<(&str, bool)> {
    let integer = take_digits(text, 10).len();
    let fraction = text[integer..].strip_prefix('.').map_or(0, |rest| {
        let digits = take_digits(rest, 10).len();
        if digits == 0 { 0 } else { digits + 1 }
    });
    let mantissa = integer + fraction;
    let exponent = text[mantissa..].strip_prefix(['e', 'E']).map_or(0, |rest| {
        let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
        let len = take_digits(digits, 10).len();
        if len == 0 {
            0
        } else {
            1 + rest.len() - digits.len() + len
        }
    });
    (mantissa > 0).then(|| {
        let is_integer = fraction == 0 && exponent == 0;
        (&text[..mantissa + exponent], is_integer)
    })
}

fn take_digits(text: &str, radix: u32) -> &str {
    let end = text.find(|char: char| !char.is_digit(radix));
    &text[..end.unwrap_or(text.len())]
}
