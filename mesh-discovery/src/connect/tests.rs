use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode, Version};
use http_body_util::Full;
use mesh_core::attributes::{ResetReason, ResponseFlag, UpstreamReset};
use mesh_core::model::cluster::Cluster;
use mesh_core::service::Protocol;
use tower::{ServiceExt, service_fn};

use self::mesh::{Endpoint, Fault, Mesh, text};
use super::*;
use crate::balance::testing::endpoint;
use crate::circuit_breaker::Resource;
use crate::service::{Downstream, Target};

mod attempts;
mod connected;
mod gone;
mod keepalive;
mod mesh;
mod request_body;
mod transport;
mod unreachable;
mod upgrades;

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again() {
    let mesh = Mesh::new("{}", Protocol::Http);
    for _ in 0..3 {
        assert_eq!(mesh.get().await, "hello");
    }
    assert_eq!(mesh.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_takes_no_more_requests_than_it_may() {
    let mesh = Mesh::new(
        r#"{"http": {"maxRequestsPerConnection": 2}}"#,
        Protocol::Http,
    );
    for _ in 0..5 {
        assert_eq!(mesh.get().await, "hello");
    }
    assert_eq!(mesh.connections(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_when_it_is_idle_or_old() {
    let cases = [
        (r#"{"http": {"idleTimeout": "10s"}}"#, 9, 1),
        (r#"{"http": {"idleTimeout": "10s"}}"#, 11, 2),
        (r#"{"tcp": {"idleTimeout": "10s"}}"#, 11, 2),
        (r#"{"tcp": {"maxConnectionDuration": "10s"}}"#, 9, 1),
        (r#"{"tcp": {"maxConnectionDuration": "10s"}}"#, 11, 2),
    ];
    for (pool, seconds, connections) in cases {
        let mesh = Mesh::new(pool, Protocol::Http);
        mesh.get().await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let open = mesh.target.breakers.used(Resource::Connections);
        assert_eq!(open, 2 - connections, "{pool} after {seconds} s");
        mesh.get().await;
        assert_eq!(
            mesh.connections(),
            connections as usize,
            "{pool} after {seconds} s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_where_connections_are_limited() {
    let mesh = Mesh::new(r#"{"tcp": {"maxConnections": 1}}"#, Protocol::Http);
    let first = mesh.send().await;
    let mut second = tokio_test::task::spawn(mesh.send());
    assert!(second.poll().is_pending());
    assert_eq!(mesh.target.breakers.used(Resource::PendingRequests), 1);

    assert_eq!(text(first).await, "hello");
    assert_eq!(text(second.await).await, "hello");
    assert_eq!(mesh.connections(), 1);
    assert_eq!(mesh.target.breakers.used(Resource::PendingRequests), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_overflows_where_those_that_wait_are_limited() {
    let pool = r#"{"tcp": {"maxConnections": 1}, "http": {"http1MaxPendingRequests": 1}}"#;
    let mesh = Mesh::new(pool, Protocol::Http);
    let first = mesh.send().await;
    let mut second = tokio_test::task::spawn(mesh.send());
    assert!(second.poll().is_pending());

    let third = mesh.send().await;
    assert_eq!(third.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(third.headers()["x-envoy-overloaded"], "true");
    assert_eq!(
        third.extensions().get(),
        Some(&ResponseFlag::UpstreamOverflow)
    );

    drop(second);
    let mut fourth = tokio_test::task::spawn(mesh.send());
    assert!(
        fourth.poll().is_pending(),
        "who gives up makes room for another"
    );
    drop(first);
    assert_eq!(text(fourth.await).await, "hello");
}

#[tokio::test(start_paused = true)]
async fn streams_share_a_connection_as_far_as_they_may() {
    for (pool, connections) in [("{}", 1), (r#"{"http": {"maxConcurrentStreams": 2}}"#, 2)] {
        let mesh = Mesh::new(pool, Protocol::Http2);
        mesh.get().await;
        mesh.gate.forget_permits(usize::MAX >> 4);
        let mut waiting: Vec<_> = (0..3)
            .map(|_| tokio_test::task::spawn(mesh.send()))
            .collect();
        for request in &mut waiting {
            assert!(request.poll().is_pending());
        }
        mesh.gate.add_permits(100);
        for request in waiting {
            assert_eq!(text(request.await).await, "hello");
        }
        assert_eq!(mesh.connections(), connections, "{pool}");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_share_a_connection_as_far_as_the_endpoint_takes_them() {
    for (max_streams, connections) in [(None, 1), (Some(2), 2), (Some(1), 3)] {
        let mesh = Mesh::new("{}", Protocol::Http2);
        mesh.server.lock().unwrap().max_streams = max_streams;
        mesh.get().await;
        mesh.gate.forget_permits(usize::MAX >> 4);
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let mut request = tokio_test::task::spawn(mesh.send());
            assert!(request.poll().is_pending());
            waiting.push(request);
            // The connection is told by the endpoint how many it takes.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        mesh.gate.add_permits(100);
        for request in waiting {
            assert_eq!(text(request.await).await, "hello");
        }
        assert_eq!(mesh.connections(), connections, "{max_streams:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn requests_keep_their_version_where_the_cluster_asks_for_it() {
    let client = r#"{"http": {"useClientProtocol": true}}"#;
    for (pool, protocol, expected) in [
        (client, Protocol::Http, [Version::HTTP_11, Version::HTTP_2]),
        (client, Protocol::Http2, [Version::HTTP_11, Version::HTTP_2]),
        ("{}", Protocol::Http, [Version::HTTP_11; 2]),
        ("{}", Protocol::Http2, [Version::HTTP_2; 2]),
    ] {
        let mesh = Mesh::new(pool, protocol);
        let versions = [Version::HTTP_11, Version::HTTP_2];
        for (version, expected) in versions.into_iter().zip(expected).cycle().take(4) {
            let request = Request::get("http://cart.example/7").version(version);
            let request = request.body(Full::default()).unwrap();
            let sending = mesh.service.clone().oneshot((mesh.target.clone(), request));
            let response = sending.await.unwrap();
            let found = response.headers()["x-version"].clone();
            assert_eq!(found, format!("{expected:?}"), "{pool} {protocol:?}");
            assert_eq!(text(response).await, "hello");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let expected = 1 + usize::from(expected[0] != expected[1]);
        assert_eq!(mesh.connections(), expected, "{pool} {protocol:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_that_takes_no_further_requests_is_closed_after_the_last() {
    let mesh = Mesh::new(
        r#"{"http": {"maxRequestsPerConnection": 2}}"#,
        Protocol::Http2,
    );
    assert_eq!(mesh.get().await, "hello");
    assert_eq!(mesh.target.breakers.used(Resource::Connections), 1);
    assert_eq!(mesh.get().await, "hello");
    assert_eq!(mesh.target.breakers.used(Resource::Connections), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_the_endpoint_closed_is_not_used_again() {
    let mesh = Mesh::new("{}", Protocol::Http);
    mesh.get().await;
    mesh.server.lock().unwrap().close();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(mesh.target.breakers.used(Resource::Connections), 0);
    assert_eq!(mesh.get().await, "hello");
    assert_eq!(mesh.connections(), 2);
}

/// Clients could have endpoints ejected otherwise.
#[tokio::test(start_paused = true)]
async fn a_host_that_http2_cannot_be_told_is_not_blamed_on_the_endpoint() {
    for host in ["", "a:b:c", "cart.example:%1"] {
        let mesh = Mesh::new("{}", Protocol::Http2);
        let request = Request::get("/7").header("host", host);
        let request = request.body(Full::default()).unwrap();
        let sending = mesh.service.clone().oneshot((mesh.target.clone(), request));
        let response = sending.await.unwrap();
        let reset = response.extensions().get::<UpstreamReset>().unwrap();
        assert_eq!(reset.reason, ResetReason::LocalReset, "{host}");
        let flag = response.extensions().get();
        assert_eq!(flag, Some(&ResponseFlag::DownstreamProtocolError), "{host}");
        assert_eq!(mesh.connections(), 0, "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_answered_as_envoy_does() {
    let cases = [
        (
            Fault::Refuse,
            "remote connection failure",
            ResponseFlag::UpstreamConnectionFailure,
            ResetReason::ConnectionFailure,
        ),
        (
            Fault::Hang,
            "connection timeout",
            ResponseFlag::UpstreamConnectionFailure,
            ResetReason::ConnectionFailure,
        ),
        (
            Fault::Close,
            "connection termination",
            ResponseFlag::UpstreamConnectionTermination,
            ResetReason::ConnectionTermination,
        ),
    ];
    for (fault, reason, flag, reset) in cases {
        let mesh = Mesh::new("{}", Protocol::Http);
        mesh.faults(fault, 1);
        let response = mesh.send().await;
        assert_eq!(response.status(), 503, "{reason}");
        assert_eq!(response.extensions().get(), Some(&flag), "{reason}");
        let found = response.extensions().get::<UpstreamReset>().unwrap();
        assert_eq!(found.reason, reset, "{reason}");
        let expected = format!(
            "upstream connect error or disconnect/reset before headers. reset reason: {reason}"
        );
        assert_eq!(text(response).await, expected);
        assert_eq!(
            mesh.target.breakers.used(Resource::PendingRequests),
            0,
            "{reason}"
        );
        assert_eq!(mesh.get().await, "hello", "after {reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn clients_share_no_connection_that_says_whose_it_is() {
    let mesh = Mesh::new("{}", Protocol::Http);
    let of = |port| Target {
        downstream: Some(Downstream {
            peer: ([192, 0, 2, 1], port).into(),
            local: ([192, 0, 2, 9], 443).into(),
        }),
        ..mesh.target.clone()
    };
    for (target, connections) in [(of(1), 1), (of(1), 1), (of(2), 2), (mesh.target.clone(), 3)] {
        assert_eq!(text(mesh.send_to(&target).await).await, "hello");
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(mesh.connections(), connections);
    }
}
