//! What is kept of the connections to an endpoint, and for how long.

use std::cell::Cell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use http::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mesh_core::model::cluster::{self, Cluster, EndpointAddress};
use mesh_core::service::ClusterName;
use mesh_discovery::circuit_breaker::{Breakers, Limits, Resource};
use mesh_discovery::service::Target;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::*;
use crate::local::LocalExecutor;

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_connection_counts_as_long_as_a_response_takes() {
    let (upstream, endpoint) = Upstream::listen().await;
    let target = target(&endpoint, r#"{"tcp": {"maxConnections": 1}}"#);
    let endpoint = endpoint.with_limits(ConnectionLimits::of(&target));
    let pool = Pool::new(PoolSettings::default());
    let (response, mut connection) =
        tokio::join!(pool.send(&endpoint, get("/1")), begin(&upstream));
    sleep(Duration::from_secs(3)).await;
    let mut second = tokio_test::task::spawn(pool.send(&endpoint, get("/2")));
    assert!(second.poll().is_pending());
    sleep(Duration::from_secs(3)).await;
    assert_eq!(target.breakers.used(Resource::Connections), 1);
    let serve = async {
        connection.write("lf").await;
        assert!(connection.head().await.starts_with("GET /2 "));
        connection.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    };
    let ask = async {
        response.unwrap().into_body().collect().await.unwrap();
        assert_eq!(second.await.unwrap().status(), StatusCode::NO_CONTENT);
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_connection_is_used_again_however_long_a_response_took() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let (response, mut connection) =
        tokio::join!(pool.send(&endpoint, get("/1")), begin(&upstream));
    sleep(Duration::from_secs(3)).await;
    let serve = async {
        connection.write("lf").await;
        assert!(connection.head().await.starts_with("GET /2 "));
        connection.write("HTTP/1.1 204 No Content\r\n\r\n").await;
    };
    let ask = async {
        response.unwrap().into_body().collect().await.unwrap();
        pool.send(&endpoint, get("/2")).await.unwrap();
    };
    tokio::join!(serve, ask);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn idle_connections_to_an_endpoint_that_has_gone_are_closed() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (address, _) = serve(protocol).await;
        let endpoint = Endpoint::new(address, protocol);
        let target = target(&endpoint, r#"{"tcp": {"maxConnections": 1}}"#);
        let endpoint = endpoint.with_limits(ConnectionLimits::of(&target));
        let pool = Pool::new(PoolSettings::default());
        let sent = pool.send(&endpoint, get("http://a.example/"));
        drop(sent.await.unwrap());
        let Target {
            endpoint, breakers, ..
        } = target;
        sleep(Duration::from_secs(20)).await;
        assert_eq!(breakers.used(Resource::Connections), 1, "{protocol:?}");
        drop(endpoint);
        sleep(Duration::from_secs(10)).await;
        assert_eq!(breakers.used(Resource::Connections), 0, "{protocol:?}");
    }
}

/// Where an attempt has less time than connecting takes, there would be no connection ever.
#[tokio::test(flavor = "local", start_paused = true)]
async fn a_connection_that_is_being_made_is_for_the_next_request_when_its_own_is_gone() {
    for (protocol, comes_at_once) in [
        (Protocol::Http1, true),
        (Protocol::Http1, false),
        (Protocol::Http2, true),
        (Protocol::Http2, false),
    ] {
        let (address, accepted) = serve(protocol).await;
        let endpoint = Endpoint::new(address, protocol);
        let pool = Pool::new(PoolSettings::default());
        let ask = || pool.send(&endpoint, get("http://a.example/"));
        let mut given_up = tokio_test::task::spawn(ask());
        assert!(given_up.poll().is_pending());
        drop(given_up);
        if !comes_at_once {
            sleep(Duration::from_secs(5)).await;
        }
        assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
        assert_eq!(accepted.get(), 1, "{protocol:?} {comes_at_once}");
    }
}

/// Answers the first request by half.
async fn begin(upstream: &Upstream) -> Connection {
    let mut connection = upstream.accept().await;
    connection.head().await;
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nha";
    connection.write(half).await;
    connection
}

/// Answers all requests, and counts connections.
async fn serve(protocol: Protocol) -> (SocketAddr, Rc<Cell<usize>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Rc::new(Cell::new(0));
    let counted = Rc::clone(&accepted);
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.set(counted.get() + 1);
            let io = TokioIo::new(stream);
            let answer = service_fn(|_: Request<Incoming>| async {
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            });
            match protocol {
                Protocol::Http1 => {
                    let server = http1::Builder::new();
                    drop(spawn_local(server.serve_connection(io, answer)));
                }
                Protocol::Http2 => {
                    let server = http2::Builder::new(LocalExecutor);
                    drop(spawn_local(server.serve_connection(io, answer)));
                }
            }
        }
    });
    (address, accepted)
}

/// The endpoint, in a cluster with the `connectionPool` that `pool` is.
fn target(endpoint: &Endpoint, pool: &str) -> Target {
    let Address::Ip(address) = endpoint.address else {
        panic!("it has an address");
    };
    let mut cluster = Cluster::new(ClusterName::from("cart"));
    cluster.policy.connection_pool = Some(serde_json::from_str(pool).unwrap());
    let limits = Limits::compile(cluster.policy.connection_pool.as_deref());
    Target {
        endpoint: Arc::new(cluster::Endpoint::new(EndpointAddress::Ip(address))),
        cluster: Arc::new(cluster),
        breakers: Arc::new(Breakers::new(limits)),
        downstream: None,
    }
}
