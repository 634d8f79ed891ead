//! Pings on HTTP/2 connections.

use tokio::time::{sleep, timeout};

use super::*;

const KEEPALIVE: &str = r#"{"http": {"http2KeepAlive": {"interval": "3s", "timeout": "2s"}}}"#;

#[tokio::test(start_paused = true)]
async fn an_idle_connection_whose_endpoint_falls_silent_is_closed_where_pings_are_asked_for() {
    for (pool, open) in [(KEEPALIVE, 0), ("{}", 1)] {
        let mesh = Mesh::new(pool, Protocol::Http2);
        mesh.get().await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(mesh.open(), 1, "{pool}: who answers stays");

        mesh.silence();
        sleep(Duration::from_millis(1999)).await;
        assert_eq!(mesh.open(), 1, "{pool}: there is time to answer");
        sleep(Duration::from_millis(3002)).await;
        assert_eq!(mesh.open(), open, "{pool}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_request_takes_another_connection_than_one_that_fell_silent() {
    let mesh = Mesh::new(KEEPALIVE, Protocol::Http2);
    mesh.get().await;
    mesh.silence();
    sleep(Duration::from_secs(6)).await;
    let answer = timeout(Duration::from_secs(1), mesh.get()).await;
    assert_eq!(answer.unwrap(), "hello");
    assert_eq!((mesh.open(), mesh.connections()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_request_on_a_connection_that_falls_silent_fails_before_its_timeout() {
    let mesh = Mesh::new(KEEPALIVE, Protocol::Http2);
    mesh.get().await;
    mesh.gate.forget_permits(usize::MAX >> 4);
    let mut request = tokio_test::task::spawn(mesh.send());
    assert!(request.poll().is_pending());
    sleep(Duration::from_secs(60)).await;
    assert!(
        request.poll().is_pending(),
        "who answers pings is waited for"
    );

    mesh.silence();
    let response = timeout(Duration::from_millis(5001), request).await.unwrap();
    assert_eq!(response.status(), 503);
    let reset = response.extensions().get::<UpstreamReset>().unwrap();
    assert_eq!(reset.reason, ResetReason::ConnectionTermination);
}

impl<S> Mesh<S> {
    /// What is connected now sends nothing more.
    fn silence(&self) {
        self.server.lock().unwrap().silence.notify_waiters();
    }
}
