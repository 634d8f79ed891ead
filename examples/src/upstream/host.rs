//! The connections to one endpoint.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use mesh_discovery::circuit_breaker::Permit;
use tokio::sync::oneshot;

use super::attempts::{Attempts, Claim};
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
    attempts: Attempts,
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

    /// A request is about to be sent, to the endpoint of `limits`.
    pub(super) fn follow(&self, limits: &ConnectionLimits) {
        if let Some(gate) = &self.gate {
            gate.follow(limits);
        }
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
            attempts: Attempts::default(),
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
            let begin = |slot, request| Rc::clone(&self).dial(timeout, (slot, request));
            let gate = self.gate.as_ref();
            let (stream, is_new) = self.http2.checkout(begin, gate).await?;
            let mut failed = match stream.send(request).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            match failed.take_message() {
                Some(unsent) if !is_new => request = unsent,
                _ => return Err(self.observed(failed.into_error().into())),
            }
        }
    }

    /// Makes an HTTP/2 connection on a task of its own, by the right of a slot where that is limited, and
    /// tells the request that began it.
    fn dial(
        self: Rc<Self>,
        timeout: Option<Duration>,
        (slot, request): (Option<Slot>, oneshot::Sender<h2::Dialed<B>>),
    ) {
        let timeout = timeout.unwrap_or(self.settings.connect_timeout);
        tokio::task::spawn_local(async move {
            let life = slot.map(Life::new);
            let dialed = match self.connect(Protocol::Http2, timeout).await {
                Ok(established) => {
                    let shaking = h2::Connection::handshake(established, &self.settings, life);
                    let shaken = tokio::time::timeout(timeout, shaking).await;
                    shaken.unwrap_or(Err(UpstreamError::ConnectTimeout))
                }
                Err(error) => Err(error),
            };
            self.http2.dialed(dialed, request);
        });
    }

    /// Makes an HTTP/1.1 connection on a task of its own, by the right of a slot where that is limited.
    fn begin_http1(self: &Rc<Self>, timeout: Option<Duration>, slot: Option<Slot>) -> Claim {
        let timeout = timeout.unwrap_or(self.settings.connect_timeout);
        let (attempt, claim) = self.attempts.begin(&self.idle);
        let host = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let established = host.connect(Protocol::Http1, timeout).await;
            let life = slot.map(Life::new);
            let made = established.map(|established| Connection::new(established, life));
            host.attempts.end(&attempt, made, &host.idle);
        });
        claim
    }

    async fn connect(
        &self,
        protocol: Protocol,
        timeout: Duration,
    ) -> Result<Established, UpstreamError> {
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

    /// Drops what is closed, was not used for too long, where this is called once in each `interval`, or
    /// leads to an endpoint that has gone; false if nothing is left.
    pub(super) fn sweep(&self, interval: Duration) -> bool {
        let idle = match &self.gate {
            Some(gate) => gate.settings().idle_timeout,
            None => Some(self.settings.idle_timeout),
        };
        let gate = self.gate.as_ref();
        let max_sweeps = match gate.is_some_and(|gate| gate.has_endpoint_gone()) {
            true => 0,
            false => max_sweeps(idle, interval),
        };
        // Both are swept, whatever the other has left.
        let is_kept = self.idle.sweep(max_sweeps) | self.http2.sweep(max_sweeps);
        // Connections in use count, and go back to where they came from.
        let is_in_use =
            gate.is_some_and(|gate| gate.has_open()) || Rc::strong_count(&self.idle) > 1;
        is_kept || is_in_use
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
    /// By a task of its own.
    Connecting(Claim),
    Connected(Box<Connection>),
}

impl<B> Http1Sending<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Takes an idle connection, or else one that is being made for nobody, or a new one, or waits until it
    /// may.
    fn find_carrier(&mut self) {
        if let Some(connection) = self.host.idle.checkout() {
            return self.begin(connection);
        }
        let Host {
            idle,
            attempts,
            gate,
            ..
        } = &*self.host;
        if let Some(gate) = gate {
            self.pending = self.pending.take().or_else(|| gate.queue());
            if self.pending.is_none() {
                self.carrier = Carrier::Refused;
                return;
            }
        }
        self.carrier = match (attempts.claim(idle), gate) {
            (Some(claim), _) => Carrier::Connecting(claim),
            (None, None) => Carrier::Connecting(self.host.begin_http1(self.timeout, None)),
            (None, Some(gate)) => match gate.slot() {
                Some(slot) => Carrier::Connecting(self.host.begin_http1(self.timeout, Some(slot))),
                None => Carrier::Waiting(Box::pin(Rc::clone(gate).freed(Protocol::Http1))),
            },
        };
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
                Carrier::Connecting(claim) => {
                    let connection = ready!(Pin::new(claim).poll(cx))?;
                    self.is_new = true;
                    self.begin(connection);
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
