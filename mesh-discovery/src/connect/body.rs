use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

/// The body of a response: from an endpoint, or made here.
#[derive(Default)]
pub struct Body(Source);

#[derive(Default)]
enum Source {
    #[default]
    Empty,
    Full(Bytes),
    Incoming {
        incoming: Incoming,
        /// The use of the connection, given back when the body has ended.
        lease: Option<Box<dyn Any + Send + Sync>>,
    },
}

impl Body {
    pub(super) fn incoming(incoming: Incoming, lease: impl Any + Send + Sync) -> Self {
        use http_body::Body as _;

        let lease: Option<Box<dyn Any + Send + Sync>> = match incoming.is_end_stream() {
            true => None,
            false => Some(Box::new(lease)),
        };
        Self(Source::Incoming { incoming, lease })
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        match bytes.is_empty() {
            true => Self(Source::Empty),
            false => Self(Source::Full(bytes)),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Source::Empty => Poll::Ready(None),
            Source::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                self.0 = Source::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Source::Incoming { incoming, lease } => {
                let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
                if !matches!(frame, Some(Ok(_))) || incoming.is_end_stream() {
                    *lease = None;
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Empty => true,
            Source::Full(_) => false,
            Source::Incoming { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Empty => SizeHint::with_exact(0),
            Source::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Incoming { incoming, .. } => incoming.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Source::Empty => "Empty",
            Source::Full(_) => "Full(..)",
            Source::Incoming { .. } => "Incoming(..)",
        })
    }
}
