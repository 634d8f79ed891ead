use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use super::OutlierSettings;

/// What came of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The endpoint could not be connected to. Counts as 503 where failures to reach it are not counted
    /// apart.
    ConnectFailure,
    /// The endpoint answered a gRPC request, with this HTTP status or a gRPC status that stands for it.
    /// The settings' own [error codes](OutlierSettings::error_codes) do not count for it.
    Grpc(u16),
    /// The endpoint was connected to, and ended the stream without an answer. Counts as 503 where
    /// failures to reach it are not counted apart; else once, as it was reached.
    Reset,
    /// The endpoint answered with this HTTP status.
    Status(u16),
    /// The endpoint did not answer in time, whether it was connected to by then or not. Counts as 504 where
    /// failures to reach it are not counted apart; else as one of these, and none before it is forgotten.
    ///
    /// Envoy forgets them as soon as there is a connection, and counts nothing without one: an endpoint
    /// that drops what would connect to it is never ejected there where requests are given up before the
    /// connect timeout.
    Timeout,
}

/// Why an endpoint is ejected.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Cause {
    /// Too many errors in a row.
    Consecutive5xx,
    /// Too many gateway errors in a row.
    ConsecutiveGatewayErrors,
    /// Too many failures to reach it in a row.
    ConsecutiveLocalOriginFailures,
}

impl fmt::Display for Cause {
    /// Writes Istio's name of the setting.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Consecutive5xx => "consecutive5xxErrors",
            Self::ConsecutiveGatewayErrors => "consecutiveGatewayErrors",
            Self::ConsecutiveLocalOriginFailures => "consecutiveLocalOriginFailures",
        })
    }
}

/// The errors in a row of one endpoint.
///
/// It may be used from many threads at once, and takes no lock.
#[derive(Debug, Default)]
pub struct Monitor {
    errors: AtomicU32,
    gateway_errors: AtomicU32,
    local_origin_failures: AtomicU32,
}

impl Monitor {
    /// Counts an outcome. Says why the endpoint has to be ejected when this outcome is the last of
    /// as many in a row as the settings say; that count then begins again.
    pub fn record(&self, settings: &OutlierSettings, outcome: Outcome) -> Option<Cause> {
        if settings.split_local_origin {
            if !matches!(outcome, Outcome::ConnectFailure | Outcome::Timeout) {
                // A connection was made.
                clear(&self.local_origin_failures);
            }
            if !matches!(outcome, Outcome::Grpc(_) | Outcome::Status(_)) {
                let limit = settings.consecutive_local_origin_failures;
                let cause = Cause::ConsecutiveLocalOriginFailures;
                return trips(&self.local_origin_failures, limit).then_some(cause);
            }
        }
        let (status, is_error) = match outcome {
            Outcome::ConnectFailure | Outcome::Reset => (503, true),
            Outcome::Grpc(status) => (status, (500..600).contains(&status)),
            Outcome::Status(status) => (status, settings.is_error(status)),
            Outcome::Timeout => (504, true),
        };
        self.record_status(settings, status, is_error)
    }

    fn record_status(
        &self,
        settings: &OutlierSettings,
        status: u16,
        is_error: bool,
    ) -> Option<Cause> {
        if !is_error {
            // An endpoint that is well writes nothing that others read.
            clear(&self.errors);
            clear(&self.gateway_errors);
            return None;
        }
        let gateway = match status {
            502..=504 => trips(&self.gateway_errors, settings.consecutive_gateway_errors),
            _ => {
                clear(&self.gateway_errors);
                false
            }
        };
        let any = trips(&self.errors, settings.consecutive_5xx);
        // The first ejects; Envoy ignores the other, as the endpoint is ejected already.
        if gateway {
            Some(Cause::ConsecutiveGatewayErrors)
        } else {
            any.then_some(Cause::Consecutive5xx)
        }
    }

    /// Forgets all errors: the endpoint returns from an ejection.
    pub fn reset(&self) {
        clear(&self.errors);
        clear(&self.gateway_errors);
        clear(&self.local_origin_failures);
    }
}

/// Counts one more, and says whether that makes `limit`. The count begins again then.
fn trips(count: &AtomicU32, limit: u32) -> bool {
    if limit == 0 {
        return false;
    }
    let reached = count.fetch_add(1, Ordering::Relaxed).wrapping_add(1) == limit;
    if reached {
        count.store(0, Ordering::Relaxed);
    }
    reached
}

fn clear(count: &AtomicU32) {
    if count.load(Ordering::Relaxed) != 0 {
        count.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::istio::destination_rule::OutlierDetection;

    use super::*;

    const CONNECT: Outcome = Outcome::ConnectFailure;
    const OK: Outcome = Outcome::Status(200);
    const ERROR: Outcome = Outcome::Status(500);
    const GATEWAY: Outcome = Outcome::Status(503);
    const RESET: Outcome = Outcome::Reset;
    const TIMEOUT: Outcome = Outcome::Timeout;

    #[test]
    fn errors_in_a_row_trip() {
        let cases: [(&str, &[Outcome], Option<Cause>); 7] = [
            (
                "errors",
                &[ERROR, GATEWAY, ERROR],
                Some(Cause::Consecutive5xx),
            ),
            ("interrupted", &[ERROR, ERROR, OK, ERROR], None),
            ("not enough", &[ERROR, ERROR], None),
            (
                "gateway errors",
                &[GATEWAY, GATEWAY],
                Some(Cause::ConsecutiveGatewayErrors),
            ),
            ("interrupted gateway errors", &[GATEWAY, ERROR], None),
            (
                "unreachable",
                &[CONNECT, RESET],
                Some(Cause::ConsecutiveGatewayErrors),
            ),
            (
                "late",
                &[TIMEOUT, GATEWAY],
                Some(Cause::ConsecutiveGatewayErrors),
            ),
        ];
        for (name, outcomes, expected) in cases {
            assert_eq!(last(&settings(), outcomes), expected, "{name}");
        }
    }

    #[test]
    fn failures_to_connect_are_counted_apart_where_split() {
        let settings = OutlierSettings {
            split_local_origin: true,
            ..settings()
        };
        let local = Some(Cause::ConsecutiveLocalOriginFailures);
        let cases: [(&str, &[Outcome], Option<Cause>); 9] = [
            ("unreachable", &[CONNECT, CONNECT, CONNECT, CONNECT], local),
            ("silent", &[TIMEOUT, TIMEOUT, TIMEOUT, TIMEOUT], local),
            (
                "unreachable, and given up in between",
                &[CONNECT, CONNECT, TIMEOUT, CONNECT],
                local,
            ),
            (
                "reached, but reset",
                &[CONNECT, CONNECT, CONNECT, RESET, RESET, RESET],
                None,
            ),
            (
                "late in between",
                &[TIMEOUT, TIMEOUT, TIMEOUT, OK, TIMEOUT],
                None,
            ),
            (
                "unreachable after a reset",
                &[RESET, CONNECT, CONNECT, CONNECT],
                local,
            ),
            (
                "reached in between",
                &[CONNECT, CONNECT, CONNECT, ERROR, CONNECT],
                None,
            ),
            ("not counted as errors", &[ERROR, CONNECT, CONNECT], None),
            (
                "errors",
                &[ERROR, CONNECT, ERROR, ERROR],
                Some(Cause::Consecutive5xx),
            ),
        ];
        for (name, outcomes, expected) in cases {
            assert_eq!(last(&settings, outcomes), expected, "{name}");
        }
    }

    #[test]
    fn error_codes_of_the_settings_are_of_http_answers_alone() {
        let settings = OutlierSettings {
            error_codes: vec![429],
            ..settings()
        };
        let errors = Some(Cause::Consecutive5xx);
        let refused = Outcome::Status(429);
        let cases: [(&str, &[Outcome], Option<Cause>); 5] = [
            ("theirs", &[refused, refused, refused], errors),
            ("others", &[ERROR, ERROR, ERROR], None),
            (
                "unreachable",
                &[CONNECT, TIMEOUT],
                Some(Cause::ConsecutiveGatewayErrors),
            ),
            ("gRPC", &[Outcome::Grpc(500); 3], errors),
            ("gRPC with theirs", &[Outcome::Grpc(429); 3], None),
        ];
        for (name, outcomes, expected) in cases {
            assert_eq!(last(&settings, outcomes), expected, "{name}");
        }
    }

    #[test]
    fn a_count_begins_again_when_it_has_tripped() {
        let settings = settings();
        let monitor = Monitor::default();
        let trips: Vec<_> = (0..7)
            .map(|_| monitor.record(&settings, ERROR).is_some())
            .collect();
        assert_eq!(trips, [false, false, true, false, false, true, false]);
        monitor.reset();
        assert_eq!(monitor.record(&settings, ERROR), None);
        assert_eq!(monitor.record(&settings, ERROR), None, "the reset counts");
    }

    #[test]
    fn zero_is_never() {
        let settings = OutlierSettings {
            consecutive_5xx: 0,
            consecutive_gateway_errors: 0,
            ..settings()
        };
        assert_eq!(last(&settings, &[GATEWAY; 100]), None);
    }

    /// What the last of `outcomes` trips, the others having tripped nothing.
    fn last(settings: &OutlierSettings, outcomes: &[Outcome]) -> Option<Cause> {
        let monitor = Monitor::default();
        let (last, others) = outcomes.split_last().unwrap();
        for outcome in others {
            assert_eq!(monitor.record(settings, *outcome), None);
        }
        monitor.record(settings, *last)
    }

    /// Three errors, two gateway errors, four failures to connect.
    fn settings() -> OutlierSettings {
        OutlierSettings {
            consecutive_5xx: 3,
            consecutive_gateway_errors: 2,
            consecutive_local_origin_failures: 4,
            ..OutlierSettings::compile(&OutlierDetection::default())
        }
    }
}
