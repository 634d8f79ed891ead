use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use mesh_core::attributes::{
    Attempts, MatchedRoute, PreviousEndpoints, Progress, ResetReason, ResponseFlag, ResponseFlags,
    SelectedEndpoint, Timeouts, UpstreamReset,
};
use mesh_core::model::cluster::{Endpoint, EndpointAddress};
use mesh_core::model::retry::RetryPolicy;
use mesh_core::model::route::{Route, RouteAction, RouteMatch};
use mesh_core::service::ClusterName;
use proptest::prelude::*;
use tokio::time::{Instant, Sleep, sleep};
use tower::{Service, ServiceBuilder, ServiceExt};

use super::budget::{RetryBudget, RetryBudgets, RetryCap};
use super::replay_body::ReplayBody;
use super::*;

mod per_try;

type Body = ReplayBody<Full<Bytes>>;

/// What an upstream does with an attempt.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// Answers with a status.
    Status(u16),
    /// Answers with a gRPC status in the headers.
    Grpc(u8),
    /// Is answered for, because the stream was reset.
    Reset(UpstreamReset),
    /// Says nothing.
    Silence,
}

/// An upstream that follows a script, and writes down what reaches it.
#[derive(Clone, Default)]
struct Upstream {
    script: Arc<Mutex<VecDeque<Act>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Whether this clone has been asked for its readiness since it was last called.
    is_ready: bool,
    /// Whether the application has processed the request, and how often.
    processed: Arc<AtomicU32>,
}

#[derive(Clone, Debug)]
struct Seen {
    at: Instant,
    attempt: String,
    body: Bytes,
    previous: Option<PreviousEndpoints>,
    timeouts: Option<Timeouts>,
}

impl Upstream {
    fn new(script: impl IntoIterator<Item = Act>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect()));
        Self {
            script,
            ..Self::default()
        }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Service<Request<Body>> for Upstream {
    type Response = Response<Bytes>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Bytes>, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.is_ready),
            "called before it was ready"
        );
        let act = self
            .script
            .lock()
            .unwrap()
            .pop_front()
            .expect("an attempt too many");
        let (seen, processed) = (Arc::clone(&self.seen), Arc::clone(&self.processed));
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let number = {
                let mut seen = seen.lock().unwrap();
                seen.push(Seen {
                    at: Instant::now(),
                    attempt: head.headers["x-envoy-attempt-count"]
                        .to_str()
                        .unwrap()
                        .to_owned(),
                    body: Bytes::new(),
                    previous: head.extensions.get().cloned(),
                    timeouts: head.extensions.get().copied(),
                });
                seen.len() - 1
            };
            let sent = !matches!(act, Act::Reset(reset) if reset.is_unprocessed());
            if sent {
                processed.fetch_add(1, Ordering::Relaxed);
                seen.lock().unwrap()[number].body = body.collect().await.unwrap().to_bytes();
            }
            let mut response = Response::new(Bytes::from_static(b"answer"));
            // Every other attempt goes to the endpoint of the one before.
            let address = SocketAddr::from(([10, 0, 0, 1], 8000 + number as u16 / 2));
            let endpoint = Endpoint::new(EndpointAddress::Ip(address));
            let endpoint = SelectedEndpoint(Arc::new(endpoint));
            if let Some(progress) = head.extensions.get::<Progress>() {
                progress.sent_to(endpoint.clone());
            }
            response.extensions_mut().insert(endpoint);
            match act {
                Act::Status(status) => {
                    *response.status_mut() = StatusCode::from_u16(status).unwrap()
                }
                Act::Grpc(status) => {
                    let status = u16::from(status).into();
                    response.headers_mut().insert("grpc-status", status);
                }
                Act::Reset(reset) => {
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    response
                        .extensions_mut()
                        .insert(ResponseFlag::UpstreamConnectionFailure);
                    response.extensions_mut().insert(reset);
                }
                Act::Silence => std::future::pending().await,
            }
            Ok(response)
        })
    }
}

const REFUSED: Act = Act::Reset(UpstreamReset {
    reason: ResetReason::ConnectionFailure,
    request_started: false,
});

fn policy(attempts: u32, retry_on: &[&str]) -> RetryPolicy {
    RetryPolicy {
        attempts,
        retry_on: retry_on
            .iter()
            .map(|condition| (*condition).to_owned())
            .collect(),
        ..RetryPolicy::default()
    }
}

fn request(method: Method, policy: RetryPolicy) -> Request<Full<Bytes>> {
    let mut route = Route::forward("cart", RouteMatch::prefix("/"), ClusterName::from("cart"));
    if let RouteAction::Forward(forward) = &mut route.action {
        forward.retry = Some(Arc::new(policy));
    }
    Request::builder()
        .method(method)
        .extension(MatchedRoute::new(Arc::new(route), 0))
        .body(Full::new(Bytes::from_static(b"two books")))
        .unwrap()
}

async fn send(
    layer: RetryLayer<Infallible>,
    upstream: &Upstream,
    request: Request<Full<Bytes>>,
) -> Response<Bytes> {
    let service = ServiceBuilder::new().layer(layer).service(upstream.clone());
    service.oneshot(request).await.unwrap()
}

fn flags(response: &Response<Bytes>) -> String {
    ResponseFlags::of(response.extensions()).to_string()
}

/// Waits of the first draw: the whole interval but a millisecond.
fn layer() -> RetryLayer<Infallible> {
    RetryLayer::new().with_random(|| 24)
}

#[tokio::test(start_paused = true)]
async fn every_attempt_has_its_number_and_the_whole_body() {
    let upstream = Upstream::new([Act::Status(502), REFUSED, Act::Status(200)]);
    let response = send(
        layer(),
        &upstream,
        request(Method::GET, policy(2, &["5xx"])),
    )
    .await;
    assert_eq!(response.status(), 200);
    assert_eq!(flags(&response), "-");
    assert_eq!(response.extensions().get(), Some(&Attempts(3)));
    let seen = upstream.seen();
    let numbers: Vec<_> = seen.iter().map(|seen| seen.attempt.as_str()).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert_eq!(
        (&seen[0].body, &seen[2].body),
        (&seen[2].body, &Bytes::from_static(b"two books"))
    );
}

#[tokio::test(start_paused = true)]
async fn attempts_wait_longer_and_longer() {
    let upstream = Upstream::new([REFUSED; 4]);
    let layer = RetryLayer::new().with_random(|| 199);
    send(
        layer,
        &upstream,
        request(Method::GET, policy(3, &["connect-failure"])),
    )
    .await;
    let seen = upstream.seen();
    let waits: Vec<_> = seen
        .windows(2)
        .map(|two| (two[1].at - two[0].at).as_millis())
        .collect();
    // 199 modulo 25, 50 and 100.
    assert_eq!(waits, [24, 49, 99]);
}

#[tokio::test(start_paused = true)]
async fn the_last_answer_is_passed_on_and_flagged_when_the_attempts_are_used_up() {
    for (act, status, expected) in [(Act::Status(503), 503, "URX"), (REFUSED, 503, "URX,UF")] {
        let upstream = Upstream::new([act; 3]);
        let response = send(
            layer(),
            &upstream,
            request(Method::GET, policy(2, &["5xx"])),
        )
        .await;
        assert_eq!(
            (response.status().as_u16(), flags(&response).as_str()),
            (status, expected)
        );
        assert_eq!(response.body(), "answer");
        assert_eq!(upstream.seen().len(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_no_condition_names_is_passed_on_unflagged() {
    for act in [Act::Status(200), Act::Status(503), Act::Grpc(13)] {
        let upstream = Upstream::new([act]);
        let response = send(
            layer(),
            &upstream,
            request(Method::GET, RetryPolicy::default()),
        )
        .await;
        assert_eq!(flags(&response), "-", "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn istio_tries_unavailable_grpc_services_again() {
    let upstream = Upstream::new([Act::Grpc(14), Act::Grpc(1), Act::Grpc(0)]);
    let response = send(
        layer(),
        &upstream,
        request(Method::POST, RetryPolicy::default()),
    )
    .await;
    assert_eq!(response.headers()["grpc-status"], "0");
}

#[tokio::test(start_paused = true)]
async fn the_endpoints_that_answered_are_named_to_balancing_as_often_as_they_did() {
    // Endpoints may be named for their priorities alone.
    let first = EndpointAddress::Ip(([10, 0, 0, 1], 8000).into());
    for (hosts, priorities, expected, tries) in [
        (true, false, [0, 1, 2], 5),
        (false, true, [0, 1, 2], 0),
        (false, false, [0, 0, 0], 0),
    ] {
        let upstream = Upstream::new([Act::Status(502), REFUSED, Act::Status(200)]);
        let policy = RetryPolicy {
            avoid_previous_hosts: hosts,
            avoid_previous_priorities: priorities,
            ..policy(2, &["5xx"])
        };
        send(layer(), &upstream, request(Method::GET, policy)).await;
        let seen = upstream.seen();
        let named = |seen: &Seen| {
            let previous = seen.previous.as_ref()?;
            assert_eq!(previous.selection_attempts, tries);
            Some(previous.addresses.clone())
        };
        let addresses = seen.iter().map(|seen| named(seen).unwrap_or_default());
        // Both attempts went to the same.
        let expected = expected.map(|times| vec![first.clone(); times]);
        assert_eq!(addresses.collect::<Vec<_>>(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_are_silent_are_named_to_balancing() {
    for (hosts, expected) in [(true, [0, 1, 2]), (false, [0; 3])] {
        let upstream = Upstream::new([Act::Silence, Act::Silence, Act::Status(200)]);
        let policy = RetryPolicy {
            avoid_previous_hosts: hosts,
            per_try_timeout: Some(Duration::from_secs(1)),
            ..policy(2, &["5xx"])
        };
        send(layer(), &upstream, request(Method::GET, policy)).await;
        let seen = upstream.seen();
        let named = |seen: &Seen| Some(seen.previous.as_ref()?.addresses.len());
        let addresses = seen.iter().map(|seen| named(seen).unwrap_or(0));
        assert_eq!(addresses.collect::<Vec<_>>(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_takes_too_long_is_tried_again_as_a_reset_is() {
    for (condition, attempts) in [("5xx", 3), ("gateway-error", 3), ("connect-failure", 1)] {
        let upstream = Upstream::new([Act::Silence; 3]);
        let policy = RetryPolicy {
            per_try_timeout: Some(Duration::from_secs(1)),
            ..policy(2, &[condition])
        };
        let response = send(layer(), &upstream, request(Method::GET, policy)).await;
        assert_eq!(response.status(), 504, "{condition}");
        assert_eq!(response.body(), "upstream request timeout", "{condition}");
        assert!(
            response.extensions().get::<PerTryTimeout>().is_some(),
            "{condition}"
        );
        assert_eq!(upstream.seen().len(), attempts, "{condition}");
    }
}

/// A body of a byte a second.
struct Slow {
    left: u32,
    next: Pin<Box<Sleep>>,
}

impl Slow {
    fn new(seconds: u32) -> Self {
        let next = Box::pin(sleep(Duration::from_secs(1)));
        let left = seconds;
        Self { left, next }
    }
}

impl http_body::Body for Slow {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        std::task::ready!(self.next.as_mut().poll(cx));
        self.left -= 1;
        self.next
            .as_mut()
            .reset(Instant::now() + Duration::from_secs(1));
        let byte = Bytes::from_static(b"a");
        Poll::Ready(Some(Ok(http_body::Frame::data(byte))))
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_attempt_begins_when_the_request_has_come_whole() {
    // Whether the upstream reads the request, and how long it is silent then.
    for (reads, silence, status, seconds) in [
        (true, 0, 200, 3),
        (true, 1, 200, 4),
        // The further attempt has the whole request at once.
        (true, 9, 504, 3 + 2 + 2),
        (false, 9, 504, 2 + 2),
    ] {
        let upstream = tower::service_fn(move |request: Request<ReplayBody<Slow>>| async move {
            if reads {
                request.into_body().collect().await.unwrap();
            } else {
                drop(request);
            }
            sleep(Duration::from_secs(silence)).await;
            Ok::<_, Infallible>(Response::new(Bytes::new()))
        });
        let policy = RetryPolicy {
            per_try_timeout: Some(Duration::from_secs(2)),
            ..policy(1, &["5xx"])
        };
        let request = request(Method::POST, policy).map(|_| Slow::new(3));
        let layer = RetryLayer::new().with_random(|| 0);
        let service = ServiceBuilder::new().layer(layer).service(upstream);
        let start = Instant::now();
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{reads} {silence}");
        assert_eq!(start.elapsed().as_secs(), seconds, "{reads} {silence}");
    }
}

/// As when a stream is answered, and goes on for hours.
#[tokio::test(start_paused = true)]
async fn a_body_is_not_kept_once_its_response_has_begun() {
    let rest = Arc::new(Mutex::new(None));
    let connection = Arc::clone(&rest);
    let upstream = tower::service_fn(move |request: Request<ReplayBody<Growing>>| {
        let mut body = request.into_body();
        let connection = Arc::clone(&connection);
        async move {
            // What comes first is read before the answer.
            body.frame().await.unwrap().unwrap();
            *connection.lock().unwrap() = Some(body);
            Ok::<_, Infallible>(Response::new(Bytes::new()))
        }
    });
    let books = Arc::new([7; 4096]);
    let piece = Bytes::from_owner(Shared(Arc::clone(&books)));
    let request = request(Method::POST, policy(2, &["5xx"])).map(|_| Growing(Full::new(piece)));
    let service = ServiceBuilder::new().layer(layer()).service(upstream);
    let mut sending = Box::pin(service.oneshot(request));
    (&mut sending).await.unwrap();
    assert!(rest.lock().unwrap().is_some(), "the stream goes on");
    assert_eq!(Arc::strong_count(&books), 1, "nobody keeps what was sent");
}

/// Bytes of which others know how often they are kept.
struct Shared(Arc<[u8; 4096]>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &*self.0
    }
}

#[tokio::test(start_paused = true)]
async fn balancing_is_told_when_the_answer_to_each_attempt_has_to_be_there() {
    const SECOND: Duration = Duration::from_secs(1);
    for per_try_timeout in [None, Some(SECOND)] {
        let upstream = Upstream::new([Act::Silence, Act::Status(200)]);
        let policy = RetryPolicy {
            per_try_timeout,
            ..policy(1, &["5xx"])
        };
        let sending = send(layer(), &upstream, request(Method::GET, policy));
        let _ = tokio::time::timeout(2 * SECOND, sending).await;
        for seen in upstream.seen() {
            let expected = per_try_timeout.map(|per_try| seen.at + per_try);
            let deadline = seen
                .timeouts
                .and_then(|timeouts| timeouts.deadline(seen.at.into_std()));
            assert_eq!(deadline.map(Instant::from_std), expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_of_layers_between_are_not_tried_again() {
    let upstream = tower::service_fn(|_: Request<Body>| async {
        let mut response = Response::builder().status(503).body(Bytes::new()).unwrap();
        response
            .extensions_mut()
            .insert(ResponseFlag::NoHealthyUpstream);
        Ok::<_, Infallible>(response)
    });
    let service = ServiceBuilder::new().layer(layer()).service(upstream);
    let response = service
        .oneshot(request(Method::GET, policy(2, &["5xx"])))
        .await
        .unwrap();
    assert_eq!(flags(&response), "UH");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_outgrows_the_limit_is_sent_once() {
    let upstream = Upstream::new([Act::Status(502)]);
    let layer = layer().with_body_limit(8);
    let response = send(layer, &upstream, request(Method::GET, policy(2, &["5xx"]))).await;
    assert_eq!(
        (response.status().as_u16(), flags(&response).as_str()),
        (502, "-")
    );
}

/// The connection of an attempt that was answered early may still read the body on its own thread,
/// past the limit, while it is decided whether there is a further attempt.
#[tokio::test(start_paused = true)]
async fn a_body_that_outgrows_the_limit_while_it_is_decided_is_sent_once() {
    let connection = Arc::new(Mutex::new(None));
    let upstream = {
        let connection = Arc::clone(&connection);
        tower::service_fn(move |request: Request<ReplayBody<Growing>>| {
            *connection.lock().unwrap() = Some(request.into_body());
            let response = Response::builder().status(503).body(Bytes::new());
            std::future::ready(Ok::<_, Infallible>(response.unwrap()))
        })
    };
    let layer = RetryLayer::new().with_body_limit(8).with_random(move || {
        let body = connection.lock().unwrap().take();
        // Waits are drawn in the midst of the decision.
        let reading = std::thread::spawn(|| body.map(|body: ReplayBody<_>| run(body.collect())));
        reading.join().unwrap();
        24
    });
    let request = request(Method::GET, policy(2, &["5xx"])).map(Growing);
    let service = ServiceBuilder::new().layer(layer).service(upstream);
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), flags(&response).as_str()),
        (503, "-")
    );
}

/// A body that does not say how long it will be.
struct Growing(Full<Bytes>);

impl http_body::Body for Growing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn errors_are_tried_again_as_the_classifier_says() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let failing = tower::service_fn(move |_: Request<Body>| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Err::<Response<Bytes>, _>("refused") }
    });
    for (layer, expected) in [
        (RetryLayer::new(), 1),
        (
            RetryLayer::new().with_classifier(|_: &&str| {
                Some(UpstreamReset::before_request(
                    ResetReason::ConnectionFailure,
                ))
            }),
            3,
        ),
    ] {
        calls.store(0, Ordering::Relaxed);
        let service = ServiceBuilder::new().layer(layer).service(failing.clone());
        let error = service
            .oneshot(request(Method::GET, RetryPolicy::default()))
            .await;
        assert_eq!(error.unwrap_err(), "refused");
        assert_eq!(calls.load(Ordering::Relaxed), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn headers_of_strangers_ask_for_nothing() {
    for (trusted, attempts) in [(false, 1), (true, 2)] {
        let upstream = Upstream::new([Act::Status(500), Act::Status(200)]);
        let mut request = Request::new(Full::new(Bytes::new()));
        request
            .headers_mut()
            .insert("x-envoy-retry-on", "5xx".parse().unwrap());
        send(layer().with_trusted_headers(trusted), &upstream, request).await;
        assert_eq!(upstream.seen().len(), attempts, "{trusted}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_beyond_the_budget_is_not_made_and_flagged() {
    let name = ClusterName::from("cart");
    let budget = RetryBudget::new(RetryCap::Concurrent(0));
    let budgets = RetryBudgets::from_iter([(name, budget)]);
    let upstream = Upstream::new([REFUSED]);
    let layer = layer().with_budgets(budgets);
    let response = send(layer, &upstream, request(Method::GET, policy(2, &["5xx"]))).await;
    assert_eq!(flags(&response), "UO,UF");
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_not_tried_again_count_for_the_share() {
    let budget = RetryBudget::new(RetryCap::Share {
        percent: 50.0,
        least: 0,
        interval: Duration::ZERO,
    });
    let budgets = RetryBudgets::from_iter([(ClusterName::from("cart"), budget.clone())]);
    let upstream = Upstream::new([Act::Silence, Act::Silence]);
    let layer = layer().with_budgets(budgets);
    let sending = (0..2).map(|_| {
        let once = RetryPolicy {
            attempts: 0,
            ..RetryPolicy::default()
        };
        send(layer.clone(), &upstream, request(Method::GET, once))
    });
    let mut sending: Vec<_> = sending.map(Box::pin).collect();
    for request in &mut sending {
        let waiting = tokio::time::timeout(Duration::from_secs(1), request);
        waiting.await.unwrap_err();
    }
    assert!(budget.retry().is_some(), "half of two");
    drop(sending);
    assert!(budget.retry().is_none(), "half of none");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_gives_its_budget_back() {
    let name = ClusterName::from("cart");
    let budget = RetryBudget::new(RetryCap::Concurrent(1));
    let budgets = RetryBudgets::from_iter([(name, budget.clone())]);
    let upstream = Upstream::new([REFUSED, Act::Silence]);
    let layer = layer().with_budgets(budgets);
    let sending = send(layer, &upstream, request(Method::GET, policy(2, &["5xx"])));
    tokio::time::timeout(Duration::from_secs(1), sending)
        .await
        .unwrap_err();
    assert_eq!(upstream.seen().len(), 2);
    assert!(budget.retry().is_some());
}

fn act() -> impl Strategy<Value = Act> {
    use ResetReason::{ConnectionFailure, ConnectionTermination, RemoteRefusedStream, RemoteReset};
    let reasons = [
        ConnectionFailure,
        ConnectionTermination,
        RemoteRefusedStream,
        RemoteReset,
    ];
    let reset = (proptest::sample::select(reasons.to_vec()), any::<bool>());
    prop_oneof![
        proptest::sample::select(vec![200, 409, 500, 502, 503, 504]).prop_map(Act::Status),
        (0_u8..16).prop_map(Act::Grpc),
        reset.prop_map(|(reason, request_started)| {
            let request_started = request_started && reason != ConnectionFailure;
            Act::Reset(UpstreamReset {
                reason,
                request_started,
            })
        }),
        Just(Act::Silence),
    ]
}

fn any_policy() -> impl Strategy<Value = RetryPolicy> {
    let conditions = vec![
        "5xx",
        "gateway-error",
        "reset",
        "reset-before-request",
        "connect-failure",
        "refused-stream",
        "retriable-4xx",
        "cancelled",
        "unavailable",
        "internal",
    ];
    let conditions = proptest::sample::subsequence(conditions, 0..8);
    (0_u32..5, conditions).prop_map(|(attempts, conditions)| RetryPolicy {
        per_try_timeout: Some(Duration::from_secs(1)),
        ..policy(attempts, &conditions)
    })
}

fn run<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn there_are_never_more_attempts_than_the_policy_has(
        policy in any_policy(),
        script in proptest::collection::vec(act(), 6),
        random in any::<u64>(),
    ) {
        let (upstream, attempts) = (Upstream::new(script), policy.attempts as usize);
        let layer = RetryLayer::new().with_random(move || random);
        run(send(layer, &upstream, request(Method::GET, policy)));
        prop_assert!(upstream.seen().len() <= attempts + 1);
    }

    #[test]
    fn no_request_that_is_not_idempotent_reaches_the_application_twice(
        policy in any_policy(),
        script in proptest::collection::vec(act(), 6),
        random in any::<u64>(),
        method in proptest::sample::select(vec![Method::POST, Method::PATCH, Method::CONNECT]),
    ) {
        let upstream = Upstream::new(script);
        let defaults = RetryDefaults::idempotent();
        let layer = RetryLayer::new().with_defaults(defaults).with_random(move || random);
        run(send(layer, &upstream, request(method, policy)));
        prop_assert!(upstream.processed.load(Ordering::Relaxed) <= 1);
    }

    #[test]
    fn budgets_hold_however_requests_fall_together(
        (starts, most) in (starts(8), 0_u32..4),
    ) {
        budgets_hold(starts, most);
    }

    #[test]
    #[ignore = "takes a minute"]
    fn budgets_hold_for_many_requests_at_once((starts, most) in (starts(30), 0_u32..4)) {
        budgets_hold(starts, most);
    }
}

/// When requests begin, and what they draw.
fn starts(most: usize) -> impl Strategy<Value = Vec<(u64, u64)>> {
    proptest::collection::vec((0_u64..200, any::<u64>()), 1..most)
}

/// No more than `most` retries are under way at once, whenever requests start.
fn budgets_hold(starts: Vec<(u64, u64)>, most: u32) {
    let name = ClusterName::from("cart");
    let budget = RetryBudget::new(RetryCap::Concurrent(most));
    let budgets = RetryBudgets::from_iter([(name, budget)]);
    let retries = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
    let counting = Arc::clone(&retries);
    let slow = tower::service_fn(move |request: Request<Body>| {
        let (now, highest) = (Arc::clone(&counting), Arc::clone(&counting));
        async move {
            let again = request.headers()["x-envoy-attempt-count"] != "1";
            if again {
                let now = now.0.fetch_add(1, Ordering::Relaxed) + 1;
                highest.1.fetch_max(now, Ordering::Relaxed);
            }
            sleep(Duration::from_millis(30)).await;
            if again {
                now.0.fetch_sub(1, Ordering::Relaxed);
            }
            Ok::<_, Infallible>(Response::builder().status(503).body(Bytes::new()).unwrap())
        }
    });
    run(async {
        let requests = starts.into_iter().map(|(start, random)| {
            let layer = RetryLayer::new().with_budgets(budgets.clone());
            let layer = layer.with_random(move || random);
            let service = ServiceBuilder::new().layer(layer).service(slow.clone());
            tokio::task::spawn_local(async move {
                sleep(Duration::from_millis(start)).await;
                service
                    .oneshot(request(Method::GET, policy(3, &["5xx"])))
                    .await
            })
        });
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                for request in requests.collect::<Vec<_>>() {
                    request.await.unwrap().unwrap();
                }
            })
            .await;
    });
    assert!(retries.1.load(Ordering::Relaxed) <= most);
    assert_eq!(retries.0.load(Ordering::Relaxed), 0);
}
