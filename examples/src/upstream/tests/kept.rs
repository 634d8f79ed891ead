//! What is kept of the connections to an endpoint, and for how long.
//!
//! Pools are swept here as often as it takes, and not once a second: the clock cannot be stopped while
//! something is awaited from a socket.

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
use mesh_discovery::balance::PickRequest;
use mesh_discovery::circuit_breaker::Resource;
use mesh_discovery::cluster::Upstream as Served;
use mesh_discovery::locality::Client;
use mesh_discovery::service::Target;
use tokio::task::{spawn_local, yield_now};
use tokio::time::{Instant, sleep, timeout};
use tower::discover::Change;

use super::*;
use crate::local::LocalExecutor;

/// Long enough for a slow machine, short enough for a test that has already failed.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "local")]
async fn a_connection_counts_as_long_as_a_response_takes() {
    let (upstream, endpoint) = Upstream::listen().await;
    let served = served(&endpoint.address, r#"{"tcp": {"maxConnections": 1}}"#);
    let endpoint = within(endpoint, &served);
    let pool = Pool::new(PoolSettings::default());
    let (response, mut connection) =
        tokio::join!(pool.send(&endpoint, get("/1")), begin(&upstream));
    sweep(&pool, 3);
    let mut second = tokio_test::task::spawn(pool.send(&endpoint, get("/2")));
    assert!(second.poll().is_pending());
    sweep(&pool, 3);
    assert_eq!(served.breakers().used(Resource::Connections), 1);
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

#[tokio::test(flavor = "local")]
async fn a_connection_is_used_again_however_long_a_response_took() {
    let (upstream, endpoint) = Upstream::listen().await;
    let pool = Pool::new(PoolSettings::default());
    let (response, mut connection) =
        tokio::join!(pool.send(&endpoint, get("/1")), begin(&upstream));
    sweep(&pool, 3);
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

#[tokio::test(flavor = "local")]
async fn an_idle_connection_is_closed_when_it_was_looked_at_often_enough() {
    let (address, _) = serve(Protocol::Http1).await;
    let endpoint = Endpoint::new(address, Protocol::Http1);
    let pool = Pool::new(PoolSettings {
        idle_timeout: Duration::from_secs(30),
        ..PoolSettings::default()
    });
    drop(pool.send(&endpoint, get("/")).await.unwrap());
    assert_eq!(sweep(&pool, 31), [true; 30]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn a_pool_is_swept_until_it_is_empty() {
    // Nobody is there, which is known without waiting for a network.
    let nowhere = Address::Unix("/nowhere/at/all".into());
    let endpoint = Endpoint::at(nowhere, Protocol::Http1);
    let pool = Pool::new(PoolSettings::default());
    for _ in 0..2 {
        pool.send(&endpoint, get("/")).await.unwrap_err();
        assert!(!pool.shared.hosts.borrow().is_empty());
        sleep(Duration::from_secs(2)).await;
        assert!(pool.shared.hosts.borrow().is_empty());
    }
}

#[tokio::test(flavor = "local")]
async fn idle_connections_are_kept_as_long_as_the_cluster_has_an_endpoint_at_their_address() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (address, accepted) = serve(protocol).await;
        let endpoint = Endpoint::new(address, protocol);
        let served = served(&endpoint.address, r#"{"tcp": {"maxConnections": 1}}"#);
        let pool = Pool::new(PoolSettings::default());
        for weight in 1..=4 {
            // The version before is gone.
            change(&served, |endpoint| endpoint.weight = weight);
            sweep(&pool, 3);
            let endpoint = within(endpoint.clone(), &served);
            let sent = pool.send(&endpoint, get("http://a.example/"));
            drop(sent.await.unwrap());
            assert_eq!(accepted.get(), 1, "{protocol:?} {weight}");
        }
        change(&served, |endpoint| endpoint.healthy = false);
        sweep(&pool, 3);
        assert_eq!(served.breakers().used(Resource::Connections), 1);
        let gone = Change::Remove(address_of(&endpoint.address));
        served.balancer().apply([gone], now());
        sweep(&pool, 1);
        until(|| served.breakers().used(Resource::Connections) == 0).await;
    }
}

#[tokio::test(flavor = "local")]
async fn idle_connections_to_a_cluster_that_has_gone_are_closed() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (address, _) = serve(protocol).await;
        let endpoint = Endpoint::new(address, protocol);
        let served = served(&endpoint.address, r#"{"tcp": {"maxConnections": 1}}"#);
        let breakers = Arc::clone(served.breakers());
        let pool = Pool::new(PoolSettings::default());
        let sent = pool.send(&within(endpoint, &served), get("http://a.example/"));
        drop(sent.await.unwrap());
        drop(served);
        sweep(&pool, 1);
        until(|| breakers.used(Resource::Connections) == 0).await;
    }
}

/// Where an attempt has less time than connecting takes, there would be no connection ever.
#[tokio::test(flavor = "local")]
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
            until(|| !is_connecting(&pool)).await;
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

/// Sweeps `times`, or until nothing is left; says each time whether something is.
fn sweep(pool: &Pool<Outbound>, times: usize) -> Vec<bool> {
    let sweeps = (0..times).map(|_| sweep::once(&pool.shared));
    sweeps.take_while(|is_left| *is_left).collect()
}

/// Whether a connection is being made.
fn is_connecting(pool: &Pool<Outbound>) -> bool {
    let is_connecting = Cell::new(false);
    pool.shared.hosts.borrow_mut().retain(|host| {
        // Whoever makes one has the host, too.
        is_connecting.set(is_connecting.get() || Rc::strong_count(host) > 1);
        true
    });
    is_connecting.get()
}

/// Lets others go on until something is so.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap();
}

/// A cluster with an endpoint at `address`, and the `connectionPool` that `pool` is.
fn served(address: &Address, pool: &str) -> Arc<Served> {
    let mut cluster = Cluster::new(ClusterName::from("cart"));
    cluster.policy.connection_pool = Some(serde_json::from_str(pool).unwrap());
    let endpoint = cluster::Endpoint::new(address_of(address));
    cluster.endpoints.push(endpoint);
    let served = Served::new(Arc::new(cluster), Client::default(), now(), 0);
    Arc::new(served)
}

/// Puts another version of the endpoint in its place.
fn change(served: &Served, change: impl FnOnce(&mut cluster::Endpoint)) {
    let [endpoint] = &served.balancer().endpoints()[..] else {
        panic!("there is one");
    };
    let mut next = cluster::Endpoint::clone(endpoint);
    change(&mut next);
    let next = Change::Insert(next.address.clone(), Arc::new(next));
    served.balancer().apply([next], now());
}

/// The endpoint, as the one that the cluster has now.
fn within(endpoint: Endpoint, served: &Arc<Served>) -> Endpoint {
    let picked = served.pick(&PickRequest::new(now()), || 0).unwrap();
    let target = Target {
        endpoint: Arc::clone(picked.host.endpoint()),
        cluster: picked.cluster,
        breakers: Arc::clone(served.breakers()),
        downstream: None,
    };
    endpoint.with_limits(ConnectionLimits::of(&target, || Some(Arc::clone(served))))
}

fn address_of(address: &Address) -> EndpointAddress {
    match address {
        Address::Ip(address) => EndpointAddress::Ip(*address),
        Address::Unix(path) => EndpointAddress::Unix(path.to_string()),
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
