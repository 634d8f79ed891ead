//! Endpoints that no connection can be made to.

use super::*;

#[tokio::test(start_paused = true)]
async fn requests_that_wait_for_a_connection_that_cannot_be_made_fail_as_it_does() {
    let mesh = Mesh::new("{}", Protocol::Http2);
    mesh.faults(Fault::Hang, 5);
    let start = tokio::time::Instant::now();
    let responses = futures_util::future::join_all((0..5).map(|_| mesh.send())).await;
    assert_eq!(start.elapsed().as_secs(), 10, "one attempt for all");
    assert_eq!(mesh.faults_left(), 4);
    for response in responses {
        let reset = response.extensions().get::<UpstreamReset>().unwrap();
        assert_eq!(reset.reason, ResetReason::ConnectionFailure);
    }
    for resource in [Resource::Connections, Resource::PendingRequests] {
        assert_eq!(mesh.target.breakers.used(resource), 0, "{resource:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_to_connect_includes_the_handshake() {
    let mesh = Mesh::new("{}", Protocol::Http2);
    mesh.faults(Fault::Mute, 1);
    let start = tokio::time::Instant::now();
    let response = mesh.send().await;
    assert_eq!(start.elapsed().as_secs(), 10);
    assert_eq!(response.status(), 503);
    let reset = response.extensions().get::<UpstreamReset>().unwrap();
    assert_eq!(reset.reason, ResetReason::ConnectionFailure);
    assert_eq!(mesh.target.breakers.used(Resource::Connections), 0);
    assert_eq!(mesh.get().await, "hello");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_for_any_connection_fails_with_one_that_cannot_be_made() {
    let mesh = Mesh::new(r#"{"tcp": {"maxConnections": 1}}"#, Protocol::Http);
    mesh.faults(Fault::Hang, 1);
    let mut first = tokio_test::task::spawn(mesh.send());
    let mut second = tokio_test::task::spawn(mesh.send());
    assert!(first.poll().is_pending() && second.poll().is_pending());
    assert_eq!(first.await.status(), 503);
    assert_eq!(second.await.status(), 503);
    assert_eq!(mesh.connections(), 0);
    assert_eq!(mesh.get().await, "hello", "who comes later tries again");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_cannot_be_reached_is_tried_less_and_less_often() {
    let mesh = Mesh::new("{}", Protocol::Http);
    mesh.faults(Fault::Refuse, 5);
    // After a wait, whether the request tries to connect.
    let steps = [
        (0, true),
        (0, true),
        (0, false),
        (24, false),
        (1, true),
        (49, false),
        (1, true),
        (99, false),
        (1, true),
        (199, false),
    ];
    for (step, (millis, tries)) in steps.into_iter().enumerate() {
        tokio::time::sleep(Duration::from_millis(millis)).await;
        let before = mesh.faults_left();
        let response = mesh.send().await;
        assert_eq!(response.status(), 503, "{step}");
        let reset = response.extensions().get::<UpstreamReset>().unwrap();
        assert_eq!(reset.reason, ResetReason::ConnectionFailure, "{step}");
        assert_eq!(mesh.faults_left() < before, tries, "{step}");
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(mesh.get().await, "hello");

    mesh.server.lock().unwrap().close();
    tokio::time::sleep(Duration::from_millis(1)).await;
    mesh.faults(Fault::Refuse, 2);
    for left in [1, 0] {
        assert_eq!(mesh.send().await.status(), 503);
        assert_eq!(mesh.faults_left(), left, "a connection has ended the waits");
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_at_the_same_time_are_one_failure() {
    let mesh = Mesh::new("{}", Protocol::Http);
    mesh.faults(Fault::Hang, 3);
    futures_util::future::join_all((0..3).map(|_| mesh.send())).await;
    assert_eq!(mesh.faults_left(), 0);
    assert_eq!(mesh.get().await, "hello", "at once");
}
