//! Bodies that were read in part, and are passed on whole.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

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

/// Reads the beginning of a body, without copying more than the authorizer gets.
///
/// `None`: it is longer than it may be.
pub(super) async fn read<B>(
    body: B,
    settings: BodySettings,
) -> Result<(ReplayBody<B>, Option<CheckBody>), B::Error>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut body = ReplayBody::new(body);
    let mut length = 0;
    let mut is_partial = false;
    loop {
        if length > settings.max_bytes || (length == settings.max_bytes && settings.allow_partial) {
            is_partial = !body.rest.is_end_stream() || length > settings.max_bytes;
            break;
        }
        let frame = poll_fn(|cx| pin!(&mut body.rest).poll_frame(cx)).await;
        let Some(frame) = frame.transpose()? else {
            break;
        };
        if frame.data_ref().is_some_and(Bytes::is_empty) {
            // However many there are, they are not kept.
            continue;
        }
        length += frame.data_ref().map_or(0, Bytes::len);
        body.read.push_back(frame);
    }
    if is_partial && !settings.allow_partial {
        return Ok((body, None));
    }
    let read = CheckBody {
        bytes: joined(&body.read, settings.max_bytes),
        is_partial,
    };
    Ok((body, Some(read)))
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
            let chunks = Chunks(["ab", "cd", "ef"].into());
            let (whole, seen) = read(chunks, settings).await.unwrap();
            let seen = seen.map(|read| (read.bytes, read.is_partial));
            let expected = expected.map(|(bytes, partial)| (Bytes::from(bytes), partial));
            assert_eq!(seen, expected, "{settings:?}");
            let whole = whole.collect().await.unwrap().to_bytes();
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
