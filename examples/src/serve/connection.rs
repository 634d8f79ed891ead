//! Serve one connection.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tower_service::Service;

use super::adapter::Adapter;
use super::limits::Limits;
use super::open::{Open, Slot};
use super::rewind::Rewind;
use crate::local::LocalExecutor;

/// What an HTTP/2 client sends first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How connections are served, for all connections of a thread.
pub(super) struct Http {
    http1: http1::Builder,
    http2: http2::Builder<LocalExecutor>,
}

impl Http {
    pub(super) fn new(limits: &Limits) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .writev(false)
            .max_header_size(limits.max_request_headers)
            .header_read_timeout(limits.request_headers_timeout);
        if limits.request_headers_timeout.is_some() {
            http1.timer(TokioTimer::new());
        }
        if let Some(max) = limits.max_request_header_lines {
            http1.max_headers(max);
        }
        let mut http2 = http2::Builder::new(LocalExecutor);
        let max_headers = u32::try_from(limits.max_request_headers).unwrap_or(u32::MAX);
        http2
            .max_header_list_size(max_headers)
            .max_concurrent_streams(limits.max_concurrent_streams)
            .initial_stream_window_size(limits.stream_window)
            .initial_connection_window_size(limits.connection_window);
        if limits.extended_connect {
            http2.enable_connect_protocol();
        }
        Self { http1, http2 }
    }

    /// Serves `stream` by `service` until either end closes it.
    ///
    /// What goes wrong on a connection is told to its client where that is possible, and to
    /// nobody else.
    pub(super) async fn serve<I, S, B>(
        &self,
        mut stream: I,
        service: S,
        (slot, open): (Rc<Slot>, Open),
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
        S::Error: Into<BoxError>,
        S::Future: 'static,
        B: http_body::Body<Data = Bytes> + 'static,
        B::Error: Into<BoxError>,
    {
        let Ok(Some((prefix, is_http2))) = sniff(&mut stream, &slot).await else {
            return;
        };
        let io = Rewind::new(prefix, TokioIo::new(stream), open);
        let service = Adapter::new(service, Rc::clone(&slot));
        if is_http2 {
            let connection = self.http2.serve_connection(io, service);
            run(connection, http2::Connection::graceful_shutdown, &slot).await;
        } else {
            let connection = self.http1.serve_connection(io, service).with_upgrades();
            run(
                connection,
                http1::UpgradeableConnection::graceful_shutdown,
                &slot,
            )
            .await;
        }
    }
}

/// Reads until it is clear whether `stream` begins with the preface.
///
/// `None` if it ends before, or shall end.
async fn sniff<I>(stream: &mut I, slot: &Slot) -> io::Result<Option<(Bytes, bool)>>
where
    I: AsyncRead + Unpin,
{
    let mut read = BytesMut::with_capacity(PREFACE.len());
    while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
        let mut limited = (&mut *stream).take((PREFACE.len() - read.len()) as u64);
        let mut reading = pin!(limited.read_buf(&mut read));
        let n = poll_fn(|cx| {
            if slot.poll_ending(cx) {
                return std::task::Poll::Ready(Ok(0));
            }
            reading.as_mut().poll(cx)
        })
        .await?;
        if n == 0 {
            return Ok(None);
        }
    }
    let is_http2 = read == PREFACE;
    Ok(Some((read.freeze(), is_http2)))
}

/// Runs `connection` to its end, which `shut_down` brings about when `slot` says so.
async fn run<C, E>(connection: C, shut_down: impl Fn(Pin<&mut C>), slot: &Slot)
where
    C: Future<Output = Result<(), E>>,
{
    let mut connection = pin!(connection);
    let mut ending = false;
    // An error here is the client's, or the network's.
    let _ = poll_fn(|cx| {
        if !ending && slot.poll_ending(cx) {
            ending = true;
            shut_down(connection.as_mut());
        }
        connection.as_mut().poll(cx)
    })
    .await;
}
