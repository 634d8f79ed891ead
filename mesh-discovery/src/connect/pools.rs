use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use mesh_core::model::cluster::EndpointAddress;
use mesh_core::reply::Caller;
use mesh_core::service::ClusterName;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use super::attempt::Attempt;
use super::body::Body;
use super::connected::ConnectedService;
use super::connection::BoxError;
use super::failure::Failure;
use super::host::{Compiled, Host};
use super::lease::Lease;
use super::refusal::{is_of_request, is_refused};
use super::settings::HttpVersion;
use super::wire;
use crate::service::{Downstream, NewService, Random, Target};

/// Endpoints from which on unused ones are forgotten when another one comes.
const SWEEP: usize = 64;

/// The connections of a client. Cheap to clone; clones share them.
///
/// Idle connections are closed after their timeout, or within ten seconds after the [`Target`]'s endpoint
/// was dropped by all who had it, as by a balancer when it has gone.
///
/// A connection that goes on in another protocol (`101`, or a `CONNECT` that is accepted) counts as a
/// connection, and its request as one, until what [`hyper::upgrade::on`] gave is dropped. Through HTTP/2
/// the request is over with its response.
///
/// `C` makes connections, `B` is the body of the requests. See the [module docs](super) for an
/// example.
pub struct Pools<C, B> {
    pub(super) connector: C,
    random: Random,
    hosts: Arc<RwLock<Hosts<B>>>,
}

type Hosts<B> = HashMap<Key, Arc<Host<B>>>;

/// What connections lead to.
#[derive(Eq, Hash, PartialEq)]
struct Key {
    cluster: ClusterName,
    address: EndpointAddress,
    is_http2: bool,
    downstream: Option<Downstream>,
}

impl<C, B> Pools<C, B> {
    /// No connections. Those to come are made by `connector`, a service from a [`Target`] to a byte
    /// stream.
    pub fn new(connector: C) -> Self {
        Self {
            connector,
            random: Random::default(),
            hosts: Arc::default(),
        }
    }

    /// Spreads attempts to connect by numbers from `random`, which should be uniform over all values.
    /// The default is a generator of the thread that is not fit for secrets.
    #[must_use]
    pub fn with_random(self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let random = Random::new(random);
        Self { random, ..self }
    }
}

impl<C: Clone, B> NewService for Pools<C, B> {
    type Service = EndpointService<C, B>;

    fn new_service(&self, target: &Target) -> Self::Service {
        EndpointService {
            pools: self.clone(),
            target: target.clone(),
        }
    }
}

/// Sends requests to one endpoint.
///
/// It is always ready: whether a connection can be had shows when there is a request. Failures are
/// responses, and those of an endpoint that cannot be reached come at once: so a retry can go to
/// another endpoint, which it could not while this one made the request wait for readiness.
///
/// A request that is given up, as by a timeout, leaves the attempt to connect to a task of its own, which
/// ends at the connect timeout: the connection is for the next request.
pub struct EndpointService<C, B> {
    pub(super) pools: Pools<C, B>,
    pub(super) target: Target,
}

impl<C, B> EndpointService<C, B> {
    /// The same endpoint, as a service that is ready only while there is a connection: for balancers that
    /// send to what is ready.
    pub fn connected(self) -> ConnectedService<C, B> {
        ConnectedService::new(self)
    }
}

impl<C, B> Service<Request<B>> for EndpointService<C, B>
where
    C: Service<Target> + Clone + Send + 'static,
    C::Response: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    C::Error: Send,
    C::Future: Send,
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let caller = Caller::of(request.headers());
        let target = self.target.clone();
        let is_http2 = HttpVersion::of(&target.cluster).is_http2(request.version());
        if !is_http2 {
            wire::http1(&mut request);
        } else if let Err(failure) = wire::http2(&mut request) {
            return Box::pin(ready(Ok(failure.answer(caller))));
        }
        let host = self.pools.host(&target, is_http2);
        let at_hand = host.at_hand(&target);
        let connector = self.pools.connector.clone();
        Box::pin(async move {
            let target = &target;
            let connect = move |attempt: Attempt<B>, compiled| {
                attempt.spawn(connector.clone(), target.clone(), compiled);
            };
            let sending = send(&host, target, at_hand, connect, request).await;
            Ok(sending.unwrap_or_else(|failure| failure.answer(caller)))
        })
    }
}

impl<C, B> Pools<C, B> {
    pub(super) fn host(&self, target: &Target, is_http2: bool) -> Arc<Host<B>> {
        let key = Key {
            cluster: target.cluster.name.clone(),
            address: target.endpoint.address.clone(),
            is_http2,
            downstream: target.downstream,
        };
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = hosts.get(&key) {
            return Arc::clone(host);
        }
        drop(hosts);
        let mut hosts = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= SWEEP && hosts.len().is_power_of_two() {
            hosts.retain(|_, host| Arc::strong_count(host) > 1 || !host.is_unused());
        }
        let new = || Arc::new(Host::new(is_http2, self.random.clone()));
        Arc::clone(hosts.entry(key).or_insert_with(new))
    }
}

/// Sends a request on a connection, and on another one if it was not written.
async fn send<B>(
    host: &Arc<Host<B>>,
    target: &Target,
    mut at_hand: Option<Lease<B>>,
    mut connect: impl FnMut(Attempt<B>, Arc<Compiled>),
    mut request: Request<B>,
) -> Result<Response<Body>, Failure>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    loop {
        let mut lease = match at_hand.take() {
            Some(lease) => lease,
            None => host.connection(target, &mut connect).await?,
        };
        let is_new = lease.is_new;
        let Some(sender) = lease.sender() else {
            return Err(Failure::Terminated);
        };
        match sender.ready().await {
            Ok(()) => {}
            Err(failure) if is_new => return Err(failure),
            Err(_) => continue,
        }
        match sender.send(request).await {
            Ok(response) => return Ok(received(response, lease)),
            Err(mut error) => match error.take_message() {
                Some(unsent) if !is_new => request = unsent,
                _ => {
                    let is_open = lease.is_shared_and_open();
                    return Err(failure(&error.into_error(), is_open));
                }
            },
        }
    }
}

fn received<B>(mut response: Response<Incoming>, lease: Lease<B>) -> Response<Body>
where
    B: HttpBody + Send + 'static,
{
    if response.extensions().get::<OnUpgrade>().is_some()
        && let Some(switched) = lease.switched()
    {
        response.extensions_mut().insert(switched);
    }
    let lease = Mutex::new(lease);
    response.map(|incoming| Body::incoming(incoming, lease))
}

/// What an error means for a request that may have been sent.
fn failure(error: &hyper::Error, is_open: bool) -> Failure {
    if is_refused(error) {
        Failure::Refused
    } else if error.is_parse() {
        Failure::Protocol
    } else if is_of_request(error) {
        Failure::RequestBody
    } else if is_open {
        // The stream has ended, but not the connection.
        Failure::Reset
    } else {
        Failure::Terminated
    }
}

impl<C: Clone, B> Clone for Pools<C, B> {
    fn clone(&self) -> Self {
        Self {
            connector: self.connector.clone(),
            random: self.random.clone(),
            hosts: Arc::clone(&self.hosts),
        }
    }
}

impl<C: Clone, B> Clone for EndpointService<C, B> {
    fn clone(&self) -> Self {
        Self {
            pools: self.pools.clone(),
            target: self.target.clone(),
        }
    }
}

impl<C, B> fmt::Debug for Pools<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").finish_non_exhaustive()
    }
}

impl<C, B> fmt::Debug for EndpointService<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointService")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
