//! An endpoint in memory.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use mesh_core::model::cluster::Cluster;
use mesh_core::service::{ClusterName, Protocol};
use tokio::io::DuplexStream;
use tokio::sync::{Notify, Semaphore};
use tower::{Service, ServiceExt, service_fn};

use super::{Body, Pools};
use crate::balance::testing::endpoint;
use crate::circuit_breaker::{Breakers, Limits, Resource};
use crate::service::{NewService, Target};

/// How many requests are answered.
const GATE: usize = 1000;

/// What goes wrong with a connection.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// It is closed when a request has come.
    Close,
    /// It is never made.
    Hang,
    /// It is made to somebody who reads nothing.
    Mute,
    /// It is refused.
    Refuse,
    /// It takes time to be made.
    Slow(Duration),
}

#[derive(Default)]
pub(super) struct Server {
    faults: VecDeque<Fault>,
    /// How many HTTP/2 requests at a time it takes on a connection.
    pub(super) max_streams: Option<u32>,
    /// Told to send nothing more on the connections that there are.
    pub(super) silence: Arc<Notify>,
    running: Vec<tokio::task::JoinHandle<()>>,
}

impl Server {
    pub(super) fn close(&mut self) {
        self.running.drain(..).for_each(|task| task.abort());
    }
}

/// An endpoint in memory, and the connections to it.
pub(super) struct Mesh<S> {
    pub(super) service: S,
    pub(super) target: Target,
    pub(super) server: Arc<Mutex<Server>>,
    made: Arc<AtomicUsize>,
    /// Requests are answered as permits are there.
    pub(super) gate: Arc<Semaphore>,
    connected: Box<dyn Fn(&Target) -> Connected + Send + Sync>,
}

/// A service that is ready while there is a connection.
pub(super) type Connected =
    tower::util::BoxCloneService<Request<Full<Bytes>>, Response<Body>, Infallible>;

pub(super) type Endpoint =
    tower::util::BoxCloneService<(Target, Request<Full<Bytes>>), Response<Body>, Infallible>;

impl Mesh<Endpoint> {
    pub(super) fn new(pool: &str, protocol: Protocol) -> Self {
        let mut cluster = Cluster::new(ClusterName::from("cart"));
        cluster.protocol = protocol;
        cluster.policy.connection_pool = Some(serde_json::from_str(pool).unwrap());
        let limits = Limits::compile(cluster.policy.connection_pool.as_deref());
        let target = Target {
            endpoint: Arc::new(endpoint(1)),
            cluster: Arc::new(cluster),
            breakers: Arc::new(Breakers::new(limits)),
            downstream: None,
        };
        let server = Arc::new(Mutex::new(Server::default()));
        let made = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Semaphore::new(GATE));
        let connector = {
            let (server, made, gate) = (server.clone(), made.clone(), gate.clone());
            service_fn(move |_: Target| connect(server.clone(), made.clone(), gate.clone()))
        };
        let pools = Pools::new(connector).with_random(|| u64::MAX);
        let connected = {
            let pools = pools.clone();
            move |target: &Target| Connected::new(pools.new_service(target).connected())
        };
        let service = service_fn(move |(target, request): (Target, Request<Full<Bytes>>)| {
            pools.new_service(&target).call(request)
        });
        Self {
            service: Endpoint::new(service),
            target,
            server,
            made,
            gate,
            connected: Box::new(connected),
        }
    }

    pub(super) fn send(&self) -> impl Future<Output = Response<Body>> + use<> {
        self.send_to(&self.target)
    }

    pub(super) fn send_to(&self, target: &Target) -> impl Future<Output = Response<Body>> + use<> {
        let sending = self.service.clone().oneshot((target.clone(), get()));
        async { sending.await.unwrap() }
    }

    /// The next connections go wrong.
    pub(super) fn faults(&self, fault: Fault, count: usize) {
        let mut server = self.server.lock().unwrap();
        server.faults.extend(std::iter::repeat_n(fault, count));
    }

    /// Nothing goes wrong with connections any more.
    pub(super) fn recover(&self) {
        self.server.lock().unwrap().faults.clear();
    }

    pub(super) fn faults_left(&self) -> usize {
        self.server.lock().unwrap().faults.len()
    }

    /// The text that the endpoint answers.
    pub(super) async fn get(&self) -> Bytes {
        let response = text(self.send().await).await;
        // Time goes on when all tasks wait: the connection has learned that the exchange is over.
        tokio::time::sleep(Duration::from_millis(1)).await;
        response
    }

    pub(super) fn connections(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }

    /// How many requests have been answered.
    pub(super) fn served(&self) -> usize {
        GATE - self.gate.available_permits()
    }

    pub(super) fn connected(&self) -> Connected {
        (self.connected)(&self.target)
    }

    pub(super) fn open(&self) -> u32 {
        self.target.breakers.used(Resource::Connections)
    }
}

pub(super) fn get() -> Request<Full<Bytes>> {
    let request = Request::get("http://cart.example/7");
    request.body(Full::default()).unwrap()
}

async fn connect(
    server: Arc<Mutex<Server>>,
    made: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
) -> io::Result<DuplexStream> {
    let (fault, max_streams, silence) = {
        let mut server = server.lock().unwrap();
        let fault = server.faults.pop_front();
        (fault, server.max_streams, Arc::clone(&server.silence))
    };
    match fault {
        Some(Fault::Refuse) => return Err(io::ErrorKind::ConnectionRefused.into()),
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::Close | Fault::Mute) | None => {}
    }
    let fault = fault.filter(|fault| !matches!(fault, Fault::Slow(_)));
    made.fetch_add(1, Ordering::Relaxed);
    let buffer = if fault == Some(Fault::Mute) { 1 } else { 1024 };
    let (ours, theirs) = tokio::io::duplex(buffer);
    let running = tokio::spawn(async move {
        if fault == Some(Fault::Mute) {
            return std::future::pending().await;
        }
        let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
            let gate = gate.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                match fault {
                    Some(_) => Err(io::Error::from(io::ErrorKind::Other)),
                    None => Ok(answer(request)),
                }
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http2().max_concurrent_streams(max_streams);
        let io = TokioIo::new(theirs);
        let serving = builder.serve_connection_with_upgrades(io, answer);
        tokio::pin!(serving);
        tokio::select! {
            _ = &mut serving => {}
            () = silence.notified() => std::future::pending().await,
        }
    });
    server.lock().unwrap().running.push(running);
    Ok(ours)
}

/// Greets, or switches to another protocol, in which it says nothing.
fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    if !request.headers().contains_key(UPGRADE) {
        let hello = Bytes::from("hello");
        return Response::builder()
            .header("x-version", format!("{:?}", request.version()))
            .body(Full::new(hello))
            .unwrap();
    }
    tokio::spawn(async move {
        let _switched = hyper::upgrade::on(request).await;
        std::future::pending::<()>().await;
    });
    let switching = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
    switching.body(Full::default()).unwrap()
}

pub(super) async fn text(response: Response<Body>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}
