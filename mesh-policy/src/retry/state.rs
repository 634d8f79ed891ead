//! Whether a request has a further attempt, and when: Envoy's `RetryState`, as a pure machine.
//!
//! [`RetryState`] is made of the route's policy and, where the caller is trusted, of the headers of
//! the request. It is then told how each attempt ended. Random numbers and the leave of the
//! cluster's [budget](super::budget) are the caller's.
//!
//! | request header | meaning |
//! |---|---|
//! | `x-envoy-retry-on` | further conditions |
//! | `x-envoy-retry-grpc-on` | further conditions on the gRPC status |
//! | `x-envoy-max-retries` | further attempts, in place of the policy's |
//! | `x-envoy-retriable-status-codes` | further codes of `retriable-status-codes` |
//! | `x-envoy-retriable-header-names` | the headers of `retriable-headers` |
//!
//! # Example
//!
//! ```
//! use http::{HeaderMap, StatusCode};
//! use mesh_policy::retry::state::{Outcome, RetryState, Verdict};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("x-envoy-retry-on", "5xx".parse()?);
//! let mut state = RetryState::without_policy().with_request_headers(&headers);
//!
//! let answer = HeaderMap::new();
//! let failed = || Outcome::Response { status: StatusCode::BAD_GATEWAY, headers: &answer };
//! let mut decide = || state.decide(failed(), None, 7, || Some(()));
//! assert!(matches!(decide(), Verdict::Retry { .. }));
//! assert!(matches!(decide(), Verdict::LimitExceeded));
//! # Ok::<(), http::header::InvalidHeaderValue>(())
//! ```

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use mesh_core::attributes::UpstreamReset;
use mesh_core::model::retry::RetryPolicy;

use super::backoff::Backoff;
use super::condition::{Condition, Conditions};

const RETRY_ON: HeaderName = HeaderName::from_static("x-envoy-retry-on");
const RETRY_GRPC_ON: HeaderName = HeaderName::from_static("x-envoy-retry-grpc-on");
const MAX_RETRIES: HeaderName = HeaderName::from_static("x-envoy-max-retries");
const STATUS_CODES: HeaderName = HeaderName::from_static("x-envoy-retriable-status-codes");
const HEADER_NAMES: HeaderName = HeaderName::from_static("x-envoy-retriable-header-names");
const RATE_LIMITED: HeaderName = HeaderName::from_static("x-envoy-ratelimited");
const EARLY_DATA: HeaderName = HeaderName::from_static("early-data");

/// The headers of a request that say when it is tried again.
pub(super) const REQUEST_HEADERS: [HeaderName; 5] = [
    RETRY_ON,
    RETRY_GRPC_ON,
    MAX_RETRIES,
    STATUS_CODES,
    HEADER_NAMES,
];

/// The back-off where no policy says it.
const BACKOFF_BASE: Duration = Duration::from_millis(25);

/// The further attempts of one request.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct RetryState {
    policy: Option<Arc<RetryPolicy>>,
    conditions: Conditions,
    /// Those that headers of the request name, beside those of the policy.
    status_codes: Vec<u16>,
    header_names: Vec<HeaderName>,
    remaining: u32,
    backoff: Backoff,
    /// Whether the request came as TLS early data, which a `425` refuses for good.
    early_data: bool,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// The stream ended without a response.
    Reset(UpstreamReset),
    /// The head of a response came.
    Response {
        /// Its status.
        status: StatusCode,
        /// Its headers.
        headers: &'a HeaderMap,
    },
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict<P> {
    /// The outcome is not one to try again.
    Accept,
    /// There would be a further attempt, but they are used up.
    LimitExceeded,
    /// There would be a further attempt, but the cluster has no budget left for it.
    Overflow,
    /// A further attempt.
    Retry {
        /// How long to wait before it.
        wait: Duration,
        /// The leave of the budget.
        permit: P,
    },
}

impl RetryState {
    /// The state of a request whose route has `policy`. A policy of no attempts has no conditions.
    pub fn new(policy: &Arc<RetryPolicy>) -> Self {
        let conditions = match policy.attempts {
            0 => Conditions::default(),
            _ => Conditions::parse(policy.retry_on.iter().map(String::as_str)),
        };
        Self::with_conditions(policy, conditions)
    }

    /// The state of a request whose route has `policy`, which has these conditions.
    pub(super) fn with_conditions(policy: &Arc<RetryPolicy>, conditions: Conditions) -> Self {
        Self {
            policy: Some(Arc::clone(policy)),
            conditions,
            status_codes: Vec::new(),
            header_names: Vec::new(),
            remaining: policy.attempts.max(1),
            backoff: Backoff::new(policy.backoff_base),
            early_data: false,
        }
    }

    /// The state of a request whose route has no policy: its headers may ask for one further
    /// attempt, or for more.
    pub fn without_policy() -> Self {
        Self {
            policy: None,
            conditions: Conditions::default(),
            status_codes: Vec::new(),
            header_names: Vec::new(),
            remaining: 1,
            backoff: Backoff::new(BACKOFF_BASE),
            early_data: false,
        }
    }

    /// Adds what the headers of a trusted request say. Values that are malformed say nothing, as in
    /// Envoy.
    #[must_use]
    pub fn with_request_headers(mut self, headers: &HeaderMap) -> Self {
        let http = tokens(headers, &RETRY_ON).filter_map(Condition::of_http);
        let grpc = tokens(headers, &RETRY_GRPC_ON).filter_map(Condition::of_grpc);
        self.conditions = self.conditions.union(http.chain(grpc).collect());
        if let Some(attempts) = number(headers, &MAX_RETRIES) {
            self.remaining = attempts;
        }
        let codes = tokens(headers, &STATUS_CODES).filter_map(|code| code.parse::<u16>().ok());
        self.status_codes.extend(codes);
        let names =
            tokens(headers, &HEADER_NAMES).filter_map(|name| name.parse::<HeaderName>().ok());
        self.header_names.extend(names);
        self.early_data = headers.contains_key(EARLY_DATA);
        self
    }

    /// The policy of the route, if it has one.
    pub(super) fn policy(&self) -> Option<&Arc<RetryPolicy>> {
        self.policy.as_ref()
    }

    pub(super) fn conditions(&self) -> Conditions {
        self.conditions
    }

    /// Whether any outcome leads to a further attempt.
    pub fn is_enabled(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// Decides what follows an attempt that ended in `outcome`.
    ///
    /// `asked` is how long the upstream asks to be left alone, in place of the back-off. `random`
    /// draws the wait. `permit` asks for the leave of the cluster's budget; it is called once there
    /// is an attempt left.
    pub fn decide<P>(
        &mut self,
        outcome: Outcome<'_>,
        asked: Option<Duration>,
        random: u64,
        permit: impl FnOnce() -> Option<P>,
    ) -> Verdict<P> {
        let Some(again) = self.again(outcome) else {
            return Verdict::Accept;
        };
        let Some(remaining) = self.remaining.checked_sub(1) else {
            return Verdict::LimitExceeded;
        };
        self.remaining = remaining;
        let Some(permit) = permit() else {
            return Verdict::Overflow;
        };
        let wait = match (again, asked) {
            (Again::AtOnce, _) => Duration::ZERO,
            (Again::Later, Some(asked)) => asked,
            (Again::Later, None) => self.backoff.next(random),
        };
        Verdict::Retry { wait, permit }
    }

    /// Whether an outcome leads to a further attempt, if there is one left.
    pub(super) fn includes(&self, outcome: Outcome<'_>) -> bool {
        self.again(outcome).is_some()
    }

    fn again(&self, outcome: Outcome<'_>) -> Option<Again> {
        match outcome {
            Outcome::Reset(reset) => self.conditions.include_reset(reset).then_some(Again::Later),
            Outcome::Response { status, headers } => self.again_after(status, headers),
        }
    }

    fn again_after(&self, status: StatusCode, headers: &HeaderMap) -> Option<Again> {
        let includes_rate_limited = self.conditions.contains(Condition::EnvoyRateLimited);
        let again = self.again_after_work(status, headers);
        // Looked up only where it makes a difference.
        let may_differ = includes_rate_limited || again.is_some();
        if may_differ && headers.contains_key(RATE_LIMITED) {
            return includes_rate_limited.then_some(Again::Later);
        }
        again
    }

    /// The same, if the upstream has not refused it for its rate.
    fn again_after_work(&self, status: StatusCode, headers: &HeaderMap) -> Option<Again> {
        if self.conditions.include_status(status.as_u16()) {
            return Some(Again::Later);
        }
        if self.conditions.contains(Condition::RetriableStatusCodes)
            && self.names_status(status.as_u16())
        {
            return match status {
                // The upstream wants the request again, but not as early data.
                StatusCode::TOO_EARLY => (!self.early_data).then_some(Again::AtOnce),
                _ => Some(Again::Later),
            };
        }
        let has_header = self.conditions.contains(Condition::RetriableHeaders)
            && self
                .header_names
                .iter()
                .any(|name| headers.contains_key(name));
        let again = has_header || self.conditions.include_grpc_status(headers);
        again.then_some(Again::Later)
    }

    fn names_status(&self, status: u16) -> bool {
        let policy = self.policy.as_ref();
        let codes = policy.map_or(&[][..], |policy| &policy.retriable_status_codes);
        codes.contains(&status) || self.status_codes.contains(&status)
    }
}

/// When a further attempt is due.
#[derive(Clone, Copy, Debug)]
enum Again {
    AtOnce,
    Later,
}

/// The elements of a comma-separated header, of its first field as Envoy reads it.
fn tokens<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    let parts = value.unwrap_or_default().split(',').map(str::trim);
    parts.filter(|part| !part.is_empty())
}

fn number(headers: &HeaderMap, name: &HeaderName) -> Option<u32> {
    let value = headers.get(name).map(HeaderValue::to_str)?.ok()?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let fields = fields.iter();
        fields
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    /// What follows a response to a request that asks by `request`.
    fn after(
        request: &[(&'static str, &str)],
        status: u16,
        answer: &[(&'static str, &str)],
    ) -> bool {
        let mut state = RetryState::without_policy().with_request_headers(&headers(request));
        let outcome = Outcome::Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: &headers(answer),
        };
        matches!(
            state.decide(outcome, None, 0, || Some(())),
            Verdict::Retry { .. }
        )
    }

    #[test]
    fn request_headers_ask_for_attempts() {
        let codes = ("x-envoy-retry-on", "retriable-status-codes");
        let names = ("x-envoy-retry-on", "retriable-headers");
        let grpc = ("x-envoy-retry-grpc-on", "unavailable");
        for (request, status, answer, expected) in [
            (&[("x-envoy-retry-on", "5xx")][..], 503, &[][..], true),
            (&[("x-envoy-retry-on", "5xx")], 200, &[], false),
            // gRPC conditions have a header of their own.
            (
                &[("x-envoy-retry-on", "unavailable")],
                200,
                &[("grpc-status", "14")],
                false,
            ),
            (&[grpc], 200, &[("grpc-status", "14")], true),
            (&[grpc], 200, &[("grpc-status", "13")], false),
            (
                &[codes, ("x-envoy-retriable-status-codes", "418, 200")],
                200,
                &[],
                true,
            ),
            (
                &[codes, ("x-envoy-retriable-status-codes", "418 x,y200")],
                200,
                &[],
                false,
            ),
            (
                &[names, ("x-envoy-retriable-header-names", "X-Push,x-b")],
                200,
                &[("x-b", "")],
                true,
            ),
            (&[names], 200, &[("x-b", "")], false),
            // A rate-limited response is tried again by one condition only.
            (
                &[("x-envoy-retry-on", "5xx")],
                503,
                &[("x-envoy-ratelimited", "true")],
                false,
            ),
            (
                &[("x-envoy-retry-on", "envoy-ratelimited")],
                429,
                &[("x-envoy-ratelimited", "1")],
                true,
            ),
            (
                &[("x-envoy-retry-on", "envoy-ratelimited")],
                429,
                &[],
                false,
            ),
        ] {
            let case = format!("{request:?}: {status} {answer:?}");
            assert_eq!(after(request, status, answer), expected, "{case}");
        }
    }

    #[test]
    fn a_request_too_early_is_sent_again_at_once_unless_it_was_early_data_itself() {
        let policy = Arc::new(RetryPolicy {
            retry_on: vec!["retriable-status-codes".to_owned()],
            retriable_status_codes: vec![425],
            ..RetryPolicy::default()
        });
        for (request, expected) in [
            (
                &[][..],
                Verdict::Retry {
                    wait: Duration::ZERO,
                    permit: (),
                },
            ),
            (&[("early-data", "1")], Verdict::Accept),
        ] {
            let mut state = RetryState::new(&policy).with_request_headers(&headers(request));
            let (status, headers) = (StatusCode::TOO_EARLY, &HeaderMap::new());
            let outcome = Outcome::Response { status, headers };
            assert_eq!(
                state.decide(outcome, None, 9, || Some(())),
                expected,
                "{request:?}"
            );
        }
    }

    #[test]
    fn the_header_overrides_the_attempts_of_the_policy() {
        let policy = RetryPolicy {
            attempts: 7,
            ..RetryPolicy::default()
        };
        let request = headers(&[("x-envoy-max-retries", "0")]);
        let mut state = RetryState::new(&Arc::new(policy)).with_request_headers(&request);
        let reset =
            UpstreamReset::before_request(mesh_core::attributes::ResetReason::ConnectionFailure);
        let verdict = state.decide(Outcome::Reset(reset), None, 0, || Some(()));
        assert_eq!(verdict, Verdict::LimitExceeded);
    }

    #[test]
    fn an_exhausted_budget_uses_an_attempt_up() {
        let mut state = RetryState::new(&Arc::new(RetryPolicy {
            attempts: 1,
            ..RetryPolicy::default()
        }));
        let reset =
            UpstreamReset::before_request(mesh_core::attributes::ResetReason::ConnectionFailure);
        let mut decide = || state.decide(Outcome::Reset(reset), None, 0, || None::<()>);
        assert_eq!(decide(), Verdict::Overflow);
        assert_eq!(decide(), Verdict::LimitExceeded);
    }

    #[test]
    fn the_wait_that_the_upstream_asks_for_counts() {
        let mut state = RetryState::new(&Arc::default());
        let headers = headers(&[("grpc-status", "14")]);
        let outcome = Outcome::Response {
            status: StatusCode::OK,
            headers: &headers,
        };
        let asked = Some(Duration::from_secs(3));
        let verdict = state.decide(outcome, asked, 0, || Some(()));
        assert_eq!(
            verdict,
            Verdict::Retry {
                wait: Duration::from_secs(3),
                permit: ()
            }
        );
    }

    #[test]
    fn a_policy_of_no_attempts_never_tries_again() {
        let state = RetryState::new(&Arc::new(RetryPolicy {
            attempts: 0,
            ..RetryPolicy::default()
        }));
        assert!(!state.is_enabled());
    }
}
