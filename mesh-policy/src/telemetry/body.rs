//! Bodies whose bytes and gRPC messages are counted.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// What has passed of the bodies of an exchange.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) received: Count,
    pub(super) sent: Count,
}

/// What has passed of a body.
#[derive(Debug, Default)]
pub(super) struct Count {
    bytes: AtomicU64,
    messages: AtomicU64,
}

impl Count {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    #[cfg(feature = "metrics")]
    pub(super) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }
}

/// Finds the beginnings of gRPC messages: a byte of flags and four of length before each.
#[derive(Debug, Default)]
struct Messages {
    /// What has been read of a prefix.
    prefix: usize,
    length: u32,
    /// What is left of a message.
    rest: u64,
}

impl Messages {
    /// Reads a piece of the stream. Returns how many messages begin in it.
    fn read(&mut self, mut piece: &[u8]) -> u64 {
        let mut messages = 0;
        loop {
            let skip = usize::try_from(self.rest)
                .unwrap_or(usize::MAX)
                .min(piece.len());
            self.rest -= skip as u64;
            piece = &piece[skip..];
            let Some((byte, rest)) = piece.split_first() else {
                return messages;
            };
            if self.prefix > 0 {
                self.length = self.length << 8 | u32::from(*byte);
            }
            piece = rest;
            self.prefix += 1;
            if self.prefix == 5 {
                messages += 1;
                self.rest = u64::from(self.length);
                (self.prefix, self.length) = (0, 0);
            }
        }
    }
}

pin_project! {
    /// A body that is counted as it passes. It tells `end` when it has ended, failed or been
    /// dropped.
    #[derive(Debug)]
    pub struct MeteredBody<B, E: OnEnd> {
        #[pin]
        inner: B,
        counts: Arc<Counts>,
        direction: Direction,
        messages: Option<Messages>,
        end: Option<E>,
    }

    impl<B, E: OnEnd> PinnedDrop for MeteredBody<B, E> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(end) = this.project().end.take() {
                end.end(None);
            }
        }
    }
}

/// Which of the counts is that of a body.
#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    Received,
    Sent,
}

impl Counts {
    fn of(&self, direction: Direction) -> &Count {
        match direction {
            Direction::Received => &self.received,
            Direction::Sent => &self.sent,
        }
    }
}

/// What is done at the end of a body.
pub trait OnEnd {
    /// The body is over, with or without trailers.
    fn end(self, trailers: Option<&HeaderMap>);
}

/// Nothing is done.
#[derive(Debug)]
pub struct Nothing;

impl OnEnd for Nothing {
    fn end(self, _: Option<&HeaderMap>) {}
}

impl<B, E: OnEnd> MeteredBody<B, E> {
    pub(super) fn new(
        inner: B,
        (counts, direction): (Arc<Counts>, Direction),
        is_grpc: bool,
        end: Option<E>,
    ) -> Self {
        Self {
            inner,
            counts,
            direction,
            messages: is_grpc.then(Messages::default),
            end,
        }
    }

    /// A body of which nobody is told.
    fn uncounted(inner: B) -> Self {
        Self::new(inner, (Arc::default(), Direction::Sent), false, None)
    }
}

impl<B: Default, E: OnEnd> Default for MeteredBody<B, E> {
    fn default() -> Self {
        Self::uncounted(B::default())
    }
}

impl<B: From<Bytes>, E: OnEnd> From<Bytes> for MeteredBody<B, E> {
    fn from(bytes: Bytes) -> Self {
        Self::uncounted(bytes.into())
    }
}

impl<B, E> Body for MeteredBody<B, E>
where
    B: Body,
    E: OnEnd,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = this.inner.as_mut().poll_frame(cx);
        let trailers = match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    let count = this.counts.of(*this.direction);
                    let bytes = data.remaining() as u64;
                    count.bytes.fetch_add(bytes, Ordering::Relaxed);
                    if let Some(messages) = this.messages {
                        // A buffer of several pieces is counted by its first.
                        let found = messages.read(data.chunk());
                        count.messages.fetch_add(found, Ordering::Relaxed);
                    }
                }
                frame.trailers_ref()
            }
            Poll::Ready(Some(Err(_)) | None) => None,
            Poll::Pending => return frame,
        };
        let is_over = matches!(frame, Poll::Ready(None | Some(Err(_)))) || trailers.is_some();
        // Who reads the body need not ask again once it says that it has ended.
        if (is_over || this.inner.is_end_stream())
            && let Some(end) = this.end.take()
        {
            end.end(trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http_body_util::{BodyExt, Full};

    use super::*;

    #[test]
    fn messages_are_found_however_they_are_cut() {
        let mut stream = Vec::new();
        for length in [0_u32, 3, 300] {
            stream.push(0);
            stream.extend(length.to_be_bytes());
            stream.extend(vec![7; length as usize]);
        }
        for size in [1, 2, 4, 5, 7, 1000] {
            let mut messages = Messages::default();
            let found: u64 = stream.chunks(size).map(|piece| messages.read(piece)).sum();
            assert_eq!(found, 3, "{size}");
        }
    }

    #[derive(Clone, Default)]
    struct Ends(Arc<Mutex<Vec<bool>>>);

    impl OnEnd for Ends {
        fn end(self, trailers: Option<&HeaderMap>) {
            self.0.lock().unwrap().push(trailers.is_some());
        }
    }

    #[tokio::test]
    async fn the_end_is_told_once_read_or_dropped() {
        let (ends, counts) = (Ends::default(), Arc::<Counts>::default());
        let sent = || (Arc::clone(&counts), Direction::Sent);
        let body = || {
            let full = Full::new(Bytes::from_static(b"hello"));
            MeteredBody::new(full, sent(), false, Some(ends.clone()))
        };
        body().collect().await.unwrap();
        assert_eq!((counts.sent.bytes(), ends.0.lock().unwrap().len()), (5, 1));
        assert_eq!(counts.received.bytes(), 0);
        drop(body());
        assert_eq!(ends.0.lock().unwrap().len(), 2);
        let trailers =
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        let with_trailers =
            Full::new(Bytes::new()).with_trailers(std::future::ready(Some(Ok(trailers))));
        let metered = MeteredBody::new(Box::pin(with_trailers), sent(), false, Some(ends.clone()));
        metered.collect().await.unwrap();
        assert_eq!(ends.0.lock().unwrap().as_slice(), [false, false, true]);
    }
}
