//! The body of the gateway's requests and responses.
//!
//! [`Body`] is either what a peer sends, streamed, or what the gateway answers itself. It
//! implements [`Default`] (empty) and `From<Bytes>`, which is all that the layers of the mesh
//! crates ask of a response body to answer in place of the upstream.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use examples::body::Body;
//! use http_body::Body as _;
//!
//! assert!(Body::default().is_end_stream());
//! assert_eq!(Body::from("no healthy upstream").size_hint().exact(), Some(19));
//! ```

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mesh_discovery::service::{InFlight, TrackedBody};
use mesh_policy::timeout::stream::TimedBody;

use crate::upstream::{BodyError, OpenStream, Streaming};

/// A body: streamed from a peer, or made here.
///
/// See the [module docs](self) for an example.
#[derive(Default)]
pub struct Body(Source);

// It passes through all layers, and shall be small.
#[derive(Default)]
enum Source {
    #[default]
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Received(Box<Received>),
    // What a layer made of another body.
    Wrapped(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>),
}

/// A body that an upstream sends.
struct Received {
    sender: Sender,
    /// What counts the exchange as active until the body has ended.
    in_flight: Option<InFlight>,
}

enum Sender {
    Http1(Streaming),
    Http2 {
        incoming: Incoming,
        // Tells the connection that a stream is free again.
        _open: OpenStream,
    },
}

impl Body {
    /// A body with whose end its exchange ends, unless its connection goes on in another protocol.
    pub(crate) fn tracked(body: TrackedBody<Self>) -> Self {
        let (mut body, in_flight) = body.into_parts();
        // What is not received, or has ended, is there already.
        if let Source::Received(received) = &mut body.0
            && !received.is_end_stream()
        {
            received.in_flight = in_flight;
        }
        body
    }

    /// A body that fails when its time is over.
    pub(crate) fn timed(body: TimedBody<Self>) -> Self {
        match body.into_untimed() {
            Ok(body) => body,
            Err(timed) => Self::wrapped(timed.map_err(|error| {
                let broke_off = error.downcast::<BodyError>();
                broke_off.map_or_else(BodyError::TimedOut, |error| *error)
            })),
        }
    }

    /// What a layer made of a body. One that has ended already is empty.
    pub fn wrapped<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = BodyError> + 'static,
    {
        Self(if body.is_end_stream() {
            Source::Empty
        } else {
            Source::Wrapped(Box::pin(body))
        })
    }

    pub(crate) fn streaming(streaming: Streaming) -> Self {
        Self::received(Sender::Http1(streaming))
    }

    pub(crate) fn stream(incoming: Incoming, open: OpenStream) -> Self {
        Self::received(Sender::Http2 {
            incoming,
            _open: open,
        })
    }

    fn received(sender: Sender) -> Self {
        Self(Source::Received(Box::new(Received {
            sender,
            in_flight: None,
        })))
    }
}

impl Source {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Incoming(incoming) => {
                let polled = http_body::Body::poll_frame(Pin::new(incoming), cx);
                polled.map_err(BodyError::Http2)
            }
            Self::Received(received) => received.poll_frame(cx),
            Self::Wrapped(body) => body.as_mut().poll_frame(cx),
        }
    }
}

impl Received {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = match &mut self.sender {
            Sender::Http1(streaming) => streaming.poll_frame(cx),
            Sender::Http2 { incoming, .. } => {
                let polled = http_body::Body::poll_frame(Pin::new(incoming), cx);
                polled.map_err(BodyError::Http2)
            }
        };
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.in_flight = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.sender {
            Sender::Http1(streaming) => streaming.is_end_stream(),
            Sender::Http2 { incoming, .. } => http_body::Body::is_end_stream(incoming),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.sender {
            Sender::Http1(streaming) => streaming.size_hint(),
            Sender::Http2 { incoming, .. } => http_body::Body::size_hint(incoming),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(if bytes.is_empty() {
            Source::Empty
        } else {
            Source::Full(bytes)
        })
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        Self(Source::Incoming(incoming))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.get_mut().0.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Empty => true,
            Source::Full(_) => false,
            Source::Incoming(incoming) => incoming.is_end_stream(),
            Source::Received(received) => received.is_end_stream(),
            Source::Wrapped(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Empty => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Incoming(incoming) => incoming.size_hint(),
            Source::Received(received) => received.size_hint(),
            Source::Wrapped(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.0 {
            Source::Empty => "Empty",
            Source::Full(_) => "Full",
            _ => "Streaming",
        };
        f.debug_tuple("Body").field(&source).finish()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn bytes_are_sent_once() {
        let body = Body::from(Bytes::from_static(b"hello"));
        assert!(!http_body::Body::is_end_stream(&body));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    }

    #[tokio::test]
    async fn a_wrapped_body_is_what_it_wraps() {
        let body = Body::wrapped(Body::from("hello"));
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
        assert!(http_body::Body::is_end_stream(&Body::wrapped(
            Body::default()
        )));
    }

    #[test]
    fn no_bytes_are_no_body() {
        assert!(http_body::Body::is_end_stream(&Body::from(Bytes::new())));
    }
}
