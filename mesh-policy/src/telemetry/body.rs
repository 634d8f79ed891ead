//! Bodies whose bytes and gRPC messages are counted.

use std::error::Error;
use std::io;
use std::iter;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use mesh_core::attributes::{ResponseFlag, StreamFailure};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::BoxError;

/// What has passed of the bodies of an exchange.
#[derive(Debug, Default)]
pub struct Counts {
    pub(super) received: Count,
    pub(super) sent: Count,
    /// Whether it is noted when all had passed.
    is_timed: bool,
}

/// What has passed of a body.
#[derive(Debug, Default)]
pub(super) struct Count {
    bytes: AtomicU64,
    messages: AtomicU64,
    /// When all had passed.
    ended: OnceLock<Instant>,
}

impl Count {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// When all had passed, if all has.
    #[cfg(feature = "access-log")]
    pub(super) fn ended(&self) -> Option<Instant> {
        self.ended.get().copied()
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
    /// A body that is counted as it passes. It tells `end` how it ended.
    #[derive(Debug)]
    pub struct MeteredBody<B, E: OnEnd> {
        #[pin]
        inner: B,
        // `None` if it is not counted.
        counts: Option<Arc<Counts>>,
        direction: Direction,
        messages: Option<Messages>,
        // Bytes that have not passed, if it is known how many there are.
        left: Option<u64>,
        end: Option<E>,
    }

    impl<B, E: OnEnd> PinnedDrop for MeteredBody<B, E> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(end) = this.end.take() {
                // Who has got all the bytes that were announced need not ask for the end.
                end.end(match this.left {
                    Some(0) => End::Complete(None),
                    _ => End::Dropped,
                });
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
    /// Counts that note when all had passed, which asks the clock.
    #[cfg(feature = "access-log")]
    pub(super) fn timed() -> Self {
        Self {
            is_timed: true,
            ..Self::default()
        }
    }

    /// All of a body has passed.
    fn end(&self, direction: Direction) {
        if self.is_timed {
            self.of(direction).ended.get_or_init(Instant::now);
        }
    }

    fn of(&self, direction: Direction) -> &Count {
        match direction {
            Direction::Received => &self.received,
            Direction::Sent => &self.sent,
        }
    }
}

/// How a body ended.
#[derive(Clone, Copy, Debug)]
pub enum End<'a> {
    /// Whole, with or without trailers.
    Complete(Option<&'a HeaderMap>),
    /// Its reader did not want the rest, or no response at all: the client has gone away.
    Dropped,
    /// It failed.
    Failed(&'a (dyn Error + Send + Sync + 'static)),
    /// There is no body, for the service failed.
    Unanswered,
}

impl<'a> End<'a> {
    /// The trailers, if there are any.
    pub fn trailers(self) -> Option<&'a HeaderMap> {
        match self {
            Self::Complete(trailers) => trailers,
            Self::Dropped | Self::Failed(_) | Self::Unanswered => None,
        }
    }

    /// Envoy's flag of what broke off. Of a body that failed, what a [`StreamFailure`] among the
    /// sources of its error says; else `UC` for an error of the connection and `UR` for any other.
    pub fn flag(self) -> Option<ResponseFlag> {
        match self {
            Self::Complete(_) | Self::Unanswered => None,
            Self::Dropped => Some(ResponseFlag::DownstreamConnectionTermination),
            Self::Failed(error) => Some(of_failure(error)),
        }
    }
}

fn of_failure(error: &(dyn Error + 'static)) -> ResponseFlag {
    let sources = || iter::successors(Some(error), |&error| error.source());
    if let Some(StreamFailure(flag)) = sources().find_map(|error| error.downcast_ref()) {
        return *flag;
    }
    match sources().any(|error| error.is::<io::Error>()) {
        true => ResponseFlag::UpstreamConnectionTermination,
        false => ResponseFlag::UpstreamRemoteReset,
    }
}

/// What is done at the end of a body.
pub trait OnEnd {
    /// The body is over.
    fn end(self, end: End<'_>);
}

/// Nothing is done.
#[derive(Debug)]
pub struct Nothing;

impl OnEnd for Nothing {
    fn end(self, _: End<'_>) {}
}

impl<B: Body, E: OnEnd> MeteredBody<B, E> {
    pub(super) fn new(
        inner: B,
        (counts, direction): (Option<Arc<Counts>>, Direction),
        is_grpc: bool,
        end: Option<E>,
    ) -> Self {
        if let Some(counts) = counts.as_ref().filter(|_| inner.is_end_stream()) {
            counts.end(direction);
        }
        Self {
            left: inner.size_hint().exact(),
            inner,
            counts,
            direction,
            messages: is_grpc.then(Messages::default),
            end,
        }
    }
}

impl<B: Default, E: OnEnd> MeteredBody<B, E> {
    /// The body itself.
    ///
    /// # Errors
    ///
    /// This, if it is counted or somebody is told of its end.
    pub fn into_unobserved(mut self) -> Result<B, Self> {
        match (&self.counts, &self.end) {
            (None, None) => Ok(mem::take(&mut self.inner)),
            _ => Err(self),
        }
    }
}

impl<B, E: OnEnd> MeteredBody<B, E> {
    /// A body of which nobody is told.
    fn uncounted(inner: B) -> Self {
        Self {
            inner,
            counts: None,
            direction: Direction::Sent,
            messages: None,
            left: None,
            end: None,
        }
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
    B::Error: Into<BoxError>,
    E: OnEnd,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let frame = frame.map(|frame| frame.map_err(Into::into));
        let end = match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref()
                    && let Some(counts) = this.counts
                {
                    let count = counts.of(*this.direction);
                    let bytes = data.remaining() as u64;
                    count.bytes.fetch_add(bytes, Ordering::Relaxed);
                    *this.left = this.left.map(|left| left.saturating_sub(bytes));
                    if let Some(messages) = this.messages {
                        // A buffer of several pieces is counted by its first.
                        let found = messages.read(data.chunk());
                        count.messages.fetch_add(found, Ordering::Relaxed);
                    }
                }
                // Who reads the body need not ask again once it says that it has ended.
                let is_over = frame.is_trailers() || this.inner.is_end_stream();
                is_over.then(|| End::Complete(frame.trailers_ref()))
            }
            Some(Err(error)) => Some(End::Failed(&**error)),
            None => Some(End::Complete(None)),
        };
        if let (Some(End::Complete(_)), Some(counts)) = (&end, this.counts) {
            counts.end(*this.direction);
        }
        if let Some(told) = end
            && let Some(end) = this.end.take()
        {
            end.end(told);
        }
        Poll::Ready(frame)
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
    struct Ends(Arc<Mutex<Vec<String>>>);

    impl OnEnd for Ends {
        fn end(self, end: End<'_>) {
            let flag = end.flag().map_or("", ResponseFlag::as_str);
            let trailers = end.trailers().map_or(0, HeaderMap::len);
            self.0.lock().unwrap().push(format!("{flag}{trailers}"));
        }
    }

    impl Ends {
        fn metered<B: Body>(&self, body: B) -> MeteredBody<B, Self> {
            let sent = (Some(Arc::default()), Direction::Sent);
            MeteredBody::new(body, sent, false, Some(self.clone()))
        }

        fn told(&self) -> Vec<String> {
            mem::take(&mut *self.0.lock().unwrap())
        }
    }

    #[tokio::test]
    async fn the_end_is_told_once_however_it_comes() {
        let (ends, full) = (Ends::default(), Full::new(Bytes::from_static(b"hello")));
        let body = ends.metered(full.clone());
        let counts = body.counts.clone().unwrap();
        body.collect().await.unwrap();
        assert_eq!((counts.sent.bytes(), counts.received.bytes()), (5, 0));
        assert_eq!(ends.told(), ["0"]);
        drop(ends.metered(full.clone()));
        assert_eq!(ends.told(), ["DC0"]);
        let trailers =
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
        let with_trailers = full.with_trailers(std::future::ready(Some(Ok(trailers))));
        ends.metered(Box::pin(with_trailers))
            .collect()
            .await
            .unwrap();
        assert_eq!(ends.told(), ["1"]);
    }

    #[test]
    fn a_body_of_which_nobody_is_told_is_what_it_was() {
        let hello = || Full::new(Bytes::from_static(b"hello"));
        let bare = MeteredBody::<_, Nothing>::new(hello(), (None, Direction::Sent), false, None);
        assert_eq!(bare.into_unobserved().unwrap().size_hint().exact(), Some(5));
        let (ends, told) = (Ends::default(), [None, Some(Arc::default())]);
        for counts in told {
            let observed = (counts, Direction::Sent);
            let body = MeteredBody::new(hello(), observed, false, Some(ends.clone()));
            assert!(body.into_unobserved().is_err());
            assert_eq!(ends.told(), ["DC0"]);
        }
    }

    #[tokio::test]
    async fn who_has_got_all_that_was_announced_has_got_it_whole() {
        let (ends, announced) = (
            Ends::default(),
            Announced(Full::new(Bytes::from_static(b"a"))),
        );
        let mut body = ends.metered(announced);
        body.frame().await.unwrap().unwrap();
        assert_eq!(ends.told(), [""; 0]);
        drop(body);
        assert_eq!(ends.told(), ["0"]);
    }

    /// A body that knows its length, but not that it has ended.
    struct Announced(Full<Bytes>);

    impl Body for Announced {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Pin::new(&mut self.0).poll_frame(cx)
        }

        fn size_hint(&self) -> SizeHint {
            self.0.size_hint()
        }
    }

    #[tokio::test]
    async fn a_body_that_fails_is_told_by_what_its_error_comes_from() {
        let late = StreamFailure(ResponseFlag::UpstreamRequestTimeout);
        let lost = || io::Error::from(io::ErrorKind::ConnectionReset);
        for (error, expected) in [
            (BoxError::from("reset"), "UR0"),
            (lost().into(), "UC0"),
            (late.into(), "UT0"),
        ] {
            let ends = Ends::default();
            let broken = Full::new(Bytes::new()).map_err(|never| match never {});
            let broken = broken.with_trailers(std::future::ready(Some(Err(error))));
            ends.metered(Box::pin(broken)).collect().await.unwrap_err();
            assert_eq!(ends.told(), [expected]);
        }
    }
}
