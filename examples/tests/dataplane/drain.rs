//! Listeners and workers that come to their end.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use examples::body::Body;
use examples::serve::{
    Admission, Admitted, Connection, Ending, FilterChains, Inspected, Limits, Refused, Workers,
};
use http::{Request, Response};
use hyper::body::Incoming;
use mesh_core::model::listener::{
    FilterChain, FilterChainMatch, Listener, NetworkFilter, TcpProxy, Transport,
};
use tower::service_fn;

use crate::frames::{DATA, Frames, GOAWAY, HEADERS};
use crate::scene::{Gateway, PATIENCE, Peer, Upstream};

#[test]
fn draining_finishes_what_is_in_flight() {
    let (drain, draining) = mpsc::channel();
    let (idle_closed, is_closed) = mpsc::channel();
    let upstream = Upstream::start(move |mut connection| {
        connection.head();
        drain.send(()).unwrap();
        is_closed.recv_timeout(PATIENCE).unwrap();
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone");
    });
    let gateway = Gateway::default().before(&upstream);
    let address = gateway.address;
    let mut idle = Peer::connect(address);
    let mut client = Peer::connect(address);
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    draining.recv_timeout(PATIENCE).unwrap();
    let idle = thread::spawn(move || {
        let rest = idle.rest();
        idle_closed.send(()).unwrap();
        rest
    });

    assert!(
        gateway.workers.drain(PATIENCE),
        "all connections are closed"
    );

    let answer = client.rest();
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(answer.ends_with("done"), "{answer}");
    assert_eq!(idle.join().unwrap(), "");
    assert!(TcpStream::connect(address).is_err(), "nobody listens");
    upstream.finish();
}

/// Istio waits for the first bytes for ever where both TLS and plaintext are taken.
#[test]
fn draining_ends_a_connection_that_has_not_said_what_it_speaks() {
    let chain = |transport| FilterChain {
        matches: FilterChainMatch {
            transport: Some(transport),
            ..FilterChainMatch::default()
        },
        ..FilterChain::new(NetworkFilter::Tcp(TcpProxy::to([])))
    };
    let both = [Transport::Tls, Transport::Plaintext].map(chain);
    let listener = Listener::new("virtualInbound", 15006, both);
    let chains = FilterChains::compile(&listener, [Ending::Plain, Ending::Plain]).unwrap();
    let chains = Arc::new(chains);
    let (told, admitted) = mpsc::channel();
    let make = move || {
        let both = Both {
            chains: Arc::clone(&chains),
            told: told.clone(),
        };
        (both, |_: &Connection| service_fn(nothing))
    };
    let workers = Workers::start_with(1, Limits::default(), make).unwrap();
    let address = workers.listen(0, ([127, 0, 0, 1], 0).into()).unwrap();
    let _silent = TcpStream::connect(address).unwrap();
    admitted.recv_timeout(PATIENCE).unwrap();
    assert!(workers.drain(PATIENCE), "it is closed");
}

fn nothing(_: Request<Incoming>) -> Ready<Result<Response<Body>, Infallible>> {
    ready(Ok(Response::default()))
}

/// Takes TLS and plaintext, and tells of each connection.
struct Both {
    chains: Arc<FilterChains>,
    told: Sender<()>,
}

impl Admission for Both {
    fn admit(
        &self,
        connection: &Connection,
        _: &tokio::net::TcpStream,
    ) -> Result<Admitted, Refused> {
        self.told.send(()).unwrap();
        Ok(Admitted {
            listener: connection.listener,
            destination: connection.local,
            proxy_protocol: false,
            chains: Some(Arc::clone(&self.chains)),
        })
    }

    fn forward(
        &self,
        _: Connection,
        _: Arc<FilterChain>,
        _: Inspected,
    ) -> impl Future<Output = ()> + 'static {
        ready(())
    }

    fn refused(&self, _: &Connection, _: &Refused) {}
}

#[test]
fn draining_tells_an_http2_client_to_go_away_and_waits_for_its_answer() {
    let (upstream, answer) = late();
    let running = Gateway::default().before(&upstream);
    let mut client = Frames::connect(running.address);
    client.get();
    answer.is_due();
    let draining = thread::spawn(move || running.workers.drain(PATIENCE));
    is_let_go(&mut client, &answer);
    assert!(draining.join().unwrap(), "all connections are closed");
    upstream.finish();
}

#[test]
fn an_http2_client_that_asks_nothing_more_is_told_to_go_away_and_gets_its_answer() {
    let (upstream, answer) = late();
    let limits = Limits {
        idle_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let gateway = Gateway {
        limits,
        ..Gateway::default()
    };
    let running = gateway.before(&upstream);
    let mut client = Frames::connect(running.address);
    client.get();
    answer.is_due();
    is_let_go(&mut client, &answer);
    upstream.finish();
}

/// The connection of a client ends in good order: it is told first, then its request is answered.
fn is_let_go(client: &mut Frames, answer: &Answer) {
    let told = client.next().map(|frame| frame.kind);
    assert_eq!(told, Some(GOAWAY), "and not the end");
    answer.give();
    let mut body = Vec::new();
    let mut kinds = Vec::new();
    while let Some(frame) = client.next() {
        // It is told which was the last stream, too.
        if frame.kind != GOAWAY {
            kinds.push(frame.kind);
        }
        if frame.kind == DATA {
            body.extend(frame.payload);
        }
    }
    assert_eq!(kinds.first(), Some(&HEADERS), "{kinds:?}");
    assert_eq!(body, b"done");
}

/// An upstream that answers `done` when it is let to.
fn late() -> (Upstream<()>, Answer) {
    let (asked, due) = mpsc::channel();
    let (given, gives) = mpsc::channel();
    let upstream = Upstream::start(move |mut connection| {
        connection.head();
        asked.send(()).unwrap();
        gives.recv_timeout(PATIENCE).unwrap();
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone");
    });
    (upstream, Answer { due, given })
}

struct Answer {
    due: mpsc::Receiver<()>,
    given: Sender<()>,
}

impl Answer {
    /// Waits until it is asked for.
    fn is_due(&self) {
        self.due.recv_timeout(PATIENCE).unwrap();
    }

    fn give(&self) {
        self.given.send(()).unwrap();
    }
}

#[test]
fn draining_ends_at_its_deadline() {
    let (drain, draining) = mpsc::channel();
    let upstream = Upstream::start(move |mut connection| {
        connection.head();
        drain.send(()).unwrap();
        // Never answers, and ends with the gateway's connection.
        connection.rest();
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    draining.recv_timeout(PATIENCE).unwrap();
    assert!(!gateway.workers.drain(Duration::from_millis(10)));
    upstream.finish();
}

#[test]
fn connections_outlive_their_listener() {
    let upstream = Upstream::start(|mut connection| {
        connection.head();
        connection.write("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        connection.head();
        connection.write("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let gateway = Gateway::default().before(&upstream);
    let mut client = Peer::connect(gateway.address);
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    gateway.workers.unlisten(0);
    client.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(client.head().starts_with("HTTP/1.1 204"));
    upstream.finish();
}
