//! The header `grpc-timeout`: up to eight digits and a unit ([gRPC over HTTP/2]).
//!
//! [gRPC over HTTP/2]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const MOST: u128 = 99_999_999;

/// The timeout that a request asks for. `None` if it does not, or not as it should.
pub(super) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(TIMEOUT)?.as_bytes();
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits
        .iter()
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Writes `timeout` in the finest unit that holds it, from milliseconds on.
pub(super) fn announce(timeout: Duration, headers: &mut HeaderMap) {
    let units = [(1, 'm'), (1000, 'S'), (60_000, 'M'), (3_600_000, 'H')];
    let millis = timeout.as_millis();
    let fitting = units
        .into_iter()
        .map(|(unit, name)| (millis / unit, name))
        .find(|(number, _)| *number <= MOST);
    let (number, name) = fitting.unwrap_or((MOST, 'H'));
    if let Ok(value) = HeaderValue::try_from(format!("{number}{name}")) {
        headers.insert(TIMEOUT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_eight_digits_and_a_unit() {
        for (value, expected) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("4S", Some(Duration::from_secs(4))),
            ("5m", Some(Duration::from_millis(5))),
            ("6u", Some(Duration::from_micros(6))),
            ("7n", Some(Duration::from_nanos(7))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("999999999m", None),
            ("5", None),
            ("m", None),
            ("5s", None),
            ("-5m", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(TIMEOUT, value.parse().unwrap())]);
            assert_eq!(timeout(&headers), expected, "{value}");
        }
    }

    #[test]
    fn long_timeouts_are_told_in_coarser_units() {
        for (timeout, expected) in [
            (Duration::from_millis(99_999_999), "99999999m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(100_000_000), "1666666M"),
            (Duration::MAX, "99999999H"),
        ] {
            let mut headers = HeaderMap::new();
            announce(timeout, &mut headers);
            assert_eq!(headers[TIMEOUT], expected, "{timeout:?}");
        }
    }
}
