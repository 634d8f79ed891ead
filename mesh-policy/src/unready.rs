//! Give readiness back while a request waits.

/// A clone of `service` that has to get ready before it is called. So has `service`, from now on: what
/// its readiness held, such as a permit, is given back, and serves others while a request waits.
pub(crate) fn give_back<S: Clone>(service: &mut S) -> S {
    let clone = service.clone();
    *service = clone.clone();
    clone
}

#[cfg(test)]
pub(crate) mod tests {
    use std::convert::Infallible;
    use std::future::{Ready, ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http::{Request, Response};
    use tower_service::Service;

    /// A service that says hello, and counts how often its readiness is held.
    #[derive(Debug, Default)]
    pub(crate) struct Hello {
        is_ready: bool,
        held: Arc<AtomicU32>,
    }

    impl Hello {
        /// How many clones hold readiness.
        pub(crate) fn held(&self) -> u32 {
            self.held.load(Ordering::Relaxed)
        }

        fn give_back(&mut self) {
            if std::mem::take(&mut self.is_ready) {
                self.held.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    impl Clone for Hello {
        fn clone(&self) -> Self {
            Self {
                is_ready: false,
                held: Arc::clone(&self.held),
            }
        }
    }

    impl Drop for Hello {
        fn drop(&mut self) {
            self.give_back();
        }
    }

    impl<B> Service<Request<B>> for Hello {
        type Response = Response<Bytes>;
        type Error = Infallible;
        type Future = Ready<Result<Response<Bytes>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            if !std::mem::replace(&mut self.is_ready, true) {
                self.held.fetch_add(1, Ordering::Relaxed);
            }
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<B>) -> Self::Future {
            assert!(self.is_ready, "called before it was ready");
            self.give_back();
            ready(Ok(Response::new(Bytes::from_static(b"hello"))))
        }
    }
}
