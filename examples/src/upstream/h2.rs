//! HTTP/2 connections, each shared by many requests and driven by a task of its own.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use http::{Request, Response};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::error::{BoxError, UpstreamError};
use super::pool::PoolSettings;
use crate::body::Body;
use crate::local::LocalExecutor;

/// Flow-control window of a stream: 16 MiB, Envoy's `initial_stream_window_size`.
const STREAM_WINDOW: u32 = 16 * 1024 * 1024;
/// Flow-control window of a connection: 24 MiB, Envoy's `initial_connection_window_size`.
const CONNECTION_WINDOW: u32 = 24 * 1024 * 1024;

/// The HTTP/2 connections to one address.
pub(super) struct Connections<B> {
    open: RefCell<Vec<Connection<B>>>,
    // Held while a connection is established, so that requests that arrive meanwhile share it.
    dialing: Mutex<()>,
    // How often that failed, and how it failed last.
    failures: Cell<u64>,
    failure: Cell<Option<io::ErrorKind>>,
}

/// A handle to an HTTP/2 connection.
pub(super) struct Connection<B> {
    sender: http2::SendRequest<B>,
    streams: Rc<Streams>,
}

/// The streams of a connection.
struct Streams {
    open: Cell<usize>,
    // What the upstream allows: SETTINGS_MAX_CONCURRENT_STREAMS.
    max: Cell<usize>,
}

/// A stream in use; it is over when this is dropped.
pub(crate) struct OpenStream(Rc<Streams>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

impl<B> Connections<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// A connection with a stream to spare, and whether it was established for this request.
    pub(super) async fn checkout<D>(
        &self,
        dial: impl FnOnce() -> D,
        settings: &PoolSettings,
    ) -> Result<(Connection<B>, bool), UpstreamError>
    where
        D: Future<Output = Result<TcpStream, UpstreamError>>,
    {
        if let Some(connection) = self.with_capacity() {
            return Ok((connection, false));
        }
        let failures = self.failures.get();
        let _dialing = self.dialing.lock().await;
        if let Some(connection) = self.with_capacity() {
            return Ok((connection, false));
        }
        if self.failures.get() != failures {
            // The attempt that this request waited for failed: so would the next, as slowly.
            return Err(self.last_failure());
        }
        let established = async { Connection::handshake(dial().await?, settings).await };
        match established.await {
            Ok(connection) => {
                self.open.borrow_mut().push(connection.clone());
                Ok((connection, true))
            }
            Err(error) => {
                self.failures.set(failures + 1);
                self.failure.set(error.connect_error_kind());
                Err(error)
            }
        }
    }

    fn with_capacity(&self) -> Option<Connection<B>> {
        let mut open = self.open.borrow_mut();
        open.retain(|connection| !connection.sender.is_closed());
        open.iter()
            .find(|connection| connection.streams.any_left())
            .cloned()
    }

    fn last_failure(&self) -> UpstreamError {
        match self.failure.get() {
            Some(kind) => UpstreamError::Connect(kind.into()),
            None => UpstreamError::ConnectTimeout,
        }
    }

    /// Forgets the closed connections; false if none is left.
    pub(super) fn sweep(&self) -> bool {
        let mut open = self.open.borrow_mut();
        open.retain(|connection| !connection.sender.is_closed());
        !open.is_empty()
    }
}

impl<B> Default for Connections<B> {
    fn default() -> Self {
        Self {
            open: RefCell::default(),
            dialing: Mutex::default(),
            failures: Cell::default(),
            failure: Cell::default(),
        }
    }
}

impl<B> Connection<B>
where
    B: http_body::Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    async fn handshake(stream: TcpStream, settings: &PoolSettings) -> Result<Self, UpstreamError> {
        let max_headers = u32::try_from(settings.max_response_headers).unwrap_or(u32::MAX);
        let (sender, mut connection) = http2::Builder::new(LocalExecutor)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(max_headers)
            .handshake(TokioIo::new(stream))
            .await?;
        let streams = Rc::new(Streams {
            open: Cell::new(0),
            max: Cell::new(connection.current_max_send_streams()),
        });
        let allowed = Rc::clone(&streams);
        // Ends when the upstream closes, or when the last handle and stream are gone.
        tokio::task::spawn_local(poll_fn(move |cx| {
            let polled = Pin::new(&mut connection).poll(cx).map(drop);
            allowed.max.set(connection.current_max_send_streams());
            polled
        }));
        Ok(Self { sender, streams })
    }

    /// Sends `request` on a stream of its own.
    pub(super) async fn send(
        mut self,
        request: Request<B>,
    ) -> Result<Response<Body>, TrySendError<Request<B>>> {
        let stream = Streams::open(&self.streams);
        let response = self.sender.try_send_request(request).await?;
        Ok(response.map(|incoming| Body::stream(incoming, stream)))
    }
}

impl<B> Clone for Connection<B> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            streams: Rc::clone(&self.streams),
        }
    }
}

impl Streams {
    fn open(streams: &Rc<Self>) -> OpenStream {
        streams.open.set(streams.open.get() + 1);
        OpenStream(Rc::clone(streams))
    }

    fn any_left(&self) -> bool {
        self.open.get() < self.max.get()
    }
}
