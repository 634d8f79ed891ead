//! Counting what is under way, up to a limit, without a lock.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// A limit, and how much of it is taken. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Permits {
    most: u32,
    taken: Arc<AtomicU32>,
}

impl Permits {
    /// A limit of which nothing is taken.
    pub(crate) fn new(most: u32) -> Self {
        let taken = Arc::default();
        Self { most, taken }
    }

    /// Another limit on what is counted here.
    pub(crate) fn with_limit(&self, most: u32) -> Self {
        let taken = Arc::clone(&self.taken);
        Self { most, taken }
    }

    /// How much is taken.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes one, unless the limit is reached.
    pub(crate) fn take(&self) -> Option<Permit> {
        let (order, most) = (Ordering::Relaxed, self.most);
        let taken = self
            .taken
            .fetch_update(order, order, |taken| (taken < most).then_some(taken + 1));
        taken.ok().map(|_| Permit(Arc::clone(&self.taken)))
    }
}

/// One of [`Permits`], given back when it is dropped.
pub(crate) struct Permit(Arc<AtomicU32>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

pin_project! {
    /// The body of a response whose request counts until the body has ended, failed or been
    /// dropped.
    #[derive(Debug, Default)]
    pub struct CountedBody<B> {
        #[pin]
        inner: B,
        permit: Option<Permit>,
    }
}

impl<B> CountedBody<B> {
    pub(crate) fn new(inner: B, permit: Option<Permit>) -> Self {
        Self { inner, permit }
    }
}

impl<B: From<Bytes>> From<Bytes> for CountedBody<B> {
    fn from(bytes: Bytes) -> Self {
        Self::new(bytes.into(), None)
    }
}

impl<B: Body> Body for CountedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = this.inner.poll_frame(cx);
        if let Poll::Ready(None | Some(Err(_))) = frame {
            *this.permit = None;
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
    use http_body_util::{BodyExt, Full};

    use super::*;

    #[test]
    fn no_more_are_taken_than_the_limit_allows() {
        let permits = Permits::new(2);
        let taken: Vec<_> = std::iter::from_fn(|| permits.take()).collect();
        assert_eq!((taken.len(), permits.taken()), (2, 2));
        drop(taken);
        assert_eq!(permits.taken(), 0);
        assert!(Permits::new(0).take().is_none());
    }

    #[tokio::test]
    async fn a_body_counts_until_its_end() {
        let permits = Permits::new(2);
        let body = || CountedBody::new(Full::new(Bytes::from_static(b"a")), permits.take());
        let (mut read, dropped) = (body(), body());
        assert_eq!(permits.taken(), 2);
        drop(dropped);
        read.frame().await.unwrap().unwrap();
        assert_eq!(permits.taken(), 1);
        assert!(read.frame().await.is_none());
        assert_eq!(permits.taken(), 0);
    }
}
