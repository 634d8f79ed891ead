use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use mesh_core::model::cluster::EndpointAddress;
use mesh_core::reply::Caller;
use mesh_core::service::ClusterName;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use super::body::Body;
use super::connection::BoxError;
use super::failure::Failure;
use super::host::{Host, Lease};
use super::settings::PoolSettings;
use super::wire;
use crate::service::{NewService, Target};

/// Endpoints from which on unused ones are forgotten when another one comes.
const SWEEP: usize = 64;

/// The connections of a client. Cheap to clone; clones share them.
///
/// `C` makes connections, `B` is the body of the requests. See the [module docs](super) for an
/// example.
pub struct Pools<C, B> {
    connector: C,
    hosts: Arc<Mutex<Hosts<B>>>,
}

/// The pools in use, by cluster, address and whether it is HTTP/2.
type Hosts<B> = HashMap<(ClusterName, EndpointAddress, bool), Arc<Host<B>>>;

impl<C, B> Pools<C, B> {
    /// No connections. Those to come are made by `connector`, a service from a [`Target`] to a byte
    /// stream.
    pub fn new(connector: C) -> Self {
        Self {
            connector,
            hosts: Arc::default(),
        }
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
/// responses.
pub struct EndpointService<C, B> {
    pools: Pools<C, B>,
    target: Target,
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
        let settings = PoolSettings::compile(&target.cluster);
        let is_http2 = settings.is_http2(request.version());
        match is_http2 {
            true => wire::http2(&mut request),
            false => wire::http1(&mut request),
        }
        let host = self.pools.host(&target, is_http2);
        let mut connector = self.pools.connector.clone();
        Box::pin(async move {
            let sending = send(&host, &mut connector, &target, &settings, request);
            Ok(sending
                .await
                .unwrap_or_else(|failure| failure.answer(caller)))
        })
    }
}

impl<C, B> Pools<C, B> {
    fn host(&self, target: &Target, is_http2: bool) -> Arc<Host<B>> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let name = target.cluster.name.clone();
        let key = (name, target.endpoint.address.clone(), is_http2);
        if let Some(host) = hosts.get(&key) {
            return Arc::clone(host);
        }
        if hosts.len() >= SWEEP && hosts.len().is_power_of_two() {
            hosts.retain(|_, host| Arc::strong_count(host) > 1 || !host.is_unused());
        }
        let host = Arc::new(Host::new(is_http2));
        hosts.insert(key, Arc::clone(&host));
        host
    }
}

/// Sends a request on a connection, and on another one if it was not written.
async fn send<C, B>(
    host: &Arc<Host<B>>,
    connector: &mut C,
    target: &Target,
    settings: &PoolSettings,
    mut request: Request<B>,
) -> Result<Response<Body>, Failure>
where
    C: Service<Target>,
    C::Response: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    loop {
        let mut lease: Lease<B> = host.connection(connector, target, settings).await?;
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

fn received<B>(response: Response<Incoming>, lease: Lease<B>) -> Response<Body>
where
    B: HttpBody + Send + 'static,
{
    let lease = Mutex::new(lease);
    response.map(|incoming| Body::incoming(incoming, lease))
}

/// What an error means for a request that may have been sent.
fn failure(error: &hyper::Error, is_open: bool) -> Failure {
    if error.is_parse() {
        Failure::Protocol
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
            hosts: Arc::clone(&self.hosts),
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
