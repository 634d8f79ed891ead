//! HTTP/2 connections, each shared by many requests and driven by a task of its own.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use mesh_core::attributes::UpstreamConnection;
use tokio::sync::{Notify, oneshot};

use super::endpoint::Protocol;
use super::error::{BoxError, UpstreamError};
use super::limits::{Gate, Life, Slot};
use super::pool::PoolSettings;
use super::transport::{Established, Trust};
use crate::body::Body;
use crate::local::LocalExecutor;

/// Flow-control window of a stream: 16 MiB, Envoy's `initial_stream_window_size`.
const STREAM_WINDOW: u32 = 16 * 1024 * 1024;
/// Flow-control window of a connection: 24 MiB, Envoy's `initial_connection_window_size`.
const CONNECTION_WINDOW: u32 = 24 * 1024 * 1024;

/// The HTTP/2 connections to one address.
pub(super) struct Connections<B> {
    open: RefCell<Vec<Connection<B>>>,
    // Whether a connection is being made, which requests that arrive meanwhile share; and who waits for it.
    is_dialing: Cell<bool>,
    dialed: Notify,
    // How often that failed, and how it failed last.
    failures: Cell<u64>,
    failure: RefCell<Option<UpstreamError>>,
}

/// A handle to an HTTP/2 connection.
pub(super) struct Connection<B> {
    sender: http2::SendRequest<B>,
    streams: Rc<Streams>,
}

/// What comes of making a connection: a stream for the request that it was begun for.
pub(super) type Dialed<B> = Result<Reserved<B>, UpstreamError>;

/// A stream of a connection, for one request.
pub(super) struct Reserved<B> {
    sender: http2::SendRequest<B>,
    stream: OpenStream,
}

/// The streams of a connection.
struct Streams {
    open: Cell<usize>,
    // What the upstream allows: SETTINGS_MAX_CONCURRENT_STREAMS.
    max: Cell<usize>,
    idle_sweeps: Cell<u32>,
    /// What responses tell of the connection.
    known: UpstreamConnection,
    trust: Trust,
    // `None` if that has no limits.
    life: Option<Life>,
}

/// A stream in use; it is over when this is dropped.
pub(crate) struct OpenStream(Rc<Streams>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        if let Some(life) = &self.0.life {
            life.notify(Protocol::Http2);
        }
    }
}

impl<B> Connections<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// A stream, and whether its connection was made for this request.
    ///
    /// `begin` makes a connection on a task of its own, by a slot where there is a gate, tells
    /// [`dialed`](Self::dialed) what comes of it, and passes the sender on. It goes on when this is dropped.
    pub(super) async fn checkout(
        &self,
        begin: impl Fn(Option<Slot>, oneshot::Sender<Dialed<B>>),
        gate: Option<&Rc<Gate>>,
    ) -> Result<(Reserved<B>, bool), UpstreamError> {
        if let Some(stream) = self.with_capacity() {
            return Ok((stream, false));
        }
        let _pending = match gate {
            Some(gate) => Some(gate.queue().ok_or(UpstreamError::Overflow)?),
            None => None,
        };
        let failures = self.failures.get();
        loop {
            if let Some(stream) = self.with_capacity() {
                return Ok((stream, false));
            }
            if self.failures.get() != failures {
                // The attempt that this request waited for failed: so would the next, as slowly.
                return Err(self.last_failure());
            }
            let slot = match gate {
                _ if self.is_dialing.get() => None,
                Some(gate) => gate.slot().map(Some),
                None => Some(None),
            };
            if let Some(slot) = slot {
                let (request, dialed) = oneshot::channel();
                self.is_dialing.set(true);
                begin(slot, request);
                // An attempt that says nothing ended with its runtime.
                let dialed = dialed.await.unwrap_or(Err(UpstreamError::ConnectTimeout));
                return dialed.map(|stream| (stream, true));
            }
            self.changed(gate).await;
        }
    }

    /// Waits until there may be a stream, or the right to make a connection.
    async fn changed(&self, gate: Option<&Rc<Gate>>) {
        let dialed = self.dialed.notified();
        match gate {
            Some(gate) => tokio::select! {
                () = dialed => {}
                () = Rc::clone(gate).freed(Protocol::Http2) => {}
            },
            None => dialed.await,
        }
    }

    /// Takes what came of making a connection, for the request that began it and those that wait.
    pub(super) fn dialed(
        &self,
        dialed: Result<Connection<B>, UpstreamError>,
        request: oneshot::Sender<Dialed<B>>,
    ) {
        self.is_dialing.set(false);
        let dialed = match dialed {
            Ok(connection) => {
                // Before others, who may take all streams; and none if the request is gone.
                let stream = (!request.is_closed()).then(|| connection.reserve());
                self.open.borrow_mut().push(connection);
                stream.map(Ok)
            }
            Err(error) => {
                self.failures.set(self.failures.get() + 1);
                self.failure.replace(Some(error.for_others()));
                Some(Err(error))
            }
        };
        if let Some(dialed) = dialed {
            // Who has gone does not want to know, and gives the stream back.
            let _ = request.send(dialed);
        }
        self.dialed.notify_waiters();
    }

    /// A stream of a connection that has one to spare.
    fn with_capacity(&self) -> Option<Reserved<B>> {
        let mut open = self.open.borrow_mut();
        open.retain(Connection::is_usable);
        open.iter()
            .find(|connection| connection.streams.any_left())
            .map(Connection::reserve)
    }

    fn last_failure(&self) -> UpstreamError {
        let failure = self.failure.borrow();
        let failure = failure.as_ref().map(UpstreamError::for_others);
        failure.unwrap_or(UpstreamError::ConnectTimeout)
    }

    /// Forgets the closed connections, and those unused for `max_sweeps`; false if none is left.
    pub(super) fn sweep(&self, max_sweeps: u32) -> bool {
        let mut open = self.open.borrow_mut();
        open.retain(|connection| connection.is_usable() && !connection.streams.is_idle(max_sweeps));
        !open.is_empty()
    }
}

impl<B> Default for Connections<B> {
    fn default() -> Self {
        Self {
            open: RefCell::default(),
            is_dialing: Cell::default(),
            dialed: Notify::default(),
            failures: Cell::default(),
            failure: RefCell::default(),
        }
    }
}

impl<B> Connection<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Speaks HTTP/2 on a new connection.
    pub(super) async fn handshake(
        established: Established,
        settings: &PoolSettings,
        mut life: Option<Life>,
    ) -> Result<Self, UpstreamError> {
        let max_headers = u32::try_from(settings.max_response_headers).unwrap_or(u32::MAX);
        let mut builder = http2::Builder::new(LocalExecutor);
        builder
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(max_headers);
        if let Some((interval, timeout)) = life.as_ref().and_then(Life::keepalive) {
            builder
                .timer(TokioTimer::new())
                .keep_alive_interval(interval)
                .keep_alive_timeout(timeout)
                .keep_alive_while_idle(true);
        }
        let (sender, mut connection) = builder
            .handshake(TokioIo::new(established.transport))
            .await?;
        let slot = life.as_mut().and_then(Life::take_slot);
        let streams = Rc::new(Streams {
            open: Cell::new(0),
            max: Cell::new(connection.current_max_send_streams()),
            idle_sweeps: Cell::new(0),
            known: established.known,
            trust: established.trust,
            life,
        });
        let allowed = Rc::clone(&streams);
        // Ends when the upstream closes, or when the last handle and stream are gone.
        tokio::task::spawn_local(poll_fn(move |cx| {
            let polled = Pin::new(&mut connection).poll(cx).map(drop);
            allowed.max.set(connection.current_max_send_streams());
            // It is counted as long as it lasts.
            let _ = &slot;
            polled
        }));
        Ok(Self { sender, streams })
    }

    /// Whether it takes further requests.
    fn is_usable(&self) -> bool {
        let is_over = self.streams.life.as_ref().is_some_and(Life::is_over);
        !self.sender.is_closed() && !is_over && !self.streams.trust.is_lost()
    }

    /// A stream of it.
    fn reserve(&self) -> Reserved<B> {
        Reserved {
            sender: self.sender.clone(),
            stream: Streams::open(&self.streams),
        }
    }
}

impl<B> Reserved<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Sends `request` on the stream.
    pub(super) async fn send(
        self,
        request: Request<B>,
    ) -> Result<Response<Body>, TrySendError<Request<B>>> {
        let Self { mut sender, stream } = self;
        let mut response = sender.try_send_request(request).await?;
        let known = stream.0.known.clone();
        response.extensions_mut().insert(known);
        Ok(response.map(|incoming| Body::stream(incoming, stream)))
    }
}

impl Streams {
    fn open(streams: &Rc<Self>) -> OpenStream {
        streams.open.set(streams.open.get() + 1);
        streams.idle_sweeps.set(0);
        if let Some(life) = &streams.life {
            life.begin();
        }
        OpenStream(Rc::clone(streams))
    }

    fn any_left(&self) -> bool {
        let limit = self.life.as_ref().map_or(usize::MAX, Life::max_streams);
        self.open.get() < self.max.get().min(limit)
    }

    /// Whether there was no stream when it was asked the last `max_sweeps` times, and is none now.
    fn is_idle(&self, max_sweeps: u32) -> bool {
        let sweeps = self.idle_sweeps.get().saturating_add(1);
        self.idle_sweeps.set(match self.open.get() {
            0 => sweeps,
            _ => 0,
        });
        self.idle_sweeps.get() > max_sweeps
    }
}
