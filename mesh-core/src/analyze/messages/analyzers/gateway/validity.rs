//! Whether bytes are a certificate, and whether it is valid at some time.
//!
//! No more is read than is needed for that: RFC 7468 for the text, and of RFC 5280 the path to the
//! field `validity`. Nothing is verified.

use std::time::{Duration, SystemTime};

use crate::base64;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Whether the first block of `pem` is a certificate, and valid `now` if a time is given.
pub(super) fn is_certificate(pem: &[u8], now: Option<SystemTime>) -> bool {
    let Some((not_before, not_after)) = der(pem).and_then(|der| validity(&der)) else {
        return false;
    };
    now.is_none_or(|now| not_before <= now && now <= not_after)
}

/// The bytes of the first PEM block.
fn der(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let digits: String = body
        .chars()
        .filter(|found| !found.is_ascii_whitespace())
        .collect();
    base64::decode(&digits)
}

/// `notBefore` and `notAfter` of a certificate.
fn validity(der: &[u8]) -> Option<(SystemTime, SystemTime)> {
    let (certificate, _) = element(der, SEQUENCE)?;
    let (to_be_signed, _) = element(certificate, SEQUENCE)?;
    let rest = match to_be_signed.first()? {
        &VERSION => any(to_be_signed)?.2,
        _ => to_be_signed,
    };
    // serialNumber, signature, issuer
    let rest = any(any(any(rest)?.2)?.2)?.2;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (tag, not_before, rest) = any(validity)?;
    let not_before = time(tag, not_before)?;
    let (tag, not_after, _) = any(rest)?;
    Some((not_before, time(tag, not_after)?))
}

/// The content of the element at the front of `der`, which has to have `tag`, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(der)?;
    (found == tag).then_some((content, rest))
}

/// Tag and content of the element at the front of `der`, and what follows it.
fn any(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// A time of RFC 5280, section 4.1.2.5: `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, content: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    let text = match (tag, text.get(..2)?.parse::<u8>().ok()?) {
        (GENERALIZED_TIME, _) => text.to_owned(),
        (UTC_TIME, 0..50) => format!("20{text}"),
        (UTC_TIME, _) => format!("19{text}"),
        _ => return None,
    };
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<u64>().ok();
    let days = days_since_1970(part(0..4)?, part(4..6)?, part(6..8)?)?;
    let seconds = part(8..10)? * 3600 + part(10..12)? * 60 + part(12..14)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(days * 86_400 + seconds))
}

/// Days of the Gregorian calendar, from 1970 on.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    // Years begin in March here, so that the day of a leap year is the last.
    let (year, month) = match month {
        1 | 2 => (year.checked_sub(1)?, month + 9),
        3..=12 => (year, month - 3),
        _ => return None,
    };
    let day_of_year = (153 * month + 2) / 5 + day.checked_sub(1)?;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_by_the_calendar() {
        for (date, days) in [
            ((1970, 1, 1), Some(0)),
            ((1970, 3, 1), Some(59)),
            ((2000, 2, 29), Some(11_016)),
            ((2000, 3, 1), Some(11_017)),
            ((2026, 11, 28), Some(20_785)),
            ((1969, 12, 31), None),
            ((2026, 13, 1), None),
        ] {
            let (year, month, day) = date;
            assert_eq!(days_since_1970(year, month, day), days, "{date:?}");
        }
    }

    #[test]
    fn times_have_two_digits_of_the_year_or_four() {
        let seconds = |tag, text: &str| {
            let time = time(tag, text.as_bytes())?;
            Some(
                time.duration_since(SystemTime::UNIX_EPOCH)
                    .unwrap()
                    .as_secs(),
            )
        };
        assert_eq!(seconds(UTC_TIME, "700101000001Z"), Some(1));
        assert_eq!(seconds(UTC_TIME, "000301000000Z"), Some(951_868_800));
        assert_eq!(
            seconds(GENERALIZED_TIME, "20000301000000Z"),
            Some(951_868_800)
        );
        assert_eq!(seconds(UTC_TIME, "000301000000+0100"), None);
        assert_eq!(seconds(UTC_TIME, "0003"), None);
    }

    #[test]
    fn a_certificate_is_valid_within_its_time() {
        // The skeleton of a certificate: serial number, algorithm, issuer and validity.
        let times = [
            &[UTC_TIME, 13][..],
            b"200101000000Z",
            &[UTC_TIME, 13],
            b"300101000000Z",
        ];
        let validity = times.concat();
        let body = [
            &[0x02, 1, 7, SEQUENCE, 0, SEQUENCE, 0, SEQUENCE, 30][..],
            &validity,
        ]
        .concat();
        let der = [&[SEQUENCE, 41, SEQUENCE, 39][..], &body].concat();
        let (before, after) = super::validity(&der).unwrap();
        let year = Duration::from_secs(365 * 86_400);
        assert!(before + 10 * year < after && after < before + 11 * year);
        assert!(super::validity(&der[..30]).is_none());
    }

    #[test]
    fn text_that_is_no_certificate_is_refused() {
        for text in [
            "",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN A-----\nAAAA\n-----END A-----",
        ] {
            assert!(!is_certificate(text.as_bytes(), None), "{text}");
        }
    }
}
