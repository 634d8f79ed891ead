use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mesh_core::service::ClusterName;
use mesh_discovery::circuit_breaker;
use tokio::net::TcpListener;
use tokio::sync::Barrier;
use tokio::task::spawn_local;

use super::*;
use crate::local::LocalExecutor;
use crate::upstream::{self, Pool};

#[test]
fn a_gate_opens_for_as_many_connections_as_there_may_be_and_for_the_first() {
    let limits = limits(r#"{"tcp": {"maxConnections": 2}}"#);
    let gate = Gate::new(limits.clone());
    let first = gate.slot().unwrap();
    let _second = gate.slot().unwrap();
    assert!(gate.slot().is_none());
    let other = Gate::new(limits);
    let _beyond = other.slot().unwrap();
    assert!(other.slot().is_none(), "it has one");
    drop(first);
    assert!(gate.slot().is_none(), "three were open");
}

#[test]
fn no_more_requests_wait_than_may() {
    let gate = Gate::new(limits(r#"{"http": {"http1MaxPendingRequests": 1}}"#));
    let waiting = gate.queue().unwrap();
    assert!(gate.queue().is_none());
    drop(waiting);
    assert!(gate.queue().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_over_after_its_requests_or_its_time() {
    let life = |pool| {
        let gate = Gate::new(limits(pool));
        Life::new(gate.slot().unwrap())
    };
    let short = life(r#"{"http": {"maxRequestsPerConnection": 2}}"#);
    short.begin();
    assert!(!short.is_over());
    short.begin();
    assert!(short.is_over());

    let old = life(r#"{"tcp": {"maxConnectionDuration": "5s"}}"#);
    old.begin();
    tokio::time::advance(Duration::from_secs(4)).await;
    assert!(!old.is_over());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(old.is_over());
}

#[tokio::test]
async fn who_waits_for_a_connection_is_told_when_one_is_closed() {
    let gate = Gate::new(limits(r#"{"tcp": {"maxConnections": 1}}"#));
    let life = Life::new(gate.slot().unwrap());
    let wait = |protocol| {
        let mut waiting = tokio_test::task::spawn(Rc::clone(&gate).freed(protocol));
        assert!(waiting.poll().is_pending());
        waiting
    };
    let (mut http2, mut http1) = (wait(Protocol::Http2), wait(Protocol::Http1));
    life.notify(Protocol::Http1);
    assert!(!http2.is_woken(), "he has no use for it");
    assert!(http1.poll().is_ready());

    let mut http1 = wait(Protocol::Http1);
    drop(life);
    assert!(http1.poll().is_ready() && http2.poll().is_ready());
    assert!(gate.slot().is_some());
}

#[tokio::test(flavor = "local")]
async fn http2_requests_beyond_the_streams_of_a_connection_go_by_another() {
    for (settings, connections) in [
        ("{}", 1),
        (r#"{"http": {"maxConcurrentStreams": 1}}"#, 2),
        (r#"{"http": {"maxRequestsPerConnection": 1}}"#, 2),
    ] {
        let (address, accepted) = serve_pairs().await;
        let endpoint = upstream::Endpoint::new(address, Protocol::Http2);
        let endpoint = endpoint.with_limits(Some(limits(settings)));
        let pool = Pool::new(upstream::PoolSettings::default());
        let ask = || {
            let request = Request::get("http://a.example/").body(Empty::<Bytes>::new());
            pool.send(&endpoint, request.unwrap())
        };
        let (first, second) = tokio::join!(ask(), ask());
        assert_eq!((first.unwrap().status(), second.unwrap().status()), OK);
        assert_eq!(accepted.get(), connections, "{settings}");
    }
}

const OK: (StatusCode, StatusCode) = (StatusCode::OK, StatusCode::OK);

/// Serves HTTP/2, and answers a request when there is another one. Counts connections.
async fn serve_pairs() -> (SocketAddr, Rc<Cell<usize>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Rc::new(Cell::new(0));
    let (counted, both) = (Rc::clone(&accepted), Rc::new(Barrier::new(2)));
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.set(counted.get() + 1);
            let both = Rc::clone(&both);
            let answer = service_fn(move |_: Request<Incoming>| answer(Rc::clone(&both)));
            let server = http2::Builder::new(LocalExecutor);
            spawn_local(server.serve_connection(TokioIo::new(stream), answer));
        }
    });
    (address, accepted)
}

async fn answer(both: Rc<Barrier>) -> Result<Response<Empty<Bytes>>, Infallible> {
    both.wait().await;
    Ok(Response::new(Empty::new()))
}

#[test]
fn unused_connections_are_kept_as_long_as_is_written() {
    let second = Duration::from_secs(1);
    let cases = [
        (Some(Duration::from_millis(1)), 1),
        (Some(Duration::from_secs(7)), 7),
        (None, u32::MAX),
    ];
    for (idle, expected) in cases {
        assert_eq!(max_sweeps(idle, second), expected, "{idle:?}");
    }
}

fn limits(pool: &str) -> ConnectionLimits {
    let mut cluster = Cluster::new(ClusterName::from("cart"));
    cluster.policy.connection_pool = Some(serde_json::from_str(pool).unwrap());
    let pool = cluster.policy.connection_pool.as_deref();
    let limits = circuit_breaker::Limits::compile(pool);
    ConnectionLimits {
        shared: Rc::new(Shared {
            settings: PoolSettings::compile(&cluster),
            breakers: Arc::new(Breakers::new(limits)),
            member: Member {
                endpoint: Weak::new(),
                address: EndpointAddress::Ip(([127, 0, 0, 1], 80).into()),
                upstream: Weak::new(),
            },
            cluster: Arc::new(cluster),
        }),
    }
}
