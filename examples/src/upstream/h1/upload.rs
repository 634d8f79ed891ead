//! A request on its way out.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::header::EXPECT;
use http::request::Parts;
use http_body::{Body, Frame};
use tokio::time::Sleep;

use super::connection::poll_write_all;
use super::encode::{Framing, encode_head};
use super::trailers::Declared;
use crate::upstream::error::{BoxError, UpstreamError};
use crate::upstream::transport::Transport;

/// How long an upstream may leave `Expect: 100-continue` unanswered before the body is sent
/// anyway.
///
/// Upstreams that do not know the expectation never answer it, and RFC 9110 §10.1.1 asks that
/// nobody waits for it indefinitely. One second is what curl waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much of a body is collected before it is written.
const WATERMARK: usize = 16 * 1024;

/// A request that is being sent: its head first, and its body as it comes.
///
/// The body of a request that expects `100 Continue` is not read before the upstream asked for
/// it (RFC 9110 §10.1.1). Reading it is what makes the server side tell the client, who so learns
/// the upstream's answer, as with Envoy's `proxy_100_continue`, which Istio sets.
pub(super) struct Upload<B> {
    // Encoded, of which `sent` bytes are written.
    encoded: Vec<u8>,
    sent: usize,
    is_begun: bool,
    // `None` when all of it is encoded.
    body: Option<B>,
    framing: Framing,
    declared: Declared,
    // `Some` while the upstream is waited for to ask for the body.
    held: Option<Pin<Box<Sleep>>>,
}

impl<B> Upload<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(parts: &mut Parts, body: B) -> Self {
        let framing = Framing::of(&parts.method, &mut parts.headers, &body);
        let body = (framing != Framing::Length(0) || !body.is_end_stream()).then_some(body);
        let expects = body.is_some() && expects_continue(parts);
        Self {
            encoded: Vec::new(),
            sent: 0,
            is_begun: false,
            body,
            framing,
            declared: Declared::of(&parts.headers),
            held: expects.then(|| Box::pin(tokio::time::sleep(PATIENCE))),
        }
    }

    /// Encodes the head into `scratch`, unless that was done for another connection.
    pub(super) fn begin(&mut self, parts: &Parts, scratch: Vec<u8>) {
        if self.encoded.is_empty() {
            self.encoded = scratch;
            encode_head(parts, &mut self.encoded);
        }
    }

    /// Leaves nothing to send.
    pub(super) fn take(&mut self) -> Self {
        Self {
            encoded: std::mem::take(&mut self.encoded),
            sent: std::mem::take(&mut self.sent),
            is_begun: self.is_begun,
            body: self.body.take(),
            framing: self.framing,
            declared: std::mem::take(&mut self.declared),
            held: self.held.take(),
        }
    }

    /// Whether nothing was written, so that the request can be sent elsewhere.
    pub(super) fn is_unsent(&self) -> bool {
        !self.is_begun
    }

    pub(super) fn is_complete(&self) -> bool {
        self.body.is_none() && self.encoded.is_empty()
    }

    /// The upstream asks for the body.
    pub(super) fn go_on(&mut self) {
        self.held = None;
    }

    /// What was encoded in, for the next request.
    pub(super) fn take_scratch(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.encoded)
    }

    /// Sends what can be sent; ready when that is all.
    pub(super) fn poll_send(
        &mut self,
        transport: &mut Transport,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), UpstreamError>> {
        loop {
            let has_more = self.poll_collect(cx)?.is_pending();
            let written = poll_write_all(transport, &self.encoded, &mut self.sent, cx);
            self.is_begun |= self.sent > 0;
            ready!(written).map_err(UpstreamError::terminated)?;
            self.encoded.clear();
            self.sent = 0;
            if self.body.is_none() {
                return Poll::Ready(Ok(()));
            }
            if has_more {
                return Poll::Pending;
            }
        }
    }

    /// Encodes what the body has, up to a limit; pending if it has to be waited for.
    fn poll_collect(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        while self.encoded.len() < WATERMARK
            && let Some(body) = &mut self.body
        {
            if let Some(patience) = &mut self.held {
                ready!(patience.as_mut().poll(cx));
                self.held = None;
            }
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
            let frame = frame.transpose().map_err(UpstreamError::request_body)?;
            let is_end = body.is_end_stream();
            self.encode(frame, is_end)?;
        }
        Poll::Ready(Ok(()))
    }

    fn encode(&mut self, frame: Option<Frame<Bytes>>, is_end: bool) -> Result<(), UpstreamError> {
        let trailers = match frame.map(Frame::into_data) {
            Some(Ok(data)) => {
                let encoded = self.framing.encode_data(data.chunk(), &mut self.encoded);
                encoded.map_err(UpstreamError::request_body)?;
                if !is_end {
                    return Ok(());
                }
                None
            }
            Some(Err(frame)) => {
                let trailers = frame.into_trailers().ok();
                trailers.map(|trailers| self.declared.keep(&trailers))
            }
            None => None,
        };
        self.body = None;
        let encoded = self
            .framing
            .encode_end(trailers.as_ref(), &mut self.encoded);
        encoded.map_err(UpstreamError::request_body)
    }
}

fn expects_continue(parts: &Parts) -> bool {
    let expectation = parts.headers.get(EXPECT);
    expectation.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
