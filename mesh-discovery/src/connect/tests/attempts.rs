//! Connections that are made after their request has gone.

use tokio::time::{sleep, timeout};

use super::*;

const LIMITED: &str = r#"{"tcp": {"maxConnections": 1}}"#;
const PROTOCOLS: [Protocol; 2] = [Protocol::Http, Protocol::Http2];

#[tokio::test(start_paused = true)]
async fn a_request_that_gave_up_leaves_a_connection_for_the_next() {
    for protocol in PROTOCOLS {
        let mesh = Mesh::new("{}", protocol);
        mesh.faults(Fault::Slow(secs(3)), 1);
        assert!(timeout(secs(1), mesh.send()).await.is_err());
        assert_eq!(
            mesh.open(),
            1,
            "{protocol:?}: one that is being made counts"
        );
        sleep(secs(3)).await;
        assert_eq!(mesh.connections(), 1, "{protocol:?}");
        assert_eq!(mesh.get().await, "hello");
        assert_eq!((mesh.open(), mesh.connections()), (1, 1), "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn patience_that_is_shorter_than_connecting_gets_a_connection_with_time() {
    for (protocol, pool) in [
        (Protocol::Http, "{}"),
        (Protocol::Http, LIMITED),
        (Protocol::Http2, "{}"),
        (Protocol::Http2, LIMITED),
    ] {
        let mesh = Mesh::new(pool, protocol);
        mesh.faults(Fault::Slow(secs(5)), 9);
        let mut gave_up = 0;
        while timeout(secs(2), mesh.get()).await.is_err() {
            gave_up += 1;
        }
        assert_eq!(gave_up, 2, "{protocol:?} {pool}");
        assert_eq!(mesh.faults_left(), 8, "{protocol:?} {pool}: by one attempt");
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_get_the_connection_that_another_began() {
    for (protocol, pool) in [(Protocol::Http2, "{}"), (Protocol::Http, LIMITED)] {
        let mesh = Mesh::new(pool, protocol);
        mesh.faults(Fault::Slow(secs(3)), 1);
        let mut first = tokio_test::task::spawn(mesh.send());
        let mut second = tokio_test::task::spawn(mesh.send());
        assert!(first.poll().is_pending() && second.poll().is_pending());
        drop(first);
        assert_eq!(text(second.await).await, "hello");
        assert_eq!(mesh.connections(), 1, "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_given_up_wait_no_more() {
    for (protocol, attempts) in [(Protocol::Http, 3), (Protocol::Http2, 1)] {
        let mesh = Mesh::new("{}", protocol);
        mesh.faults(Fault::Slow(secs(3)), 3);
        let mut waiting = Vec::new();
        for pending in 1..=3 {
            let mut request = tokio_test::task::spawn(mesh.send());
            assert!(request.poll().is_pending());
            waiting.push(request);
            assert_eq!(mesh.pending(), pending, "{protocol:?}");
        }
        drop(waiting);
        assert_eq!((mesh.pending(), mesh.open()), (0, attempts), "{protocol:?}");
        sleep(secs(4)).await;
        assert_eq!((mesh.pending(), mesh.open()), (0, attempts), "{protocol:?}");
        assert_eq!(mesh.get().await, "hello");
        assert_eq!(mesh.connections(), attempts as usize, "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_after_its_request_has_gone_counts_for_the_wait() {
    for protocol in PROTOCOLS {
        let mesh = Mesh::new("{}", protocol);
        mesh.faults(Fault::Hang, 2);
        mesh.faults(Fault::Refuse, 1);
        for attempt in 1..=2 {
            assert!(timeout(secs(1), mesh.send()).await.is_err());
            sleep(secs(8)).await;
            assert_eq!(mesh.open(), 1, "{protocol:?}: attempt {attempt} goes on");
            // It began ten seconds ago at the end.
            sleep(Duration::from_millis(1001)).await;
            assert_eq!(mesh.open(), 0, "{protocol:?}: attempt {attempt} is over");
        }
        assert_eq!(mesh.send().await.status(), 503, "{protocol:?}");
        assert_eq!(mesh.faults_left(), 1, "{protocol:?}: nobody tries yet");
        sleep(Duration::from_millis(25)).await;
        assert_eq!(mesh.send().await.status(), 503, "{protocol:?}");
        assert_eq!(mesh.faults_left(), 0, "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_fails_as_the_attempt_that_it_took_over() {
    let mesh = Mesh::new("{}", Protocol::Http);
    mesh.faults(Fault::Hang, 1);
    assert!(timeout(secs(4), mesh.send()).await.is_err());
    let start = tokio::time::Instant::now();
    let response = mesh.send().await;
    assert_eq!(
        start.elapsed().as_secs(),
        6,
        "the rest of the time to connect"
    );
    let reset = response.extensions().get::<UpstreamReset>().unwrap();
    assert_eq!(reset.reason, ResetReason::ConnectionFailure);
    assert_eq!((mesh.pending(), mesh.open()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_waits_for_to_an_endpoint_that_has_gone_is_closed() {
    for protocol in PROTOCOLS {
        let mut mesh = Mesh::new("{}", protocol);
        mesh.faults(Fault::Slow(secs(3)), 1);
        assert!(timeout(secs(1), mesh.send()).await.is_err());
        mesh.target.endpoint = Arc::new(endpoint(2));
        sleep(Duration::from_millis(2001)).await;
        assert_eq!(mesh.connections(), 1, "{protocol:?}");
        assert_eq!(mesh.open(), 0, "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_as_its_request_goes_is_kept() {
    for protocol in PROTOCOLS {
        let mesh = Mesh::new(r#"{"http": {"idleTimeout": "10s"}}"#, protocol);
        mesh.faults(Fault::Slow(secs(3)), 1);
        let mut request = tokio_test::task::spawn(mesh.send());
        assert!(request.poll().is_pending());
        sleep(Duration::from_millis(3001)).await;
        assert!(request.is_woken(), "{protocol:?}");
        drop(request);
        assert_eq!(mesh.get().await, "hello");
        assert_eq!((mesh.open(), mesh.connections()), (1, 1), "{protocol:?}");
        sleep(secs(11)).await;
        assert_eq!(mesh.open(), 0, "{protocol:?}: it is idle");
    }
}

#[test]
fn a_runtime_that_shuts_down_keeps_no_place() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    for protocol in PROTOCOLS {
        let mesh = Mesh::new(LIMITED, protocol);
        mesh.faults(Fault::Hang, 1);
        let mut other = tokio_test::task::spawn(mesh.send());
        let first = runtime();
        first.block_on(async {
            assert!(timeout(secs(1), mesh.send()).await.is_err());
            assert!(other.poll().is_pending());
        });
        assert_eq!((mesh.pending(), mesh.open()), (1, 1), "{protocol:?}");
        drop(first);
        assert_eq!(mesh.open(), 0, "{protocol:?}");
        drop(other);
        assert_eq!(mesh.pending(), 0, "{protocol:?}");
        assert_eq!(runtime().block_on(mesh.get()), "hello");
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl<S> Mesh<S> {
    fn pending(&self) -> u32 {
        self.target.breakers.used(Resource::PendingRequests)
    }
}
