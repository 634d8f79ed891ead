use std::io::Write;
use std::time::Duration;

use super::operator::put;
use super::time::TimeFormat;
use super::{Completion, Exchange};

/// What there is to say of an exchange that has ended, beside what it came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Ending {
    AccessLogType,
    CommonDuration(CommonDuration),
    EmitTime(TimeFormat),
}

impl Ending {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::AccessLogType => "ACCESS_LOG_TYPE",
            Self::CommonDuration(_) => "COMMON_DURATION",
            Self::EmitTime(_) => "EMIT_TIME",
        }
    }

    /// Appends the value to `out`, or returns `false` if there is none.
    pub(super) fn write(&self, exchange: &Exchange<'_>, out: &mut Vec<u8>) -> bool {
        let Some(completion) = exchange.completion else {
            return false;
        };
        match self {
            Self::AccessLogType => put(out, Some(access_log_type(exchange))),
            // Of a connection without requests Envoy has no moments.
            Self::CommonDuration(duration) => {
                exchange.request.is_some() && duration.write(completion, out)
            }
            Self::EmitTime(format) => {
                let end = exchange.start.checked_add(completion.duration);
                format.write(end.unwrap_or(exchange.start), out);
                true
            }
        }
    }
}

/// What Envoy logs at the end of: a request, a connection, or one that no filter chain took.
fn access_log_type(exchange: &Exchange<'_>) -> &'static str {
    match (exchange.request, exchange.cluster()) {
        (Some(_), _) => "DownstreamEnd",
        (None, Some(_)) => "TcpConnectionEnd",
        (None, None) => "NotSet",
    }
}

/// How long it takes from one moment of an exchange to another (`COMMON_DURATION`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CommonDuration {
    start: Moment,
    end: Moment,
    unit: Unit,
}

/// A moment of an exchange.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// The client has begun its request.
    RequestBegins,
    /// The client has ended it.
    RequestEnds,
    /// The client gets the head of the response.
    ResponseBegins,
    /// The client has got all of it.
    ResponseEnds,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unit {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

/// Why there is no such duration.
pub(super) enum Refused {
    /// The argument is none of Envoy's.
    Invalid,
    /// The moment is one of Envoy's, and is not observed.
    Unobserved,
}

impl CommonDuration {
    /// Reads `start:end:unit`; without a unit, it is milliseconds.
    pub(super) fn parse(argument: &str) -> Result<Self, Refused> {
        let mut parts = argument.split(':');
        let mut next = || parts.next().ok_or(Refused::Invalid);
        let (start, end) = (Moment::named(next()?)?, Moment::named(next()?)?);
        let unit = match parts.next() {
            None | Some("ms") => Unit::Milliseconds,
            Some("us") => Unit::Microseconds,
            Some("ns") => Unit::Nanoseconds,
            Some(_) => return Err(Refused::Invalid),
        };
        match parts.next() {
            Some(_) => Err(Refused::Invalid),
            None => Ok(Self { start, end, unit }),
        }
    }

    /// Appends the duration to `out`, or returns `false` if there is none.
    fn write(self, completion: &Completion, out: &mut Vec<u8>) -> bool {
        let (start, end) = (self.start.of(completion), self.end.of(completion));
        let between = start.and_then(|start| end?.checked_sub(start));
        let number = between.map(|between| match self.unit {
            Unit::Milliseconds => between.as_millis(),
            Unit::Microseconds => between.as_micros(),
            Unit::Nanoseconds => between.as_nanos(),
        });
        number.is_some_and(|number| write!(out, "{number}").is_ok())
    }
}

impl Moment {
    fn named(name: &str) -> Result<Self, Refused> {
        match name {
            "DS_RX_BEG" => Ok(Self::RequestBegins),
            "DS_RX_END" => Ok(Self::RequestEnds),
            "DS_TX_BEG" => Ok(Self::ResponseBegins),
            "DS_TX_END" => Ok(Self::ResponseEnds),
            "US_CX_BEG" | "US_CX_END" | "US_HS_END" | "US_TX_BEG" | "US_TX_END" | "US_RX_BEG"
            | "US_RX_END" => Err(Refused::Unobserved),
            _ => Err(Refused::Invalid),
        }
    }

    /// When it is, after the request began.
    fn of(self, completion: &Completion) -> Option<Duration> {
        match self {
            Self::RequestBegins => Some(Duration::ZERO),
            Self::RequestEnds => completion.request_duration,
            Self::ResponseBegins => completion.response_duration,
            Self::ResponseEnds => Some(completion.duration),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use http::{Extensions, Request};

    use crate::format_string::{FormatString, HeaderFormat};
    use crate::service::ClusterName;

    use super::*;

    fn evaluate(format: &str, exchange: &Exchange<'_>) -> String {
        let format: FormatString = format.parse().unwrap();
        String::from_utf8(format.evaluate(exchange, "-")).unwrap()
    }

    #[test]
    fn the_moments_of_an_exchange_and_its_end_are_known_once_it_is_over() {
        const FORMAT: &str = "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% \
            %COMMON_DURATION(DS_RX_END:DS_TX_BEG)% %COMMON_DURATION(DS_TX_BEG:DS_RX_BEG:ns)% \
            %EMIT_TIME% %EMIT_TIME(%s)% %ACCESS_LOG_TYPE%";
        let (request, ()) = Request::get("/").body(()).unwrap().into_parts();
        let exchange = Exchange::of_request(&request, SystemTime::UNIX_EPOCH);
        assert_eq!(evaluate(FORMAT, &exchange), "- - - - - -");
        let completion = Completion {
            request_duration: Some(Duration::from_millis(2)),
            response_duration: Some(Duration::from_millis(5)),
            duration: Duration::from_millis(1500),
            ..Completion::default()
        };
        let exchange = exchange.with_completion(&completion);
        let expected = "1500000 3 - 1970-01-01T00:00:01.500Z 1 DownstreamEnd";
        assert_eq!(evaluate(FORMAT, &exchange), expected);
    }

    #[test]
    fn connections_without_requests_have_a_type_and_no_moments() {
        const FORMAT: &str = "%ACCESS_LOG_TYPE% %COMMON_DURATION(DS_RX_BEG:DS_TX_END:ms)%";
        let (extensions, completion) = (Extensions::new(), Completion::default());
        let unmatched = Exchange::of_connection(&extensions, SystemTime::UNIX_EPOCH);
        let unmatched = unmatched.with_completion(&completion);
        assert_eq!(evaluate(FORMAT, &unmatched), "NotSet -");
        let cluster = ClusterName::from("db");
        let forwarded = unmatched.with_cluster(&cluster);
        assert_eq!(evaluate(FORMAT, &forwarded), "TcpConnectionEnd -");
    }

    #[test]
    fn moments_that_are_not_observed_are_refused() {
        for (argument, expected) in [
            ("DS_RX_BEG:US_RX_BEG:ms", "is not supported"),
            ("DS_RX_BEG:NOW:ms", "cannot have the argument"),
            ("DS_RX_BEG:DS_TX_END:h", "cannot have the argument"),
            ("DS_RX_BEG", "cannot have the argument"),
        ] {
            let format = format!("%COMMON_DURATION({argument})%");
            let error = format.parse::<FormatString>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!("%EMIT_TIME%".parse::<HeaderFormat>().is_err());
    }
}
