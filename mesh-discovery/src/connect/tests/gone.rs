//! Connections to endpoints that have gone.

use mesh_core::model::cluster::{Discovery, Endpoint};

use super::*;

#[tokio::test(start_paused = true)]
async fn idle_connections_to_an_endpoint_that_has_gone_are_closed() {
    for protocol in [Protocol::Http, Protocol::Http2] {
        let mut mesh = Mesh::new("{}", protocol);
        mesh.get().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(mesh.open(), 1, "{protocol:?}: it is still there");

        mesh.target.endpoint = Arc::new(endpoint(2));
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(mesh.open(), 0, "{protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_to_an_endpoint_that_has_gone_comes_to_its_end() {
    let mut mesh = Mesh::new("{}", Protocol::Http2);
    mesh.gate.forget_permits(usize::MAX >> 4);
    let mut request = tokio_test::task::spawn(mesh.send());
    assert!(request.poll().is_pending());
    mesh.target.endpoint = Arc::new(endpoint(2));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(mesh.open(), 1);

    mesh.gate.add_permits(1);
    assert_eq!(text(request.await).await, "hello");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(mesh.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_takes_the_place_of_its_equal_keeps_the_connections_that_are_used() {
    let mut mesh = Mesh::new("{}", Protocol::Http);
    for _ in 0..5 {
        mesh.get().await;
        mesh.target.endpoint = Arc::new(Endpoint::clone(&mesh.target.endpoint));
        mesh.get().await;
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(mesh.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn endpoints_that_are_made_for_a_request_do_not_go_with_it() {
    let mut mesh = Mesh::new("{}", Protocol::Http);
    Arc::make_mut(&mut mesh.target.cluster).discovery = Discovery::OriginalDestination;
    for _ in 0..2 {
        mesh.get().await;
        mesh.target.endpoint = Arc::new(Endpoint::clone(&mesh.target.endpoint));
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(mesh.connections(), 1);
}
