use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::exchange::InFlight;

pin_project! {
    /// A response body, with whose end its request ends: until then the endpoint and the cluster
    /// count the request as active. After a response that switches its connection to another protocol
    /// they do so until the connection is closed, if it was made by `connect::Pools` or by whoever else
    /// marks such responses with a [`SwitchedRequest`](super::SwitchedRequest).
    #[derive(Debug)]
    pub struct TrackedBody<B> {
        #[pin]
        body: B,
        active: Option<InFlight>,
    }
}

impl<B> TrackedBody<B> {
    pub(super) fn new(body: B, active: Option<InFlight>) -> Self {
        Self { body, active }
    }

    /// The body itself.
    pub fn get_ref(&self) -> &B {
        &self.body
    }

    /// The body itself, to change it. What is read from it directly does not end its request.
    pub fn get_mut(&mut self) -> &mut B {
        &mut self.body
    }

    /// The body itself, and what has to be kept as long as the request counts as active.
    ///
    /// For those who have a body type of their own to hold both.
    pub fn into_parts(self) -> (B, Option<InFlight>) {
        (self.body, self.active)
    }
}

impl<B: Default> Default for TrackedBody<B> {
    fn default() -> Self {
        Self {
            body: B::default(),
            active: None,
        }
    }
}

impl<B: From<Bytes>> From<Bytes> for TrackedBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self {
            body: B::from(bytes),
            active: None,
        }
    }
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            *this.active = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[test]
    fn the_body_inside_can_be_had_and_changed() {
        let mut body = TrackedBody::new(Full::new(Bytes::from("hello")), None);
        *body.get_mut() = Full::new(Bytes::from("hello, mesh"));
        assert_eq!(body.get_ref().size_hint().exact(), Some(11));
    }
}
