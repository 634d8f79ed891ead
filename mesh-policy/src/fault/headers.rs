//! Faults that requests ask for: the headers of Envoy's fault filter.

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};
use mesh_core::model::filter::{AbortStatus, FaultAbort, FaultDelay};
use mesh_core::percent::Percent;

const DELAY: HeaderName = HeaderName::from_static("x-envoy-fault-delay-request");
const DELAY_PERCENT: HeaderName = HeaderName::from_static("x-envoy-fault-delay-request-percentage");
const ABORT: HeaderName = HeaderName::from_static("x-envoy-fault-abort-request");
const ABORT_GRPC: HeaderName = HeaderName::from_static("x-envoy-fault-abort-grpc-request");
const ABORT_PERCENT: HeaderName = HeaderName::from_static("x-envoy-fault-abort-request-percentage");

/// The delay that `headers` ask for, of at most `most` of the requests.
pub(super) fn delay(headers: &HeaderMap, most: Percent) -> Option<FaultDelay> {
    let millis = number(headers, &DELAY)?;
    Some(FaultDelay {
        duration: Duration::from_millis(millis),
        percent: percent(headers, &DELAY_PERCENT, most),
    })
}

/// The abort that `headers` ask for, of at most `most` of the requests. A status of HTTP goes before
/// one of gRPC; one that is not from 200 to 599 asks for nothing.
pub(super) fn abort(headers: &HeaderMap, most: Percent) -> Option<FaultAbort> {
    let http = || {
        let code = number(headers, &ABORT)?;
        let code = u16::try_from(code).ok()?;
        let is_final = (200..600).contains(&code) && StatusCode::from_u16(code).is_ok();
        is_final.then_some(AbortStatus::Http(code))
    };
    let grpc = || {
        let code = number(headers, &ABORT_GRPC)?;
        Some(AbortStatus::Grpc(u8::try_from(code).ok()?))
    };
    Some(FaultAbort {
        status: http().or_else(grpc)?,
        percent: percent(headers, &ABORT_PERCENT, most),
    })
}

/// The share that a header says, but no more than `most`; without it that.
fn percent(headers: &HeaderMap, name: &HeaderName, most: Percent) -> Percent {
    let asked = number(headers, name).and_then(|asked| u32::try_from(asked).ok());
    let asked = asked.map(|asked| f64::from(asked).min(most.value()));
    asked
        .and_then(|asked| Percent::new(asked).ok())
        .unwrap_or(most)
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter();
        let fields =
            fields.map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
        fields.collect()
    }

    #[test]
    fn a_share_is_at_most_the_one_that_is_set() {
        let most = Percent::new(50.0).unwrap();
        for (asked, expected) in [
            (None, 50.0),
            (Some("10"), 10.0),
            (Some("90"), 50.0),
            (Some("0"), 0.0),
            (Some("many"), 50.0),
        ] {
            let mut fields = vec![("x-envoy-fault-delay-request", "7")];
            fields.extend(asked.map(|asked| ("x-envoy-fault-delay-request-percentage", asked)));
            let delay = delay(&headers(&fields), most).unwrap();
            assert_eq!(delay.duration, Duration::from_millis(7));
            assert_eq!(delay.percent.value(), expected, "{asked:?}");
        }
    }

    #[test]
    fn statuses_of_aborts_are_those_that_an_answer_can_have() {
        let (http, grpc) = (
            "x-envoy-fault-abort-request",
            "x-envoy-fault-abort-grpc-request",
        );
        for (fields, expected) in [
            (&[][..], None),
            (&[(http, "503")], Some(AbortStatus::Http(503))),
            (&[(http, "199")], None),
            (&[(http, "600")], None),
            (&[(http, "soon")], None),
            (&[(grpc, "14")], Some(AbortStatus::Grpc(14))),
            (&[(grpc, "14"), (http, "503")], Some(AbortStatus::Http(503))),
            (&[(grpc, "14"), (http, "1")], Some(AbortStatus::Grpc(14))),
        ] {
            let abort = abort(&headers(fields), Percent::HUNDRED);
            assert_eq!(abort.map(|abort| abort.status), expected, "{fields:?}");
        }
    }
}
