use std::fmt;
use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Extensions, HeaderName, HeaderValue, Request, Response};
use http_body::Body;
use mesh_core::attributes::{MatchedRoute, Progress, Timeouts, UpstreamReset};
use mesh_core::model::retry::RetryPolicy;
use mesh_core::watch::Watch;
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

use super::backoff::RateLimitedBackoff;
use super::budget::{RetryBudget, RetryBudgets};
use super::condition::Conditions;
use super::defaults::RetryDefaults;
use super::future::{ResponseFuture, Retrying};
use super::replay_body::{Replay, ReplayBody};
use super::state::{REQUEST_HEADERS, RetryState};
use crate::BoxError;
use crate::clock::WallClock;

pub(super) const ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");

/// Envoy's limit on what a connection buffers.
const BODY_LIMIT: usize = 1024 * 1024;

/// Tells how an error of the inner service ended an attempt.
///
/// `None` is an error that no further attempt can mend.
type Classify<E> = fn(&E) -> Option<UpstreamReset>;

/// Layer that applies [`Retry`].
///
/// See the [module docs](super) for an example. `E` is the error of the inner service.
pub struct RetryLayer<E> {
    settings: Arc<Settings>,
    // `None` if no error can be mended.
    classify: Option<Classify<E>>,
}

/// What is the same for all requests.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) defaults: RetryDefaults,
    pub(super) budgets: Option<Watch<RetryBudgets>>,
    pub(super) body_limit: usize,
    pub(super) trust_headers: bool,
    pub(super) count_attempts: bool,
    pub(super) rate_limited: Option<RateLimitedBackoff>,
    pub(super) clock: WallClock,
    pub(super) random: Arc<dyn Fn() -> u64 + Send + Sync>,
}

impl<E> RetryLayer<E> {
    /// Tries requests again as their routes say. Errors of the inner service are passed on.
    pub fn new() -> Self {
        Self {
            settings: Arc::new(Settings {
                defaults: RetryDefaults::istio(),
                budgets: None,
                body_limit: BODY_LIMIT,
                trust_headers: false,
                count_attempts: true,
                rate_limited: None,
                clock: WallClock::system(),
                random: Arc::new(|| fastrand::u64(..)),
            }),
            classify: None,
        }
    }

    /// Sets what holds for requests whose route says nothing, and what holds for all. Default:
    /// [`RetryDefaults::istio`].
    #[must_use]
    pub fn with_defaults(self, defaults: RetryDefaults) -> Self {
        self.set(|settings| settings.defaults = defaults)
    }

    /// Caps the concurrent retries of each cluster. Default: no cap.
    #[must_use]
    pub fn with_budgets(self, budgets: impl Into<Watch<RetryBudgets>>) -> Self {
        let budgets = budgets.into();
        self.set(|settings| settings.budgets = Some(budgets))
    }

    /// Sets how many bytes of a body are kept to be sent again. Default: a mebibyte, as Envoy
    /// buffers.
    #[must_use]
    pub fn with_body_limit(self, bytes: usize) -> Self {
        self.set(|settings| settings.body_limit = bytes)
    }

    /// Sets whether the `x-envoy-` headers of requests add to the policies; those that are read are
    /// removed. Default: they are left alone, because anybody may send them. Switch it on where
    /// those of strangers have been removed before.
    #[must_use]
    pub fn with_trusted_headers(self, trust: bool) -> Self {
        self.set(|settings| settings.trust_headers = trust)
    }

    /// Sets whether each attempt says which it is, in `x-envoy-attempt-count`. Default: yes.
    #[must_use]
    pub fn with_attempt_count(self, count: bool) -> Self {
        self.set(|settings| settings.count_attempts = count)
    }

    /// Waits as long as upstreams ask, in headers of their responses. Default: no header is read.
    #[must_use]
    pub fn with_rate_limited_backoff(self, backoff: RateLimitedBackoff) -> Self {
        self.set(|settings| settings.rate_limited = Some(backoff))
    }

    /// Tells how errors of the inner service ended an attempt, so that they can be tried again.
    /// Default: `None` for all.
    #[must_use]
    pub fn with_classifier(self, classify: fn(&E) -> Option<UpstreamReset>) -> Self {
        Self {
            settings: self.settings,
            classify: Some(classify),
        }
    }

    /// Takes the time from `clock`, for headers that name a point in time. Default: the system's.
    #[must_use]
    pub fn with_clock(self, clock: WallClock) -> Self {
        self.set(|settings| settings.clock = clock)
    }

    /// Draws waits by numbers from `random`, which should be uniform over all values. The default is
    /// a generator of the thread that is not fit for secrets.
    #[must_use]
    pub fn with_random(self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let random = Arc::new(random);
        self.set(|settings| settings.random = random)
    }

    fn set(mut self, set: impl FnOnce(&mut Settings)) -> Self {
        set(Arc::make_mut(&mut self.settings));
        self
    }
}

impl<E> Default for RetryLayer<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> Clone for RetryLayer<E> {
    fn clone(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            classify: self.classify,
        }
    }
}

impl<E> fmt::Debug for RetryLayer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer").finish_non_exhaustive()
    }
}

impl<S, E> Layer<S> for RetryLayer<E> {
    type Service = Retry<S, E>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry {
            inner,
            layer: self.clone(),
            known: Known::default(),
        }
    }
}

/// Middleware that tries requests again.
///
/// See the [module docs](super) for an example.
pub struct Retry<S, E> {
    inner: S,
    layer: RetryLayer<E>,
    known: Known,
}

impl<S, E> Retry<S, E> {
    inner_service!();
}

/// The policy of the request before, and its conditions. That of the next is most often the same.
#[derive(Clone, Debug, Default)]
struct Known(Option<(Arc<RetryPolicy>, Conditions)>);

impl Known {
    fn state(&mut self, policy: &Arc<RetryPolicy>) -> RetryState {
        match &self.0 {
            Some((known, conditions)) if Arc::ptr_eq(known, policy) => {
                RetryState::with_conditions(policy, *conditions)
            }
            _ => {
                let state = RetryState::new(policy);
                self.0 = Some((Arc::clone(policy), state.conditions()));
                state
            }
        }
    }
}

impl<S: Clone, E> Clone for Retry<S, E> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
            known: self.known.clone(),
        }
    }
}

impl<S: fmt::Debug, E> fmt::Debug for Retry<S, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.inner;
        f.debug_struct("Retry")
            .field("inner", inner)
            .finish_non_exhaustive()
    }
}

impl<S, B, ResBody> Service<Request<B>> for Retry<S, S::Error>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<ResBody>> + Clone,
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
    ResBody: Default + From<Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let settings = &self.layer.settings;
        let budget = budget(settings, &request);
        let plan = Plan::of(settings, &mut self.known, (&mut request, budget.as_ref()));
        if settings.count_attempts {
            let first = HeaderValue::from_static("1");
            request.headers_mut().insert(ATTEMPT_COUNT, first);
        }
        // A share is of all requests, also of those that are not tried again.
        let active = budget.as_ref().map(RetryBudget::request);
        let Some(plan) = plan else {
            let response = self.inner.call(request.map(ReplayBody::once));
            return ResponseFuture::new(response, None, active);
        };
        plan.tell(request.extensions_mut(), self.layer.classify.is_some());
        let (head, body) = request.into_parts();
        let replay = Replay::new(body, settings.body_limit);
        let first = replay.attempt().expect("the first attempt has a body");
        let first = Request::from_parts(head.clone(), first);
        // The service that is ready gets the request, and serves the further attempts.
        let other = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, other);
        let response = service.call(first);
        let retrying = Retrying::new(plan, service, (head, replay), self.layer.clone());
        ResponseFuture::new(response, Some(retrying), active)
    }
}

impl<E> RetryLayer<E> {
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn classify(&self, error: &E) -> Option<UpstreamReset> {
        self.classify?(error)
    }
}

/// How one request is tried again.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) state: RetryState,
    pub(super) per_try: Option<std::time::Duration>,
    pub(super) budget: Option<RetryBudget>,
}

impl Plan {
    /// The plan for a request; `None` if one attempt is all it gets, without a timeout of its own.
    fn of<B>(
        settings: &Settings,
        known: &mut Known,
        (request, budget): (&mut Request<B>, Option<&RetryBudget>),
    ) -> Option<Self> {
        let matched = request.extensions().get::<MatchedRoute>();
        let forward = matched.and_then(MatchedRoute::forward);
        let policy = match forward {
            Some(forward) => forward.retry.as_ref(),
            None => settings.defaults.policy.as_ref(),
        };
        let mut state = match policy {
            Some(policy) => known.state(policy),
            None => RetryState::without_policy(),
        };
        if settings.trust_headers {
            state = state.with_request_headers(request.headers());
            for name in &REQUEST_HEADERS {
                request.headers_mut().remove(name);
            }
        }
        let per_try = match request.extensions().get::<Timeouts>() {
            Some(timeouts) => timeouts.per_try,
            None => state.policy().and_then(|policy| policy.per_try_timeout),
        };
        if !state.is_enabled() && per_try.is_none() {
            return None;
        }
        Some(Self {
            state,
            per_try,
            budget: budget.cloned(),
        })
    }
}

impl Plan {
    /// Tells balancing how long an attempt may take, unless it is told already; and has it say where
    /// each goes, if that counts for the next and no response will say it.
    fn tell(&self, extensions: &mut Extensions, mends_errors: bool) {
        if self.per_try.is_some() && extensions.get::<Timeouts>().is_none() {
            extensions.insert(Timeouts {
                start: Instant::now().into_std(),
                total: None,
                per_try: self.per_try,
            });
        }
        if self.avoids_previous() && (self.per_try.is_some() || mends_errors) {
            Progress::of(extensions);
        }
    }

    /// Whether balancing is told the endpoints of earlier attempts.
    pub(super) fn avoids_previous(&self) -> bool {
        let policy = self.state.policy();
        policy.is_some_and(|policy| policy.avoid_previous_hosts || policy.avoid_previous_priorities)
    }
}

fn budget<B>(settings: &Settings, request: &Request<B>) -> Option<RetryBudget> {
    let budgets = settings.budgets.as_ref()?;
    let cluster = request.extensions().get::<MatchedRoute>()?.cluster()?;
    budgets.load().of(cluster).cloned()
}
