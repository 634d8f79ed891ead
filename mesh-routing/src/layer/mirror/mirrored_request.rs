use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::body::MirrorBody;

pin_project! {
    /// Sends a copy and discards its response: what an [`Executor`](super::Executor) runs.
    ///
    /// It waits until the client is ready, sends the copy, and reads the response to its end, so
    /// that its connection can be used again. Errors end it.
    #[derive(Debug)]
    pub struct MirroredRequest<C, F, B> {
        client: C,
        request: Option<Request<MirrorBody>>,
        #[pin]
        exchange: Exchange<F, B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = ExchangeProjection]
    enum Exchange<F, B> {
        NotSent,
        Sent { #[pin] response: F },
        Answered { #[pin] body: B },
    }
}

impl<C, F, B> MirroredRequest<C, F, B> {
    pub(super) fn new(client: C, request: Request<MirrorBody>) -> Self {
        Self {
            client,
            request: Some(request),
            exchange: Exchange::NotSent,
        }
    }
}

impl<C, B> Future for MirroredRequest<C, C::Future, B>
where
    C: Service<Request<MirrorBody>, Response = Response<B>>,
    B: Body,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            let next = match this.exchange.as_mut().project() {
                ExchangeProjection::NotSent => {
                    let ready = ready!(this.client.poll_ready(cx));
                    let (Ok(()), Some(request)) = (ready, this.request.take()) else {
                        return Poll::Ready(());
                    };
                    Exchange::Sent {
                        response: this.client.call(request),
                    }
                }
                ExchangeProjection::Sent { response } => match ready!(response.poll(cx)) {
                    Ok(response) => Exchange::Answered {
                        body: response.into_body(),
                    },
                    Err(_) => return Poll::Ready(()),
                },
                ExchangeProjection::Answered { body } => match ready!(body.poll_frame(cx)) {
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => return Poll::Ready(()),
                },
            };
            this.exchange.set(next);
        }
    }
}
