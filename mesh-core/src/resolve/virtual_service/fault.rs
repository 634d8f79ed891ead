//! Injected failures (`TranslateFault`).

use crate::model::Notice;
use crate::model::filter::{AbortStatus, Fault, FaultAbort, FaultDelay};
use crate::percent::Percent;
use crate::resolve::place::Place;
use crate::resolve::virtual_service::forward;
use crate::resource::istio::percent::Percent as WrittenPercent;
use crate::resource::istio::virtual_service::{Abort, Delay, HttpFaultInjection};
use crate::status;

/// gRPC's names of its status codes, in their order.
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The fault of a rule. A percentage that is not written is zero. A delay that is not fixed, and an
/// abort without a status, are left out with a notice: the rule goes without them.
pub(in crate::resolve) fn translate(
    written: &HttpFaultInjection,
    place: &Place<'_>,
    notices: &mut Vec<Notice>,
) -> Result<Option<Fault>, Notice> {
    let delay = match &written.delay {
        Some(delay) => self::delay(delay, &place.field("delay"), notices)?,
        None => None,
    };
    let abort = match &written.abort {
        Some(abort) => self::abort(abort, &place.field("abort"), notices)?,
        None => None,
    };
    Ok((delay.is_some() || abort.is_some()).then(|| Fault {
        delay,
        abort,
        origin: place.origin(),
    }))
}

fn delay(
    written: &Delay,
    place: &Place<'_>,
    notices: &mut Vec<Notice>,
) -> Result<Option<FaultDelay>, Notice> {
    let Some(fixed) = written.fixed_delay else {
        notices.push(place.notice("nothing is delayed: only a fixed delay is supported"));
        return Ok(None);
    };
    let percent = match &written.percentage {
        Some(share) => forward::percent(share, &place.field("percentage"))?,
        None => {
            let value = f64::from(written.percent);
            forward::percent(&WrittenPercent { value }, &place.field("percent"))?
        }
    };
    Ok(Some(FaultDelay {
        duration: forward::duration(fixed, &place.field("fixedDelay"))?,
        percent,
    }))
}

fn abort(
    written: &Abort,
    place: &Place<'_>,
    notices: &mut Vec<Notice>,
) -> Result<Option<FaultAbort>, Notice> {
    let share = written.percentage.as_ref();
    let share = share.map(|share| forward::percent(share, &place.field("percentage")));
    let percent = share.transpose()?.unwrap_or(Percent::ZERO);
    let Some(status) = abort_status(written, place)? else {
        notices.push(place.notice("nothing is aborted: it takes an HTTP or a gRPC status"));
        return Ok(None);
    };
    Ok(Some(FaultAbort { status, percent }))
}

/// The status, if one is written that Istio supports.
fn abort_status(written: &Abort, place: &Place<'_>) -> Result<Option<AbortStatus>, Notice> {
    if let Some(written) = written.http_status {
        let valid = status::validate_injected(written.into()).is_ok();
        let status = u16::try_from(written)
            .ok()
            .filter(|status| valid && *status < 600);
        return status.map(AbortStatus::Http).map(Some).ok_or_else(|| {
            let place = place.field("httpStatus");
            let message = "the rule answers 500: the status";
            place.notice(format_args!("{message} `{written}` is not from 200 to 599"))
        });
    }
    if let Some(name) = &written.grpc_status {
        let code = GRPC_STATUSES.iter().position(|known| known == name);
        let code = code.and_then(|code| u8::try_from(code).ok());
        return code.map(AbortStatus::Grpc).map(Some).ok_or_else(|| {
            let message = format_args!("the rule answers 500: `{name}` is not a gRPC status");
            place.field("grpcStatus").notice(message)
        });
    }
    Ok(None)
}
