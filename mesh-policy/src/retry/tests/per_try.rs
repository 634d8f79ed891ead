//! How long attempts may take whose requests come slowly, or are not read.

use super::*;

/// What an upstream does with the body of an attempt that it does not answer.
#[derive(Clone, Copy, Debug)]
enum Reading {
    /// Reads as many frames, then nothing more, and holds the rest.
    Frames(usize),
    /// Reads all.
    All,
}

/// What is sent: a byte a second, as many as that, and then the end or nothing more.
struct Paused {
    bytes: Slow,
    ends: bool,
}

impl http_body::Body for Paused {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        match self.ends || self.bytes.left > 0 {
            true => Pin::new(&mut self.bytes).poll_frame(cx),
            false => Poll::Pending,
        }
    }
}

/// Reads what is to be read of a body, and never lets go of it.
async fn hold(mut body: ReplayBody<Paused>, reading: Reading) {
    let frames = match reading {
        Reading::Frames(frames) => frames,
        Reading::All => usize::MAX,
    };
    for _ in 0..frames {
        if !matches!(body.frame().await, Some(Ok(_))) {
            break;
        }
    }
    std::future::pending::<()>().await;
    drop(body);
}

/// The status of a request whose first attempts are read so by a task of their own and not answered, and
/// what a further one is sent, if there is one; and how long it all took.
async fn send_slowly(
    (bytes, ends): (u32, bool),
    limit: usize,
    per_try: u64,
    readings: &[Reading],
) -> (u16, usize, u64) {
    let script: VecDeque<Reading> = readings.iter().copied().collect();
    let (attempts, script) = (script.len() as u32, Arc::new(Mutex::new(script)));
    let upstream = tower::service_fn(move |request: Request<ReplayBody<Paused>>| {
        let reading = script.lock().unwrap().pop_front();
        async move {
            let body = request.into_body();
            let Some(reading) = reading else {
                let whole = body.collect().await.unwrap().to_bytes();
                return Ok::<_, Infallible>(Response::new(whole));
            };
            tokio::spawn(hold(body, reading));
            std::future::pending().await
        }
    });
    let policy = RetryPolicy {
        per_try_timeout: Some(Duration::from_secs(per_try)),
        ..policy(attempts, &["5xx"])
    };
    let bytes = Slow::new(bytes);
    let request = request(Method::POST, policy).map(|_| Paused { bytes, ends });
    let layer = RetryLayer::new().with_random(|| 0).with_body_limit(limit);
    let service = ServiceBuilder::new().layer(layer).service(upstream);
    let start = Instant::now();
    let response = service.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let sent = if status == 200 {
        response.body().len()
    } else {
        0
    };
    (status, sent, start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn it_begins_when_the_request_has_come_whole_whoever_reads_it() {
    for reading in [
        Reading::Frames(0),
        Reading::Frames(1),
        Reading::Frames(3),
        Reading::All,
    ] {
        let sent = send_slowly((3, true), 100, 10, &[reading]).await;
        assert_eq!(sent, (200, 3, 3 + 10), "{reading:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_begins_when_no_more_is_kept_of_a_request_that_nobody_reads() {
    // The second byte is the last for which there is room.
    let sent = send_slowly((9, true), 2, 4, &[Reading::Frames(0)]).await;
    assert_eq!(sent, (200, 9, 2 + 4 + 6), "the rest has still to come");
}

/// Too long to be kept, so that nothing is known of its end before it is read.
#[tokio::test(start_paused = true)]
async fn it_ends_when_an_upstream_reads_on_no_more() {
    for (frames, seconds) in [(3, 3 + 4), (5, 5 + 4)] {
        let sent = send_slowly((9, true), 2, 4, &[Reading::Frames(frames)]).await;
        assert_eq!(sent, (504, 0, seconds), "{frames}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_does_not_end_while_an_upstream_waits_for_its_client() {
    let sending = send_slowly((3, false), 100, 2, &[Reading::All]);
    let hour = Duration::from_secs(3600);
    assert!(tokio::time::timeout(hour, sending).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_slow_is_not_cut() {
    for limit in [0, 3, 100] {
        let sent = send_slowly((9, true), limit, 2, &[]).await;
        assert_eq!(sent, (200, 9, 9), "{limit}");
    }
}

/// The client would wake who has read ahead, and reads no more.
#[tokio::test(start_paused = true)]
async fn an_upload_goes_on_after_its_response_has_begun() {
    let reading = Arc::new(Mutex::new(None));
    let task = Arc::clone(&reading);
    let upstream = tower::service_fn(move |request: Request<ReplayBody<Slow>>| {
        let task = Arc::clone(&task);
        async move {
            *task.lock().unwrap() = Some(tokio::spawn(request.into_body().collect()));
            sleep(Duration::from_millis(1500)).await;
            Ok::<_, Infallible>(Response::new(Bytes::new()))
        }
    });
    let policy = RetryPolicy {
        per_try_timeout: Some(Duration::from_secs(2)),
        ..policy(1, &["5xx"])
    };
    let request = request(Method::POST, policy).map(|_| Slow::new(4));
    let service = ServiceBuilder::new().layer(layer()).service(upstream);
    service.oneshot(request).await.unwrap();
    let reading = reading.lock().unwrap().take().unwrap();
    let whole = tokio::time::timeout(Duration::from_secs(60), reading).await;
    assert_eq!(whole.unwrap().unwrap().unwrap().to_bytes(), "aaaa");
}
