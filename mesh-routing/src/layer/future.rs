use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;

use super::finish::Finish;

pin_project! {
    /// Response future of the layers that route and filter.
    #[derive(Debug)]
    pub struct ResponseFuture<F, ResBody> {
        #[pin]
        source: Source<F, ResBody>,
        finish: Option<Box<Finish>>,
    }
}

pin_project! {
    /// Where the response comes from.
    #[derive(Debug)]
    #[project = SourceProjection]
    enum Source<F, ResBody> {
        // `None` once it has been returned.
        Answer { response: Option<Response<ResBody>> },
        Inner { #[pin] future: F },
    }
}

impl<F, ResBody> ResponseFuture<F, ResBody> {
    /// A response that is there already.
    pub(super) fn answered(response: Response<ResBody>, finish: Option<Box<Finish>>) -> Self {
        let response = Some(response);
        let source = Source::Answer { response };
        Self { source, finish }
    }

    /// The response of the inner service.
    pub(super) fn forwarded(future: F, finish: Option<Box<Finish>>) -> Self {
        let source = Source::Inner { future };
        Self { source, finish }
    }
}

impl<F, ResBody, E> Future for ResponseFuture<F, ResBody>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = match this.source.project() {
            SourceProjection::Answer { response } => response
                .take()
                .expect("a future is not polled after it has completed"),
            SourceProjection::Inner { future } => ready!(future.poll(cx))?,
        };
        Poll::Ready(Ok(match this.finish {
            Some(finish) => finish.apply(response),
            None => response,
        }))
    }
}
