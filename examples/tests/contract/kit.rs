//! The kit itself: it notices layers that break the contract.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::time::{Duration, sleep};
use tower::Service;
use tower_layer::layer_fn;

use crate::checks::{Cases, keeps_the_contract};
use crate::requests::plain;
use crate::strict::{Failure, OwnBody, Strict};

type Reply = Pin<Box<dyn Future<Output = Result<Response<OwnBody>, Failure>>>>;

/// How the contract is broken.
#[derive(Clone, Copy, Debug)]
enum Sin {
    /// A clone is called in place of the instance that was ready.
    CallsAClone,
    /// The layer says that it is ready before the service below is.
    PretendsToBeReady,
    /// An error is made a response.
    SwallowsErrors,
    /// What is dropped goes on in a task.
    OutlivesItsCaller,
}

#[derive(Clone)]
struct Sinner {
    inner: Strict<Failure>,
    sin: Sin,
}

impl Service<Request<OwnBody>> for Sinner {
    type Response = Response<OwnBody>;
    type Error = Failure;
    type Future = Reply;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let ready = Service::<Request<OwnBody>>::poll_ready(&mut self.inner, cx);
        match self.sin {
            Sin::PretendsToBeReady => Poll::Ready(Ok(())),
            _ => ready,
        }
    }

    fn call(&mut self, request: Request<OwnBody>) -> Reply {
        match self.sin {
            Sin::CallsAClone => {
                let mut clone = self.inner.clone();
                Box::pin(async move {
                    sleep(Duration::from_millis(1)).await;
                    clone.call(request).await
                })
            }
            Sin::PretendsToBeReady => Box::pin(self.inner.call(request)),
            Sin::SwallowsErrors => {
                let reply = self.inner.call(request);
                Box::pin(async { Ok(reply.await.unwrap_or_default()) })
            }
            Sin::OutlivesItsCaller => {
                let reply = tokio::spawn(self.inner.call(request));
                Box::pin(async { reply.await.unwrap() })
            }
        }
    }
}

async fn check(sin: Sin) {
    let layer = || layer_fn(|inner| Sinner { inner, sin });
    keeps_the_contract(layer, &Cases::passing(plain)).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "called before it was ready")]
async fn a_layer_that_calls_a_clone_is_noticed() {
    check(Sin::CallsAClone).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "ready too early")]
async fn a_layer_that_pretends_to_be_ready_is_noticed() {
    check(Sin::PretendsToBeReady).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "Some(Failure(7))")]
async fn a_layer_that_swallows_errors_is_noticed() {
    check(Sin::SwallowsErrors).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "dropped after")]
async fn a_layer_that_outlives_its_caller_is_noticed() {
    check(Sin::OutlivesItsCaller).await;
}
