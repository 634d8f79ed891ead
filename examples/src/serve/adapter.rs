//! A tower service as hyper wants it.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http::Request;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::util::Oneshot;
use tower_service::Service;

use super::open::Slot;

/// Calls a tower service, without cloning it as long as it is ready.
pub(super) struct Adapter<S> {
    service: RefCell<S>,
    slot: Rc<Slot>,
}

impl<S> Adapter<S> {
    pub(super) fn new(service: S, slot: Rc<Slot>) -> Self {
        let service = RefCell::new(service);
        Self { service, slot }
    }
}

impl<S> hyper::service::Service<Request<Incoming>> for Adapter<S>
where
    S: Service<Request<Incoming>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S>;

    fn call(&self, request: Request<Incoming>) -> ResponseFuture<S> {
        self.slot.request_arrived();
        let mut service = self.service.borrow_mut();
        // If it is not ready, a clone is waited for, and this waker has nobody to wake.
        let mut unwoken = Context::from_waker(Waker::noop());
        match service.poll_ready(&mut unwoken) {
            Poll::Ready(Ok(())) => ResponseFuture::Called {
                response: service.call(request),
            },
            Poll::Ready(Err(error)) => ResponseFuture::Failed { error: Some(error) },
            Poll::Pending => ResponseFuture::Waiting {
                response: Oneshot::new(service.clone(), request),
            },
        }
    }
}

pin_project! {
    /// Response future of [`Adapter`].
    #[project = ResponseFutureProject]
    pub(super) enum ResponseFuture<S>
    where
        S: Service<Request<Incoming>>,
    {
        Called {
            #[pin]
            response: S::Future,
        },
        Failed {
            error: Option<S::Error>,
        },
        Waiting {
            #[pin]
            response: Oneshot<S, Request<Incoming>>,
        },
    }
}

impl<S> Future for ResponseFuture<S>
where
    S: Service<Request<Incoming>>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            ResponseFutureProject::Called { response } => response.poll(cx),
            ResponseFutureProject::Failed { error } => match error.take() {
                Some(error) => Poll::Ready(Err(error)),
                None => Poll::Pending,
            },
            ResponseFutureProject::Waiting { response } => response.poll(cx),
        }
    }
}
