//! Go's duration syntax: `time.ParseDuration` and `Duration.String`.

use std::fmt;

use super::ParseDurationError;

/// The absolute value of Go's smallest duration, the largest sum while parsing.
const LIMIT: u64 = 1 << 63;

/// A decimal number: `whole + fraction / scale`.
struct Number {
    whole: u64,
    fraction: u64,
    scale: f64,
}

/// Parses a signed duration to nanoseconds.
pub(super) fn parse(text: &str) -> Result<i64, ParseDurationError> {
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    let mut sum: u64 = 0;
    loop {
        let (number, after) = parse_number(rest, text)?;
        let (unit, after) = parse_unit(after, text)?;
        sum = number
            .times(unit)
            .and_then(|nanos| sum.checked_add(nanos))
            .filter(|&sum| sum <= LIMIT)
            .ok_or_else(|| overflow(text))?;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    match i64::try_from(sum) {
        Ok(nanos) if negative => Ok(-nanos),
        Ok(nanos) => Ok(nanos),
        // Only one sum is left: 2^63, which has a negative but no positive.
        Err(_) if negative => Ok(i64::MIN),
        Err(_) => Err(overflow(text)),
    }
}

impl Number {
    fn times(&self, unit: u64) -> Option<u64> {
        let whole = self.whole.checked_mul(unit)?;
        // Go computes the fraction in floating point, and so its last digits are the same here.
        let fraction = self.fraction as f64 * (unit as f64 / self.scale);
        whole.checked_add(fraction as u64)
    }
}

fn parse_number<'a>(rest: &'a str, text: &str) -> Result<(Number, &'a str), ParseDurationError> {
    let (digits, after) = split_digits(rest);
    let whole = match digits {
        "" => 0,
        _ => digits.parse().map_err(|_| overflow(text))?,
    };
    let (decimals, after) = match after.strip_prefix('.') {
        Some(after) => split_digits(after),
        None => ("", after),
    };
    if digits.is_empty() && decimals.is_empty() {
        let text = text.to_owned();
        return Err(ParseDurationError::MissingNumber { text });
    }
    let (fraction, scale) = parse_fraction(decimals);
    let number = Number {
        whole,
        fraction,
        scale,
    };
    Ok((number, after))
}

/// Reads as many decimals as fit in 63 bits and ignores the others, as Go does.
fn parse_fraction(decimals: &str) -> (u64, f64) {
    let (mut fraction, mut scale) = (0_u64, 1.0);
    for digit in decimals.bytes().map(|byte| u64::from(byte - b'0')) {
        let next = fraction.checked_mul(10).and_then(|f| f.checked_add(digit));
        let Some(next) = next.filter(|&next| next <= LIMIT) else {
            break;
        };
        fraction = next;
        scale *= 10.0;
    }
    (fraction, scale)
}

fn parse_unit<'a>(rest: &'a str, text: &str) -> Result<(u64, &'a str), ParseDurationError> {
    let end = rest
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, after) = rest.split_at(end);
    let nanos = match unit {
        "ns" => 1,
        // U+00B5 is the micro sign, U+03BC the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "" => {
            let text = text.to_owned();
            return Err(ParseDurationError::MissingUnit { text });
        }
        _ => {
            let (text, unit) = (text.to_owned(), unit.to_owned());
            return Err(ParseDurationError::UnknownUnit { text, unit });
        }
    };
    Ok((nanos, after))
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn overflow(text: &str) -> ParseDurationError {
    let text = text.to_owned();
    ParseDurationError::Overflow { text }
}

/// Writes nanoseconds as Go does: below a second in one unit, above it as hours, minutes, seconds.
pub(super) fn write(nanos: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if nanos < 0 {
        f.write_str("-")?;
    }
    let nanos = nanos.unsigned_abs();
    match nanos {
        0 => f.write_str("0s"),
        1..1_000 => write!(f, "{nanos}ns"),
        1_000..1_000_000 => write_decimal(nanos, 1_000, "\u{b5}s", f),
        1_000_000..1_000_000_000 => write_decimal(nanos, 1_000_000, "ms", f),
        _ => {
            let (minutes, rest) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
            let (hours, minutes) = (minutes / 60, minutes % 60);
            if hours > 0 {
                write!(f, "{hours}h{minutes}m")?;
            } else if minutes > 0 {
                write!(f, "{minutes}m")?;
            }
            write_decimal(rest, 1_000_000_000, "s", f)
        }
    }
}

/// Writes `nanos / unit` without trailing zeros.
fn write_decimal(nanos: u64, unit: u64, suffix: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (whole, mut fraction) = (nanos / unit, nanos % unit);
    write!(f, "{whole}")?;
    if fraction > 0 {
        f.write_str(".")?;
        let mut digit = unit / 10;
        while fraction > 0 {
            write!(f, "{}", fraction / digit)?;
            fraction %= digit;
            digit /= 10;
        }
    }
    f.write_str(suffix)
}
