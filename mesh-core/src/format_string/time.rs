//! Formats of points in time, for `START_TIME`.
//!
//! The letters are those of `strftime`, always in UTC, with Envoy's additions for fractions of a
//! second: `%f` (nanoseconds), `%3f` (the first three digits), `%E3S` (seconds with three digits)
//! and `%Ez` (the offset with a colon).

use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const NANOS_DIGITS: u8 = 9;
const SECONDS_A_DAY: i64 = 86_400;

/// A parsed format.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TimeFormat(Vec<Part>);

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Field(Field),
    Literal(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Day,
    DayOfYear,
    DayPadded,
    Fraction(u8),
    Hour,
    Hour12,
    Meridiem,
    Minute,
    Month,
    MonthName { short: bool },
    Second,
    SecondsSinceEpoch,
    Weekday { short: bool },
    Year,
    YearOfCentury,
}

impl TimeFormat {
    /// Envoy's default: RFC 3339 in UTC, with milliseconds.
    pub(super) fn rfc3339() -> Self {
        let mut parts = Vec::new();
        expand('F', &mut parts);
        parts.push(Part::Literal("T".into()));
        expand('T', &mut parts);
        parts.push(Part::Literal(".".into()));
        parts.push(Part::Field(Field::Fraction(3)));
        parts.push(Part::Literal("Z".into()));
        Self(parts)
    }

    /// Parses `text`, or returns the conversion that is not known.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find('%') {
            if start > 0 {
                parts.push(Part::Literal(rest[..start].to_owned()));
            }
            rest = conversion(&rest[start + 1..], &mut parts)
                .ok_or_else(|| rest[start..].chars().take(2).collect::<String>())?;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    pub(super) fn write(&self, time: SystemTime, out: &mut Vec<u8>) {
        let time = Civil::at(time);
        for part in &self.0 {
            match part {
                Part::Field(field) => out.extend(time.field(*field).into_bytes()),
                Part::Literal(text) => out.extend(text.as_bytes()),
            }
        }
    }
}

/// Reads the conversion after a `%` and returns what follows it.
fn conversion<'a>(text: &'a str, parts: &mut Vec<Part>) -> Option<&'a str> {
    let mut letters = text.chars();
    let letter = letters.next()?;
    match letter {
        'E' => extended(letters.as_str(), parts),
        '1'..='9' => {
            let rest = letters.as_str().strip_prefix('f')?;
            parts.push(Part::Field(Field::Fraction(digit(letter)?)));
            Some(rest)
        }
        _ => {
            let before = parts.len();
            expand(letter, parts);
            (parts.len() > before).then_some(letters.as_str())
        }
    }
}

/// Reads what follows `%E`.
fn extended<'a>(text: &'a str, parts: &mut Vec<Part>) -> Option<&'a str> {
    if let Some(rest) = text.strip_prefix('z') {
        parts.push(Part::Literal("+00:00".into()));
        return Some(rest);
    }
    let mut letters = text.chars();
    let digits = digit(letters.next()?)?;
    let rest = letters.as_str().strip_prefix('S')?;
    parts.push(Part::Field(Field::Second));
    if digits > 0 {
        parts.push(Part::Literal(".".into()));
        parts.push(Part::Field(Field::Fraction(digits)));
    }
    Some(rest)
}

fn digit(letter: char) -> Option<u8> {
    let digit = letter.to_digit(10)?;
    u8::try_from(digit).ok()
}

/// Adds what a conversion of one letter stands for; nothing if it is not known.
fn expand(letter: char, parts: &mut Vec<Part>) {
    let fields: &[Result<Field, &str>] = match letter {
        '%' => &[Err("%")],
        'A' => &[Ok(Field::Weekday { short: false })],
        'B' => &[Ok(Field::MonthName { short: false })],
        'D' => &[
            Ok(Field::Month),
            Err("/"),
            Ok(Field::Day),
            Err("/"),
            Ok(Field::YearOfCentury),
        ],
        'F' => &[
            Ok(Field::Year),
            Err("-"),
            Ok(Field::Month),
            Err("-"),
            Ok(Field::Day),
        ],
        'H' => &[Ok(Field::Hour)],
        'I' => &[Ok(Field::Hour12)],
        'M' => &[Ok(Field::Minute)],
        'R' => &[Ok(Field::Hour), Err(":"), Ok(Field::Minute)],
        'S' => &[Ok(Field::Second)],
        'T' => &[
            Ok(Field::Hour),
            Err(":"),
            Ok(Field::Minute),
            Err(":"),
            Ok(Field::Second),
        ],
        'Y' => &[Ok(Field::Year)],
        'Z' => &[Err("UTC")],
        'a' => &[Ok(Field::Weekday { short: true })],
        'b' | 'h' => &[Ok(Field::MonthName { short: true })],
        'd' => &[Ok(Field::Day)],
        'e' => &[Ok(Field::DayPadded)],
        'f' => &[Ok(Field::Fraction(NANOS_DIGITS))],
        'j' => &[Ok(Field::DayOfYear)],
        'm' => &[Ok(Field::Month)],
        'p' => &[Ok(Field::Meridiem)],
        's' => &[Ok(Field::SecondsSinceEpoch)],
        'y' => &[Ok(Field::YearOfCentury)],
        'z' => &[Err("+0000")],
        _ => &[],
    };
    parts.extend(fields.iter().map(|field| match field {
        Ok(field) => Part::Field(*field),
        Err(literal) => Part::Literal((*literal).to_owned()),
    }));
}

/// A point in time by the proleptic Gregorian calendar, in UTC.
struct Civil {
    seconds: i64,
    nanos: u32,
    year: i64,
    month: usize,
    day: i64,
    day_of_year: i64,
}

impl Civil {
    fn at(time: SystemTime) -> Self {
        let (seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => (after.as_secs() as i64, after.subsec_nanos()),
            // Clocks before 1970 are not worth their fractions.
            Err(before) => (-(before.duration().as_secs() as i64), 0),
        };
        let days = seconds.div_euclid(SECONDS_A_DAY);
        let (year, month, day) = date(days);
        let day_of_year = days - days_before(year) + 1;
        Self {
            seconds,
            nanos,
            year,
            month,
            day,
            day_of_year,
        }
    }

    fn field(&self, field: Field) -> String {
        let of_day = self.seconds.rem_euclid(SECONDS_A_DAY);
        let hour = of_day / 3600;
        match field {
            Field::Day => format!("{:02}", self.day),
            Field::DayOfYear => format!("{:03}", self.day_of_year),
            Field::DayPadded => format!("{:2}", self.day),
            Field::Fraction(digits) => {
                format!("{:09}", self.nanos)[..usize::from(digits)].to_owned()
            }
            Field::Hour => format!("{hour:02}"),
            Field::Hour12 => format!("{:02}", (hour + 11) % 12 + 1),
            Field::Meridiem => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            Field::Minute => format!("{:02}", of_day / 60 % 60),
            Field::Month => format!("{:02}", self.month + 1),
            Field::MonthName { short } => name(MONTHS[self.month], short),
            Field::Second => format!("{:02}", of_day % 60),
            Field::SecondsSinceEpoch => self.seconds.to_string(),
            Field::Weekday { short } => name(DAYS[self.weekday()], short),
            Field::Year => format!("{:04}", self.year),
            Field::YearOfCentury => format!("{:02}", self.year.rem_euclid(100)),
        }
    }

    /// 0 is Sunday. 1 January 1970 was a Thursday.
    fn weekday(&self) -> usize {
        (self.seconds.div_euclid(SECONDS_A_DAY) + 4).rem_euclid(7) as usize
    }
}

fn name(name: &str, short: bool) -> String {
    let end = if short { 3 } else { name.len() };
    name[..end].to_owned()
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days from 1 January 1970 to 1 January of `year`.
fn days_before(year: i64) -> i64 {
    let past = year - 1;
    let leap_days = past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400);
    // 719,162 days lie between 1 January of the years 1 and 1970.
    365 * past + leap_days - 719_162
}

/// Year, month (0 to 11) and day (from 1) of the day that is `days` after 1 January 1970.
fn date(days: i64) -> (i64, usize, i64) {
    // A year that is not after the one looked for, and few years before it.
    let mut year = 1970 + days.div_euclid(if days < 0 { 365 } else { 366 });
    while days_before(year + 1) <= days {
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut day = days - days_before(year);
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    (year, month, day + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn written(format: &str, seconds: u64, nanos: u32) -> String {
        let mut out = Vec::new();
        let time = UNIX_EPOCH + Duration::new(seconds, nanos);
        TimeFormat::parse(format).unwrap().write(time, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn conversions_say_what_envoy_says() {
        // Observed from Envoy 1.40 at 2026-11-23T08:46:04.139164Z.
        let cases = [
            (
                "%Y/%m/%dT%H:%M:%S%z %s",
                "2026/11/23T08:46:04+0000 1795423564",
            ),
            ("%3f %f %1f %E3S %Ez", "139 139164000 1 04.139 +00:00"),
            ("%a %b %e %j %Z", "Mon Nov 23 327 UTC"),
            ("100%% %F %T %I%p", "100% 2026-11-23 08:46:04 08AM"),
        ];
        for (format, expected) in cases {
            assert_eq!(
                written(format, 1_795_423_564, 139_164_000),
                expected,
                "{format}"
            );
        }
    }

    #[test]
    fn the_calendar_knows_leap_years() {
        let cases = [
            (0, "1970-01-01 001"),
            (951_782_400, "2000-02-29 060"),
            (978_220_800, "2000-12-31 366"),
            (4_107_542_400, "2100-03-01 060"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(written("%F %j", seconds, 0), expected);
        }
    }

    #[test]
    fn the_default_is_rfc_3339_with_milliseconds() {
        let mut out = Vec::new();
        TimeFormat::rfc3339().write(UNIX_EPOCH + Duration::from_millis(1_500), &mut out);
        assert_eq!(out, b"1970-01-01T00:00:01.500Z");
    }

    #[test]
    fn unknown_conversions_are_named() {
        for (format, conversion) in [("%Y%n", "%n"), ("%", "%"), ("%3q", "%3"), ("%Eq", "%E")] {
            assert_eq!(
                TimeFormat::parse(format),
                Err(conversion.to_owned()),
                "{format}"
            );
        }
    }
}
