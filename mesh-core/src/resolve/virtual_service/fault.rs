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

/// The fault of a rule. A percentage that is not written is zero.
pub(in crate::resolve) fn translate(
    written: &HttpFaultInjection,
    place: &Place<'_>,
) -> Result<Option<Fault>, Notice> {
    let delay = written.delay.as_ref();
    let delay = delay.map(|delay| self::delay(delay, &place.field("delay")));
    let abort = written.abort.as_ref();
    let abort = abort.map(|abort| self::abort(abort, &place.field("abort")));
    let (delay, abort) = (delay.transpose()?, abort.transpose()?);
    Ok((delay.is_some() || abort.is_some()).then(|| Fault {
        delay,
        abort,
        origin: place.origin(),
    }))
}

fn delay(written: &Delay, place: &Place<'_>) -> Result<FaultDelay, Notice> {
    let Some(fixed) = written.fixed_delay else {
        return Err(place.notice("the rule is left out: only a fixed delay is supported"));
    };
    let percent = match &written.percentage {
        Some(share) => forward::percent(share, &place.field("percentage"))?,
        None => {
            let value = f64::from(written.percent);
            forward::percent(&WrittenPercent { value }, &place.field("percent"))?
        }
    };
    Ok(FaultDelay {
        duration: forward::duration(fixed, &place.field("fixedDelay"))?,
        percent,
    })
}

fn abort(written: &Abort, place: &Place<'_>) -> Result<FaultAbort, Notice> {
    let share = written.percentage.as_ref();
    let share = share.map(|share| forward::percent(share, &place.field("percentage")));
    Ok(FaultAbort {
        status: abort_status(written, place)?,
        percent: share.transpose()?.unwrap_or(Percent::ZERO),
    })
}

fn abort_status(written: &Abort, place: &Place<'_>) -> Result<AbortStatus, Notice> {
    if let Some(written) = written.http_status {
        let valid = status::validate_injected(written.into()).is_ok();
        let status = u16::try_from(written)
            .ok()
            .filter(|status| valid && *status < 600);
        return status.map(AbortStatus::Http).ok_or_else(|| {
            let place = place.field("httpStatus");
            let message = "the rule is left out: the status";
            place.notice(format_args!("{message} `{written}` is not from 200 to 599"))
        });
    }
    if let Some(name) = &written.grpc_status {
        let code = GRPC_STATUSES.iter().position(|known| known == name);
        let code = code.and_then(|code| u8::try_from(code).ok());
        return code.map(AbortStatus::Grpc).ok_or_else(|| {
            let message = format_args!("the rule is left out: `{name}` is not a gRPC status");
            place.field("grpcStatus").notice(message)
        });
    }
    Err(place.notice("the rule is left out: an abort needs an HTTP or a gRPC status"))
}
