//! The connections to one endpoint.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use mesh_discovery::circuit_breaker::Permit;

use super::endpoint::Protocol;
use super::error::{BoxError, UpstreamError};
use super::h1::{Answer, Connection, Exchange, Idle};
use super::h2;
use super::limits::{ConnectionLimits, Gate, Life, Slot, max_sweeps};
use super::pool::PoolSettings;
use super::transport::{Established, Way};
use crate::body::Body;

/// The connections to one endpoint, which prove the same.
pub(super) struct Host<B> {
    way: Way,
    settings: PoolSettings,
    idle: Rc<Idle>,
    http2: h2::Connections<B>,
    gate: Option<Rc<Gate>>,
}

impl<B> Host<B> {
    /// Stays within `limits`.
    pub(super) fn with_limits(self, limits: ConnectionLimits) -> Self {
        let gate = Some(Gate::new(limits));
        Self { gate, ..self }
    }

    /// Whether it stays within these limits and no others.
    pub(super) fn is_limited_by(&self, limits: &ConnectionLimits) -> bool {
        let gate = self.gate.as_ref();
        gate.is_some_and(|gate| gate.limits().are_same(limits))
    }
}

impl<B> Host<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(way: Way, settings: PoolSettings) -> Self {
        Self {
            way,
            settings,
            idle: Rc::default(),
            http2: h2::Connections::default(),
            gate: None,
        }
    }

    /// Sends `request` on an idle connection, or on a new one, which is waited for as long as
    /// `timeout` or else the settings say.
    pub(super) fn send_http1(
        self: Rc<Self>,
        request: Request<B>,
        timeout: Option<Duration>,
    ) -> Http1Sending<B> {
        let exchange = Exchange::new(request, self.settings.max_response_headers);
        let mut sending = Http1Sending {
            exchange,
            carrier: Carrier::None,
            is_new: false,
            timeout,
            pending: None,
            host: self,
        };
        sending.find_carrier();
        sending
    }

    /// Sends `request` on a connection with a stream to spare, or on a new one; see
    /// [`send_http1`](Self::send_http1).
    pub(super) async fn send_http2(
        self: Rc<Self>,
        mut request: Request<B>,
        timeout: Option<Duration>,
    ) -> Result<Response<Body>, UpstreamError> {
        loop {
            let dial = || Rc::clone(&self).connect(Protocol::Http2, timeout);
            let gate = self.gate.as_ref();
            let (connection, is_new) = self.http2.checkout(dial, &self.settings, gate).await?;
            let mut failed = match connection.send(request).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            match failed.take_message() {
                Some(unsent) if !is_new => request = unsent,
                _ => return Err(self.observed(failed.into_error().into())),
            }
        }
    }

    async fn connect(
        self: Rc<Self>,
        protocol: Protocol,
        timeout: Option<Duration>,
    ) -> Result<Established, UpstreamError> {
        let timeout = timeout.unwrap_or(self.settings.connect_timeout);
        let established = self.way.connect(protocol.into(), timeout).await?;
        if let Some(gate) = &self.gate {
            let prepared = gate.limits().prepare(&established.transport);
            prepared.map_err(UpstreamError::Connect)?;
        }
        Ok(established)
    }

    /// Tells who observes the TLS of an error of it.
    fn observed(&self, error: UpstreamError) -> UpstreamError {
        if let Some(tls) = &self.way.tls {
            tls.observe(&error);
        }
        error
    }

    /// Drops what is closed, or was not used for too long, where this is called once in each
    /// `interval`; false if nothing is left.
    pub(super) fn sweep(&self, interval: Duration) -> bool {
        let idle = match &self.gate {
            Some(gate) => gate.settings().idle_timeout,
            None => Some(self.settings.idle_timeout),
        };
        let max_sweeps = max_sweeps(idle, interval);
        // Both are swept, whatever the other has left.
        self.idle.sweep(max_sweeps) | self.http2.sweep(max_sweeps)
    }
}

/// A request on its way by HTTP/1.1.
pub(super) struct Http1Sending<B> {
    exchange: Exchange<B>,
    carrier: Carrier,
    // Whether the carrier was established for this request.
    is_new: bool,
    timeout: Option<Duration>,
    // Counts the request while it has no connection, where that is limited.
    pending: Option<Permit>,
    host: Rc<Host<B>>,
}

/// What carries a request.
enum Carrier {
    None,
    Refused,
    /// Until there may be one.
    Waiting(Pin<Box<dyn Future<Output = ()>>>),
    Connecting(Connecting),
    Connected(Box<Connection>),
}

/// A connection that is being made, by the right of a slot where that is limited.
struct Connecting {
    connecting: Pin<Box<dyn Future<Output = Result<Established, UpstreamError>>>>,
    slot: Option<Slot>,
}

impl<B> Http1Sending<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Takes an idle connection, or else a new one, or waits until it may.
    fn find_carrier(&mut self) {
        if let Some(connection) = self.host.idle.checkout() {
            return self.begin(connection);
        }
        self.carrier = match &self.host.gate {
            None => self.connect(None),
            Some(gate) => {
                self.pending = self.pending.take().or_else(|| gate.queue());
                if self.pending.is_none() {
                    Carrier::Refused
                } else if let Some(slot) = gate.slot() {
                    self.connect(Some(slot))
                } else {
                    Carrier::Waiting(Box::pin(Rc::clone(gate).freed()))
                }
            }
        };
    }

    fn connect(&self, slot: Option<Slot>) -> Carrier {
        let connecting = Rc::clone(&self.host).connect(Protocol::Http1, self.timeout);
        let connecting = Box::pin(connecting);
        Carrier::Connecting(Connecting { connecting, slot })
    }

    fn begin(&mut self, mut connection: Box<Connection>) {
        self.pending = None;
        self.exchange.begin(&mut connection);
        self.carrier = Carrier::Connected(connection);
    }

    fn may_be_repeated(&self) -> bool {
        !self.is_new && self.exchange.is_unsent()
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, UpstreamError>> {
        loop {
            let head = match &mut self.carrier {
                Carrier::None => return Poll::Pending,
                Carrier::Refused => return Poll::Ready(Err(UpstreamError::Overflow)),
                Carrier::Waiting(freed) => {
                    ready!(freed.as_mut().poll(cx));
                    self.find_carrier();
                    continue;
                }
                Carrier::Connecting(Connecting { connecting, slot }) => {
                    let established = ready!(connecting.as_mut().poll(cx))?;
                    let life = slot.take().map(Life::new);
                    self.is_new = true;
                    self.begin(Connection::new(established, life));
                    continue;
                }
                Carrier::Connected(connection) => ready!(self.exchange.poll(connection, cx)),
            };
            let carrier = std::mem::replace(&mut self.carrier, Carrier::None);
            match (head, carrier) {
                (Ok(head), Carrier::Connected(connection)) => {
                    let answer = self.exchange.answer(head, connection, &self.host.idle);
                    return Poll::Ready(Ok(answer));
                }
                // It closed while it was idle.
                (Err(UpstreamError::Terminated(_)), _) if self.may_be_repeated() => {
                    self.find_carrier();
                }
                (Err(error), _) => return Poll::Ready(Err(self.host.observed(error))),
                (Ok(_), _) => return Poll::Pending,
            }
        }
    }
}
