//! A gateway with its client and its upstream, who do what the test says.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use examples::body::Body;
use examples::headers::{HeaderPolicy, HeaderPolicyLayer, Scheme, router};
use examples::serve::{Connection, Limits, Workers};
use examples::upstream::{Endpoint, Pool, PoolSettings, Protocol};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::Instant;
use tower::{Layer, service_fn};

/// Long enough for a slow machine, short enough for a test that has already failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The data plane with one upstream and no routes.
pub(crate) struct Gateway {
    pub(crate) policy: HeaderPolicy,
    pub(crate) limits: Limits,
    pub(crate) protocol: Protocol,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            policy: HeaderPolicy::default(),
            limits: Limits::default(),
            protocol: Protocol::Http1,
        }
    }
}

/// A gateway that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) workers: Workers,
    pub(crate) address: SocketAddr,
}

impl Gateway {
    pub(crate) fn before<T>(self, upstream: &Upstream<T>) -> Running {
        self.before_address(upstream.address)
    }

    pub(crate) fn before_address(self, upstream: SocketAddr) -> Running {
        let (policy, protocol) = (self.policy, self.protocol);
        let make = move || {
            let pool = Pool::new(PoolSettings::default());
            let policy = Rc::new(policy.clone());
            let endpoint = Endpoint::new(upstream, protocol);
            move |connection: &Connection| {
                let (pool, endpoint) = (pool.clone(), endpoint.clone());
                let forward = service_fn(move |request| forward(&pool, &endpoint, request));
                let peer = connection.peer.ip();
                HeaderPolicyLayer::new(Rc::clone(&policy), peer, Scheme::Http).layer(forward)
            }
        };
        let workers = Workers::start(2, self.limits, make).unwrap();
        let address = workers.listen(0, ([127, 0, 0, 1], 0).into()).unwrap();
        Running { workers, address }
    }
}

/// What a gateway with routes does once it has chosen an endpoint.
fn forward(
    pool: &Pool<Incoming>,
    endpoint: &Endpoint,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + use<> {
    router::set_attempt_count(request.headers_mut(), 1);
    let sent = Instant::now();
    let response = pool.send(endpoint, request);
    async move {
        let mut response = match response.await {
            Ok(response) => response,
            Err(error) => return Ok(error.to_response()),
        };
        router::set_upstream_service_time(response.headers_mut(), sent.elapsed());
        Ok(response)
    }
}

/// An upstream of which the test says what it does on its first connection.
pub(crate) struct Upstream<T> {
    pub(crate) address: SocketAddr,
    script: thread::JoinHandle<T>,
}

impl<T> Upstream<T>
where
    T: Send + 'static,
{
    pub(crate) fn start(script: impl FnOnce(Peer) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let script = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            script(Peer::new(stream))
        });
        Self { address, script }
    }

    pub(crate) fn finish(self) -> T {
        self.script.join().unwrap()
    }
}

/// One end of a connection that reads and writes what the test says.
pub(crate) struct Peer {
    stream: TcpStream,
}

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push_str(&self.exactly(1));
        }
        head
    }

    pub(crate) fn exactly(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    pub(crate) fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        // A connection may be reset after the answer, when something was not read.
        let _ = self.stream.read_to_end(&mut bytes);
        String::from_utf8(bytes).unwrap()
    }
}
