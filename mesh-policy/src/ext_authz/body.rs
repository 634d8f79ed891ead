//! Bodies that were read in part, and are passed on whole.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::check::CheckBody;
use super::settings::BodySettings;
use crate::pieces::Pieces;

pin_project! {
    /// A body of which the beginning was read, and is given out again.
    #[derive(Debug)]
    pub struct PrefixedBody<B: Body> {
        read: VecDeque<Frame<B::Data>>,
        #[pin]
        rest: B,
    }
}

impl<B: Body> PrefixedBody<B> {
    /// A body of which nothing was read.
    pub(super) fn new(rest: B) -> Self {
        Self {
            read: VecDeque::new(),
            rest,
        }
    }
}

impl<B: Body> Body for PrefixedBody<B> {
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

/// A body that is read as far as an authorizer wants it. Large pieces are not copied more often than
/// it gets them; small ones are copied once more, so that what is kept is not many times as long.
pub(super) struct Reading<B: Body> {
    rest: B,
    read: Pieces,
    trailers: Option<Frame<B::Data>>,
    // `None` if it wants nothing.
    settings: Option<BodySettings>,
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
            rest: body,
            read: Pieces::default(),
            trailers: None,
            settings,
        }
    }

    /// The whole body again.
    pub(super) fn into_body(self) -> PrefixedBody<B> {
        let pieces = self.read.into_pieces().into_iter();
        PrefixedBody {
            read: pieces.map(Frame::data).chain(self.trailers).collect(),
            rest: self.rest,
        }
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
            let length = self.read.len();
            if length > max || (length == max && settings.allow_partial) {
                break length > max || !self.rest.is_end_stream();
            }
            let Some(frame) = ready!(Pin::new(&mut self.rest).poll_frame(cx)?) else {
                break false;
            };
            match frame.data_ref() {
                Some(piece) => self.read.push(piece),
                None => self.trailers = Some(frame),
            }
        };
        if is_partial && !settings.allow_partial {
            return Poll::Ready(Ok(Read::TooLong));
        }
        let bytes = self.read.joined(max);
        Poll::Ready(Ok(Read::Enough(Some(CheckBody { bytes, is_partial }))))
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

    #[tokio::test]
    async fn a_body_in_tiny_chunks_is_kept_in_few_pieces() {
        let settings = BodySettings {
            max_bytes: 20_000,
            allow_partial: false,
        };
        let chunks = ["a", ""].into_iter().cycle().take(40_000);
        let mut reading = Reading::new(Chunks(chunks.collect()), Some(settings));
        let read = poll_fn(|cx| reading.poll(cx)).await.unwrap();
        assert!(matches!(read, Read::Enough(Some(body)) if body.bytes.len() == 20_000));
        let body = reading.into_body();
        assert!(body.read.len() < 5, "{}", body.read.len());
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 20_000);
    }

    #[test]
    fn its_length_is_known_if_that_of_the_rest_is() {
        let mut body = PrefixedBody::new(Full::new(Bytes::from("cd")));
        body.read.push_back(Frame::data(Bytes::from("ab")));
        assert_eq!(body.size_hint().exact(), Some(4));
    }
}
