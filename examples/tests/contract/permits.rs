//! Places and permits: what is under way counts, and what is over does not.

use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use mesh_core::attributes::{ResetReason, UpstreamReset};
use mesh_core::model::retry::RetryPolicy;
use mesh_policy::circuit_breaker::{CircuitBreakerLayer, CircuitBreakers};
use mesh_policy::concurrency::{ConcurrencyLimitLayer, LoadShedLayer};
use mesh_policy::hedge::HedgeLayer;
use mesh_policy::rate_limit::local::LocalRateLimit;
use mesh_policy::rate_limit::token_bucket::TokenBucketSettings;
use mesh_policy::rate_limit::{LocalRateLimitLayer, RateLimits};
use mesh_policy::retry::RetryLayer;
use tokio::time::{Instant, advance};
use tokio_test::{assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt};

use crate::requests::{cluster, equipped, forwarded};
use crate::strict::{Behaviour, Failure, OwnBody, Strict};

/// Holds a layer with a limit of one to it: by a call, by its response, and by neither.
async fn lets_one_be_under_way<L, B>(layer: L)
where
    L: Layer<Strict<Failure>>,
    L::Service: Service<Request<OwnBody>, Response = Response<B>, Error = Failure> + Clone,
{
    let (strict, probe) = Strict::new(9);
    let service = layer.layer(strict);
    let call = || service.clone().oneshot(forwarded());
    probe.set(Behaviour::Hang);
    let mut first = task::spawn(call());
    assert!(first.poll().is_pending());
    assert_eq!(
        call().await.unwrap().status(),
        503,
        "one waits for its response"
    );
    probe.set(Behaviour::Answer);
    let response = assert_ready_ok!(first.poll());
    assert_eq!(call().await.unwrap().status(), 503, "one is being read");
    drop(response);
    assert_eq!(call().await.unwrap().status(), 200, "it is dropped");

    probe.set(Behaviour::Hang);
    let mut dropped = task::spawn(call());
    assert!(dropped.poll().is_pending());
    drop(dropped);
    probe.set(Behaviour::Fail(Failure(7)));
    assert_eq!(
        call().await.err(),
        Some(Failure(7)),
        "a dropped call holds nothing"
    );
    probe.set(Behaviour::Answer);
    assert_eq!(
        call().await.unwrap().status(),
        200,
        "nor does one that failed"
    );
    assert_eq!(probe.calls(), 5, "the refused ones did not get through");
}

/// Waits until `service` is ready, and calls it.
async fn status_of_ready<S, B>(service: &mut S) -> u16
where
    S: Service<Request<OwnBody>, Response = Response<B>, Error = Failure>,
{
    let call = service.ready().await.unwrap().call(forwarded());
    call.await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_concurrency_limit_counts_what_is_under_way() {
    lets_one_be_under_way(ConcurrencyLimitLayer::new(1)).await;
}

#[tokio::test]
async fn a_circuit_breaker_counts_what_is_under_way() {
    let breakers = CircuitBreakers::default().with_limit(cluster("cart"), 1);
    lets_one_be_under_way(CircuitBreakerLayer::new(breakers)).await;
}

#[tokio::test]
async fn load_is_shed_when_the_service_below_has_no_place() {
    let (strict, probe) = Strict::<Failure>::new(1);
    let mut service = LoadShedLayer::new().layer(strict);
    let place = probe.take_place();
    assert_eq!(status_of_ready(&mut service).await, 503);
    drop(place);
    // What was refused is not remembered, and what was allowed not used twice.
    assert_eq!(status_of_ready(&mut service).await, 200);
    let response = service.call(forwarded());
    assert_eq!(response.await.unwrap().status(), 503);
    assert_eq!(probe.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_leaves_the_readiness_of_what_it_refuses() {
    let bucket = TokenBucketSettings::new(1, 1, Duration::from_secs(60)).unwrap();
    let limit = LocalRateLimit::new(bucket, Instant::now().into_std());
    let limits = RateLimits::new().with_default(limit);
    let (strict, probe) = Strict::<Failure>::new(1);
    let mut service = LocalRateLimitLayer::new(limits).layer(strict);
    for (seconds, status) in [(0, 200), (1, 429), (1, 429), (60, 200)] {
        advance(Duration::from_secs(seconds)).await;
        assert_eq!(status_of_ready(&mut service).await, status, "{seconds}");
    }
    assert_eq!(probe.calls(), 2);
    drop(service);
    assert_eq!(probe.free(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_has_a_place_of_its_own_and_gives_it_back() {
    let (strict, probe) = Strict::<Failure>::new(2);
    probe.set(Behaviour::Hang);
    let service = HedgeLayer::new(Duration::from_secs(1)).layer(strict);
    let mut call = task::spawn(service.oneshot(forwarded()));
    assert!(call.poll().is_pending());
    assert_eq!((probe.calls(), probe.free()), (1, 1));
    advance(Duration::from_secs(1)).await;
    assert!(call.poll().is_pending());
    assert_eq!((probe.calls(), probe.free()), (2, 0));
    drop(call);
    assert_eq!(probe.free(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_further_attempt_waits_for_a_place_and_the_last_error_is_passed_on() {
    let (strict, probe) = Strict::<Failure>::new(1);
    probe.set(Behaviour::Fail(Failure(7)));
    let refused = |_: &Failure| {
        let reason = ResetReason::ConnectionFailure;
        Some(UpstreamReset::before_request(reason))
    };
    // There is a wait before each further attempt.
    let retry = RetryLayer::new().with_random(|| 1);
    let service = retry.with_classifier(refused).layer(strict);
    let mut call = task::spawn(service.oneshot(equipped()));
    assert!(call.poll().is_pending(), "the second attempt has to wait");
    let place = probe.take_place();
    advance(Duration::from_secs(1)).await;
    assert!(call.poll().is_pending(), "there is no place");
    assert_eq!(probe.calls(), 1);
    drop(place);
    assert!(call.is_woken());
    let mut result = call.poll();
    for _ in 0..9 {
        if result.is_pending() {
            advance(Duration::from_secs(1)).await;
            result = call.poll();
        }
    }
    assert!(matches!(result, Poll::Ready(Err(Failure(7)))));
    let attempts = usize::try_from(RetryPolicy::default().attempts).unwrap();
    assert_eq!((probe.calls(), probe.free()), (1 + attempts, 1));
}
