//! Bodies that were read in part, and are passed on whole.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::check::CheckBody;
use super::settings::BodySettings;

pin_project! {
    /// A body of which the beginning was read, and is given out again.
    #[derive(Debug)]
    pub struct ReplayBody<B: Body> {
        read: VecDeque<Frame<B::Data>>,
        #[pin]
        rest: B,
    }
}

impl<B: Body> ReplayBody<B> {
    /// A body of which nothing was read.
    pub(super) fn new(rest: B) -> Self {
        Self {
            read: VecDeque::new(),
            rest,
        }
    }
}

impl<B: Body> Body for ReplayBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        match this.read.pop_front() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => this.rest.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        use bytes::Buf;

        let frames = self.read.iter().filter_map(Frame::data_ref);
        let read: usize = frames.map(Buf::remaining).sum();
        let read = read as u64;
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(read));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(read)) {
            hint.set_upper(upper);
        }
        hint
    }
}

/// A body that is read as far as an authorizer wants it, without copying more than it gets.
pub(super) struct Reading<B: Body> {
    body: ReplayBody<B>,
    // `None` if it wants nothing.
    settings: Option<BodySettings>,
    length: usize,
}

/// What was read of a body.
#[derive(Debug)]
pub(super) enum Read {
    /// As much as is wanted; nothing if nothing is.
    Enough(Option<CheckBody>),
    /// It is longer than it may be.
    TooLong,
}

impl<B> Reading<B>
where
    B: Body<Data = Bytes>,
{
    /// Nothing has been read yet.
    pub(super) fn new(body: B, settings: Option<BodySettings>) -> Self {
        Self {
            body: ReplayBody::new(body),
            settings,
            length: 0,
        }
    }

    /// The whole body again.
    pub(super) fn into_body(self) -> ReplayBody<B> {
        self.body
    }

    /// Reads on until enough is there.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Read, B::Error>>
    where
        B: Unpin,
    {
        let Some(settings) = self.settings else {
            return Poll::Ready(Ok(Read::Enough(None)));
        };
        let max = settings.max_bytes;
        let is_partial = loop {
            if self.length > max || (self.length == max && settings.allow_partial) {
                break self.length > max || !self.body.rest.is_end_stream();
            }
            let Some(frame) = ready!(Pin::new(&mut self.body.rest).poll_frame(cx)?) else {
                break false;
            };
            if frame.data_ref().is_some_and(Bytes::is_empty) {
                // However many there are, they are not kept.
                continue;
            }
            self.length += frame.data_ref().map_or(0, Bytes::len);
            self.body.read.push_back(frame);
        };
        if is_partial && !settings.allow_partial {
            return Poll::Ready(Ok(Read::TooLong));
        }
        let bytes = joined(&self.body.read, max);
        Poll::Ready(Ok(Read::Enough(Some(CheckBody { bytes, is_partial }))))
    }
}

/// The first bytes of the frames.
fn joined(frames: &VecDeque<Frame<Bytes>>, max: usize) -> Bytes {
    let data: Vec<&Bytes> = frames.iter().filter_map(Frame::data_ref).collect();
    match data.as_slice() {
        [] => Bytes::new(),
        [only] => only.slice(..only.len().min(max)),
        several => {
            let mut joined = BytesMut::new();
            for bytes in several {
                let left = max - joined.len();
                joined.extend_from_slice(&bytes[..bytes.len().min(left)]);
            }
            joined.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::poll_fn;

    use http_body_util::{BodyExt, Full};

    use super::*;

    /// A body of these chunks.
    #[derive(Debug)]
    struct Chunks(VecDeque<&'static str>);

    impl Body for Chunks {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let chunk = self.0.pop_front();
            Poll::Ready(chunk.map(|chunk| Ok(Frame::data(Bytes::from(chunk)))))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_empty()
        }
    }

    #[tokio::test]
    async fn a_body_is_read_as_far_as_wanted_and_passed_on_whole() {
        let cases = [
            (8, false, Some(("abcdef", false))),
            (6, false, Some(("abcdef", false))),
            (5, false, None),
            (6, true, Some(("abcdef", false))),
            (5, true, Some(("abcde", true))),
            (2, true, Some(("ab", true))),
            (0, true, Some(("", true))),
        ];
        for (max_bytes, allow_partial, expected) in cases {
            let settings = BodySettings {
                max_bytes,
                allow_partial,
            };
            let mut reading = Reading::new(Chunks(["ab", "cd", "ef"].into()), Some(settings));
            let seen = match poll_fn(|cx| reading.poll(cx)).await.unwrap() {
                Read::Enough(read) => read.map(|read| (read.bytes, read.is_partial)),
                Read::TooLong => None,
            };
            let expected = expected.map(|(bytes, partial)| (Bytes::from(bytes), partial));
            assert_eq!(seen, expected, "{settings:?}");
            let whole = reading.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(whole, "abcdef", "{settings:?}");
        }
    }

    #[test]
    fn its_length_is_known_if_that_of_the_rest_is() {
        let mut body = ReplayBody::new(Full::new(Bytes::from("cd")));
        body.read.push_back(Frame::data(Bytes::from("ab")));
        assert_eq!(body.size_hint().exact(), Some(4));
    }
}
