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
use mesh_discovery::service::TrackedBody;
use mesh_policy::timeout::stream::TimedBody;

use crate::upstream::{BodyError, OpenStream, Streaming};

/// A body: streamed from a peer, or made here.
///
/// See the [module docs](self) for an example.
#[derive(Default)]
pub struct Body {
    source: Source,
    // What counts the exchange as active until the body has ended.
    active: Option<Box<dyn fmt::Debug>>,
}

#[derive(Default)]
enum Source {
    #[default]
    Empty,
    Full(Bytes),
    Incoming(Incoming),
    Stream {
        incoming: Incoming,
        // Tells the connection that a stream is free again.
        _open: OpenStream,
    },
    Streaming(Streaming),
    // What a layer made of another body.
    Wrapped(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError>>>),
}

impl Body {
    fn of(source: Source) -> Self {
        Self {
            source,
            active: None,
        }
    }

    /// A body with whose end its exchange ends.
    pub(crate) fn tracked(body: TrackedBody<Self>) -> Self {
        let (mut body, active) = body.into_parts();
        if !http_body::Body::is_end_stream(&body) {
            body.active = Some(Box::new(active));
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
        let source = if body.is_end_stream() {
            Source::Empty
        } else {
            Source::Wrapped(Box::pin(body))
        };
        Self::of(source)
    }

    pub(crate) fn streaming(streaming: Streaming) -> Self {
        let source = Source::Streaming(streaming);
        Self::of(source)
    }

    pub(crate) fn stream(incoming: Incoming, open: OpenStream) -> Self {
        let source = Source::Stream {
            incoming,
            _open: open,
        };
        Self::of(source)
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
            Self::Incoming(incoming) | Self::Stream { incoming, .. } => {
                let polled = http_body::Body::poll_frame(Pin::new(incoming), cx);
                polled.map_err(BodyError::Http2)
            }
            Self::Streaming(streaming) => streaming.poll_frame(cx),
            Self::Wrapped(body) => body.as_mut().poll_frame(cx),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let source = if bytes.is_empty() {
            Source::Empty
        } else {
            Source::Full(bytes)
        };
        Self::of(source)
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
        let source = Source::Incoming(incoming);
        Self::of(source)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = this.source.poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            this.active = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Full(_) => false,
            Source::Incoming(incoming) | Source::Stream { incoming, .. } => {
                incoming.is_end_stream()
            }
            Source::Streaming(streaming) => streaming.is_end_stream(),
            Source::Wrapped(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Incoming(incoming) | Source::Stream { incoming, .. } => incoming.size_hint(),
            Source::Streaming(streaming) => streaming.size_hint(),
            Source::Wrapped(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
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
