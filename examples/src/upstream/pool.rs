//! Which connection carries a request.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};

use super::endpoint::{Endpoint, Protocol};
use super::error::{BoxError, UpstreamError};
use super::host::{Host, Http1Sending};
use super::hosts::Hosts;
use super::sweep;
use super::tunnel::Tunnel;
use super::wire;
use crate::body::Body;

/// Timeouts and limits of a [`Pool`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PoolSettings {
    /// How long a connection may take to be established. Default: 10 s, as Istio's
    /// `meshConfig.connectTimeout`.
    pub connect_timeout: Duration,
    /// How long an unused HTTP/1.1 connection is kept, to within a second. Default: 1 h, as
    /// Envoy's `common_http_protocol_options.idle_timeout`.
    pub idle_timeout: Duration,
    /// How many header bytes of a response are accepted. Default: 60 KiB, as Envoy's
    /// `max_response_headers_kb`.
    pub max_response_headers: usize,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60 * 60),
            max_response_headers: 60 * 1024,
        }
    }
}

/// The upstream connections of one thread.
///
/// Clones share the connections. `B` is the body of the requests. See the [module docs](super)
/// for an example.
pub struct Pool<B> {
    pub(super) shared: Rc<Shared<B>>,
}

/// What the clones of a pool share.
pub(super) struct Shared<B> {
    pub(super) settings: PoolSettings,
    pub(super) hosts: RefCell<Hosts<B>>,
    // Whether a task looks for closed and forgotten connections.
    pub(super) sweeping: Cell<bool>,
}

impl<B> Pool<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Creates a pool without connections.
    pub fn new(settings: PoolSettings) -> Self {
        let shared = Rc::new(Shared {
            settings,
            hosts: RefCell::default(),
            sweeping: Cell::new(false),
        });
        Self { shared }
    }

    /// Sends `request` to `endpoint` and waits for the head of the response.
    ///
    /// The request's URI and `Host` header are brought into the form that the protocol asks for;
    /// the URI's authority, if it has one, names the host. When client and upstream agree to
    /// switch protocols (RFC 9110 §7.8), the two connections are joined: that always goes by
    /// HTTP/1.1. The host also names the server to TLS, where the settings of that do not.
    ///
    /// # Errors
    ///
    /// - The request names no host that HTTP/2 could be told, where that is spoken.
    /// - No connection, or no TLS, can be established in time.
    /// - The upstream closes the connection, or breaks the protocol, before it has answered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the request: an HTTP/1.1 connection is closed, an HTTP/2
    /// stream is reset. A connection that is being established is there for the next request.
    pub fn send(&self, endpoint: &Endpoint, mut request: Request<B>) -> Sending<B> {
        let tunnel = Tunnel::offered(&mut request);
        let host = self.host(endpoint, &request);
        let timeout = endpoint.connect_timeout;
        if endpoint.protocol == Protocol::Http2 && tunnel.is_none() {
            return Sending(match wire::http2(&mut request) {
                Ok(()) => State::Http2 {
                    sending: Box::pin(host.send_http2(request, timeout)),
                },
                Err(error) => State::Unsent { error: Some(error) },
            });
        }
        wire::http1(&mut request);
        // Boxed, for it passes through all layers, too.
        let sending = Box::new(host.send_http1(request, timeout));
        Sending(State::Http1 { sending, tunnel })
    }

    fn host(&self, endpoint: &Endpoint, request: &Request<B>) -> Rc<Host<B>> {
        let name = endpoint.tls.as_ref().and_then(|_| wire::host(request));
        let settings = self.shared.settings;
        let mut hosts = self.shared.hosts.borrow_mut();
        let (host, is_new) = hosts.get_or_insert(endpoint, name, |way| Host::new(way, settings));
        if is_new {
            sweep::start(&self.shared);
        }
        host
    }
}

impl<B> Clone for Pool<B> {
    fn clone(&self) -> Self {
        let shared = Rc::clone(&self.shared);
        Self { shared }
    }
}

impl<B> fmt::Debug for Pool<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("settings", &self.shared.settings)
            .finish_non_exhaustive()
    }
}

/// A request on its way; the future of [`Pool::send`].
#[must_use = "futures do nothing unless polled"]
pub struct Sending<B>(State<B>);

enum State<B> {
    Http1 {
        sending: Box<Http1Sending<B>>,
        // What the client offered to switch to.
        tunnel: Option<Tunnel>,
    },
    Http2 {
        sending: Pin<Box<dyn Future<Output = Result<Response<Body>, UpstreamError>>>>,
    },
    Unsent {
        error: Option<UpstreamError>,
    },
}

impl<B> Future for Sending<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, UpstreamError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            State::Http1 { sending, tunnel } => {
                let answer = ready!(sending.poll(cx))?;
                Poll::Ready(Tunnel::conclude(tunnel.take(), answer))
            }
            State::Http2 { sending } => sending.as_mut().poll(cx),
            State::Unsent { error } => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
        }
    }
}

impl<B> fmt::Debug for Sending<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").finish_non_exhaustive()
    }
}
