//! Endpoints that are picked by how long they take.

use std::sync::atomic::AtomicU64;

use super::*;
use crate::balance::policy::Policy;

#[tokio::test(start_paused = true)]
async fn a_slow_endpoint_is_tried_once() {
    let service = by_peak_ewma(|is_first| async move {
        let time = Duration::from_millis(if is_first { 500 } else { 5 });
        tokio::time::sleep(time).await;
        Ok(answer(200))
    });
    assert_eq!(picks_of_first(service).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_at_once_is_not_taken_for_a_fast_one() {
    let refused = by_peak_ewma(|is_first| async move {
        if is_first {
            return Err("refused");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(answer(200))
    });
    assert_eq!(picks_of_first(refused).await, 1);

    let reset = by_peak_ewma(|is_first| async move {
        if is_first {
            let mut response = answer(503);
            let reset = UpstreamReset::before_request(ResetReason::ConnectionFailure);
            response.extensions_mut().insert(reset);
            return Ok(response);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        Ok(answer(200))
    });
    assert_eq!(picks_of_first(reset).await, 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_answers_again_is_picked_again() {
    let start = now();
    let service = by_peak_ewma(move |is_first| async move {
        let is_down = now() < start + Duration::from_secs(1);
        if is_first && is_down {
            return Err("refused");
        }
        tokio::time::sleep(Duration::from_millis(if is_first { 5 } else { 50 })).await;
        Ok(answer(200))
    });
    assert_eq!(picks_of_first(service.clone()).await, 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(picks_of_first(service).await > 90);
}

type Picked = Result<Response<Body>, &'static str>;

/// Two endpoints, of which the first is told that it is.
fn by_peak_ewma<F>(
    serve: impl Fn(bool) -> F + Clone,
) -> impl Service<Request<()>, Response = Response<TrackedBody<Body>>, Error = &'static str> + Clone
where
    F: Future<Output = Picked>,
{
    let upstream = Arc::into_inner(upstream("{}", 2)).unwrap();
    let upstream = upstream.with_policy(Policy::PeakEwma, now()).unwrap();
    // Of two numbers in a row one is even, so that both endpoints are always drawn.
    let number = AtomicU64::new(0);
    let service = Balance::new(Arc::new(upstream), move |target: &Target| {
        let is_first = target.endpoint.address.port() == Some(1);
        let serve = serve.clone();
        service_fn(move |_: Request<()>| serve(is_first))
    });
    service.with_random(move || number.fetch_add(1, Ordering::Relaxed))
}

/// How many of a hundred requests the first endpoint gets. One that fails was sent to it.
async fn picks_of_first(
    service: impl Service<Request<()>, Response = Response<TrackedBody<Body>>, Error = &'static str>
    + Clone,
) -> usize {
    let mut picks = 0;
    for _ in 0..100 {
        let is_first = match service.clone().oneshot(Request::new(())).await {
            Ok(response) => {
                let selected = response.extensions().get::<SelectedEndpoint>().unwrap();
                selected.0.address.port() == Some(1)
            }
            Err(_) => true,
        };
        picks += usize::from(is_first);
    }
    picks
}
