use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use mesh_core::attributes::{MatchedRoute, Timeouts};
use mesh_core::reply::Caller;

use super::grpc;

const TOTAL: HeaderName = HeaderName::from_static("x-envoy-upstream-rq-timeout-ms");
const PER_TRY: HeaderName = HeaderName::from_static("x-envoy-upstream-rq-per-try-timeout-ms");
const EXPECTED: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

/// The limits of a request with `headers` that comes `now` and was matched to `matched`; `None` if
/// it has none. The clock is not asked in vain.
///
/// - A gRPC request may take as long as its `grpc-timeout` says, up to the route's timeout.
/// - Any other may take as long as the route says.
/// - With `trusted`, `x-envoy-upstream-rq-timeout-ms` replaces either, and
///   `x-envoy-upstream-rq-per-try-timeout-ms` the route's `perTryTimeout`. Zero is no limit.
/// - A limit on attempts that is not below that of the whole has no effect.
pub(super) fn of(
    matched: Option<&MatchedRoute>,
    headers: &HeaderMap,
    (trusted, caller): (bool, Caller),
    now: impl FnOnce() -> Instant,
) -> Option<Timeouts> {
    let mut total = matched.and_then(MatchedRoute::timeout).and_then(limit);
    if caller == Caller::Grpc && matched.is_some_and(|matched| matched.forward().is_some()) {
        let asked = grpc::timeout(headers).and_then(limit);
        total = shorter(asked, total);
    }
    let retry = matched.and_then(MatchedRoute::retry);
    let mut per_try = retry
        .and_then(|retry| retry.per_try_timeout)
        .and_then(limit);
    if trusted {
        total = millis(headers, &TOTAL).map_or(total, limit);
        per_try = millis(headers, &PER_TRY).map_or(per_try, limit);
    }
    if let (Some(attempt), Some(total)) = (per_try, total)
        && attempt >= total
    {
        per_try = None;
    }
    if total.is_none() && per_try.is_none() {
        return None;
    }
    Some(Timeouts {
        start: now(),
        total,
        per_try,
    })
}

/// Values of the header that says how long an upstream has. That of the next request is most often
/// that of the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Option<(u64, HeaderValue)>);

impl Known {
    fn value(&mut self, millis: u64) -> HeaderValue {
        match &self.0 {
            Some((known, value)) if *known == millis => value.clone(),
            _ => {
                let value = HeaderValue::from(millis);
                self.0 = Some((millis, value.clone()));
                value
            }
        }
    }
}

/// Tells the upstream how long an attempt that is made at `now` may take: in
/// `x-envoy-expected-rq-timeout-ms`, if what is `known` of it is given, and in `grpc-timeout` if it is
/// gRPC.
pub(super) fn announce(
    timeouts: &Timeouts,
    (headers, caller): (&mut HeaderMap, Caller),
    now: Instant,
    known: Option<&mut Known>,
) {
    let elapsed = now.saturating_duration_since(timeouts.start);
    let left = timeouts.total.map(|total| total.saturating_sub(elapsed));
    let Some(expected) = shorter(timeouts.per_try, left) else {
        return;
    };
    // Zero would be no limit; the timers of the exchange fire soon.
    let expected = expected.max(Duration::from_millis(1));
    let millis = u64::try_from(expected.as_millis()).unwrap_or(u64::MAX);
    if let Some(known) = known {
        headers.insert(EXPECTED, known.value(millis));
    }
    if caller == Caller::Grpc {
        grpc::announce(expected, headers);
    }
}

/// Tells the upstream anew, for a further attempt, if the one before was told.
pub(crate) fn announce_again(timeouts: &Timeouts, headers: &mut HeaderMap, now: Instant) {
    if headers.contains_key(EXPECTED) {
        let caller = Caller::of(headers);
        announce(
            timeouts,
            (headers, caller),
            now,
            Some(&mut Known::default()),
        );
    }
}

/// Removes the headers by which a caller sets limits.
pub(super) fn remove_overrides(headers: &mut HeaderMap) {
    headers.remove(TOTAL);
    headers.remove(PER_TRY);
}

/// A limit, of which zero is none.
fn limit(timeout: Duration) -> Option<Duration> {
    (!timeout.is_zero()).then_some(timeout)
}

/// The lesser of those that there are.
fn shorter<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    one.into_iter().chain(other).min()
}

fn millis(headers: &HeaderMap, name: &HeaderName) -> Option<Duration> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(Duration::from_millis(value.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mesh_core::model::retry::RetryPolicy;
    use mesh_core::model::route::{Route, RouteAction, RouteMatch};
    use mesh_core::service::ClusterName;

    use super::*;

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    fn route(total: Option<u64>, per_try: Option<u64>) -> MatchedRoute {
        let mut route = Route::forward("cart", RouteMatch::prefix("/"), ClusterName::from("cart"));
        if let RouteAction::Forward(forward) = &mut route.action {
            forward.timeout = total.map(Duration::from_millis);
            forward.retry = Some(Arc::new(RetryPolicy {
                per_try_timeout: per_try.map(Duration::from_millis),
                ..RetryPolicy::default()
            }));
        }
        MatchedRoute::new(Arc::new(route), 0)
    }

    /// The limits of a trusted request with `fields`, in milliseconds.
    fn limits(
        (total, per_try): (Option<u64>, Option<u64>),
        fields: &[(&'static str, &str)],
    ) -> (Option<u128>, Option<u128>) {
        let (matched, start) = (route(total, per_try), now());
        let fields = headers(fields);
        let caller = (true, Caller::of(&fields));
        let timeouts = of(Some(&matched), &fields, caller, || start);
        let millis = |limit: Option<Duration>| limit.map(|limit| limit.as_millis());
        timeouts.map_or((None, None), |timeouts| {
            (millis(timeouts.total), millis(timeouts.per_try))
        })
    }

    #[test]
    fn the_route_sets_limits() {
        for (route, expected) in [
            ((None, None), (None, None)),
            ((Some(50), Some(20)), (Some(50), Some(20))),
            // An attempt as long as the whole has no limit of its own, and zero is none.
            ((Some(50), Some(50)), (Some(50), None)),
            ((Some(0), Some(20)), (None, Some(20))),
        ] {
            assert_eq!(limits(route, &[]), expected, "{route:?}");
        }
        // Only gRPC is asked how long it waits.
        let asked = [("grpc-timeout", "10m")];
        assert_eq!(limits((Some(50), None), &asked), (Some(50), None));
    }

    #[test]
    fn grpc_asks_for_less_than_the_route_allows() {
        for (route, asked, expected) in [
            (Some(50), Some("10m"), Some(10)),
            (Some(50), Some("1S"), Some(50)),
            (None, Some("1S"), Some(1000)),
            (Some(50), None, Some(50)),
        ] {
            let mut fields = vec![("content-type", "application/grpc")];
            fields.extend(asked.map(|asked| ("grpc-timeout", asked)));
            let found = limits((route, None), &fields);
            assert_eq!(found, (expected, None), "{route:?}, {asked:?}");
        }
    }

    #[test]
    fn a_trusted_caller_sets_limits_of_its_own() {
        for (name, value, expected) in [
            ("x-envoy-upstream-rq-timeout-ms", "70", (Some(70), None)),
            ("x-envoy-upstream-rq-timeout-ms", "0", (None, None)),
            ("x-envoy-upstream-rq-timeout-ms", "1s", (Some(50), None)),
            (
                "x-envoy-upstream-rq-per-try-timeout-ms",
                "7",
                (Some(50), Some(7)),
            ),
        ] {
            let found = limits((Some(50), None), &[(name, value)]);
            assert_eq!(found, expected, "{name}: {value}");
        }
        let grpc = [
            ("content-type", "application/grpc"),
            ("grpc-timeout", "1m"),
            ("x-envoy-upstream-rq-timeout-ms", "70"),
        ];
        assert_eq!(limits((Some(50), None), &grpc), (Some(70), None));
    }

    #[test]
    fn a_caller_that_is_not_trusted_sets_no_limit() {
        let fields = headers(&[("x-envoy-upstream-rq-timeout-ms", "70")]);
        let matched = route(Some(50), None);
        let start = now();
        let timeouts = of(Some(&matched), &fields, (false, Caller::Http), || start);
        assert_eq!(timeouts.unwrap().total, Some(Duration::from_millis(50)));
    }

    #[test]
    fn the_upstream_is_told_what_is_left() {
        for (total, per_try, elapsed, expected) in [
            (Some(50), None, 0, Some("50")),
            (Some(50), None, 20, Some("30")),
            (Some(50), Some(20), 0, Some("20")),
            (Some(50), Some(20), 40, Some("10")),
            (Some(50), None, 60, Some("1")),
            (None, Some(20), 60, Some("20")),
            (None, None, 0, None),
        ] {
            let start = now();
            let (matched, caller) = (route(total, per_try), Caller::Http);
            let mut told = HeaderMap::new();
            if let Some(timeouts) = of(Some(&matched), &told, (false, caller), || start) {
                let now = start + Duration::from_millis(elapsed);
                let mut known = Known::default();
                announce(&timeouts, (&mut told, caller), now, Some(&mut known));
            }
            let told = told.get(EXPECTED).map(|value| value.to_str().unwrap());
            assert_eq!(told, expected, "{total:?}, {per_try:?} after {elapsed}");
        }
    }

    #[test]
    fn a_further_attempt_is_told_what_is_left_if_the_first_was() {
        let start = now();
        let timeouts = Timeouts {
            start,
            total: Some(Duration::from_millis(50)),
            per_try: None,
        };
        for (told, expected) in [(Some("50"), Some("30")), (None, None)] {
            let mut headers: HeaderMap = told
                .map(|told| (EXPECTED, HeaderValue::from_static(told)))
                .into_iter()
                .collect();
            announce_again(&timeouts, &mut headers, start + Duration::from_millis(20));
            let told = headers.get(EXPECTED).map(|value| value.to_str().unwrap());
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn a_grpc_upstream_is_told_as_it_understands() {
        let fields = headers(&[("content-type", "application/grpc"), ("grpc-timeout", "1S")]);
        let start = now();
        let caller = Caller::of(&fields);
        let timeouts = of(
            Some(&route(Some(50), None)),
            &fields,
            (false, caller),
            || start,
        );
        let mut told = fields;
        let mut known = Known::default();
        announce(
            &timeouts.unwrap(),
            (&mut told, caller),
            start,
            Some(&mut known),
        );
        assert_eq!(told["grpc-timeout"], "50m");
    }
}
