//! Requests of the gateway's own: what it asks others before it lets requests of clients pass.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc as std_mpsc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Collected, Limited};
use mesh_core::attributes::MatchedRoute;
use mesh_core::model::route::{Route, RouteAction, RouteMatch};
use mesh_core::service::ClusterName;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use tonic::body::Body;
use tower::ServiceExt;
use tower_service::Service;

use super::upstream::{self, Upstreams};
use crate::upstream::{Pool, PoolSettings};

/// How many requests wait for the thread, before further ones fail at once.
const WAITING: usize = 1024;
/// The most bytes of an answer that are read.
const MAX_ANSWER: usize = 1 << 20;

/// Sends requests of the gateway's own to clusters of its configuration.
///
/// They are balanced and sent as those of clients are, by a thread of their own, which ends with the
/// last [`Client`]. It is not there before the first.
#[derive(Debug, Default)]
pub(super) struct Calls {
    thread: Option<mpsc::Sender<Work>>,
}

impl Calls {
    /// Runs `task` on the thread of a client.
    pub(super) fn run(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(thread) = &self.thread {
            // A thread with so much to do has no time for it.
            let _ = thread.try_send(Work::Run(Box::pin(task)));
        }
    }

    /// A client of `cluster`, one of `clusters`, whose requests may take no longer than `timeout`.
    pub(super) fn client(
        &mut self,
        clusters: &Upstreams,
        cluster: &ClusterName,
        timeout: Duration,
    ) -> io::Result<Client> {
        let thread = match &self.thread {
            Some(thread) => thread.clone(),
            None => self.thread.insert(start()?).clone(),
        };
        let mut route = Route::forward("", RouteMatch::prefix("/"), cluster.clone());
        if let RouteAction::Forward(forward) = &mut route.action {
            forward.timeout = Some(timeout);
        }
        let host = cluster.host().unwrap_or_default();
        Ok(Client {
            thread,
            clusters: clusters.clone(),
            matched: MatchedRoute::new(Arc::new(route), 0),
            authority: Authority::try_from(host).map_err(io::Error::other)?,
        })
    }
}

/// Sends requests to a cluster, and gives whole answers. Cheap to clone.
///
/// Requests are given up when their futures are dropped.
#[derive(Clone, Debug)]
pub(super) struct Client {
    thread: mpsc::Sender<Work>,
    clusters: Upstreams,
    matched: MatchedRoute,
    // The host of requests that name none.
    authority: Authority,
}

impl<B> Service<Request<B>> for Client
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Collected<Bytes>>;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, CallError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut request = request.map(Body::new);
        let named = request.headers().contains_key(HOST);
        let uri = std::mem::take(request.uri_mut());
        *request.uri_mut() = addressed(uri, (!named).then_some(&self.authority));
        request.extensions_mut().insert(self.matched.clone());
        let (answer, answered) = oneshot::channel();
        let sent = self.thread.try_send(Work::Send(Box::new(Call {
            clusters: self.clusters.clone(),
            request,
            answer,
        })));
        Box::pin(async move {
            sent.map_err(|_| CallError::Overloaded)?;
            answered.await.unwrap_or(Err(CallError::Stopped))
        })
    }
}

/// Why a request of the gateway's own has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum CallError {
    /// The answer broke off, or is too long.
    #[error("the answer cannot be read")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Too many requests wait.
    #[error("too many requests wait to be sent")]
    Overloaded,
    /// The thread that sends requests has stopped.
    #[error("no request is sent any more")]
    Stopped,
}

/// Something for the thread to do.
enum Work {
    Run(Pin<Box<dyn Future<Output = ()> + Send>>),
    Send(Box<Call>),
}

/// A request for the thread.
struct Call {
    clusters: Upstreams,
    request: Request<Body>,
    answer: oneshot::Sender<Result<Response<Collected<Bytes>>, CallError>>,
}

/// A path alone if the `host` field names the host, and else an address at `authority`.
fn addressed(uri: Uri, authority: Option<&Authority>) -> Uri {
    let mut parts = uri.into_parts();
    let root = || PathAndQuery::from_static("/");
    parts.path_and_query.get_or_insert_with(root);
    parts.scheme = authority.map(|_| Scheme::HTTP);
    parts.authority = authority.cloned();
    // A path is there, and a scheme with the authority, which is all that is asked for.
    Uri::from_parts(parts).unwrap_or_default()
}

/// Starts the thread, which ends when nobody can send to it any more.
fn start() -> io::Result<mpsc::Sender<Work>> {
    let (sender, calls) = mpsc::channel(WAITING);
    // The runtime cannot leave its thread, nor can its failure be ignored.
    let (tell, started) = std_mpsc::channel();
    thread::Builder::new()
        .name("calls".to_owned())
        .spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    let _ = tell.send(Ok(()));
                    runtime.block_on(async { work(calls).await });
                }
                Err(error) => {
                    let _ = tell.send(Err(error));
                }
            }
        })?;
    started.recv().map_err(io::Error::other)??;
    Ok(sender)
}

async fn work(mut works: mpsc::Receiver<Work>) {
    let pool = Pool::new(PoolSettings::default());
    while let Some(work) = works.recv().await {
        match work {
            Work::Run(task) => drop(tokio::task::spawn_local(task)),
            Work::Send(call) => drop(tokio::task::spawn_local(call.send(pool.clone()))),
        }
    }
}

impl Call {
    /// Sends the request, unless nobody waits for its answer any more.
    async fn send(self: Box<Self>, pool: Pool<Body>) {
        let Self {
            clusters,
            request,
            mut answer,
        } = *self;
        let sending = Box::pin(send(clusters, request, pool));
        let given_up = Box::pin(answer.closed());
        let result = match select(sending, given_up).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => return,
        };
        let _ = answer.send(result);
    }
}

async fn send(
    clusters: Upstreams,
    request: Request<Body>,
    pool: Pool<Body>,
) -> Result<Response<Collected<Bytes>>, CallError> {
    let answered = upstream::dispatch(&clusters, &pool, true)
        .oneshot(request)
        .await;
    let (head, body) = match answered {
        Ok(response) => response.into_parts(),
        Err(never) => match never {},
    };
    let body = Limited::new(body, MAX_ANSWER).collect().await;
    let body = body.map_err(CallError::Answer)?;
    Ok(Response::from_parts(head, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_to_the_host_that_it_names() {
        let authority = Authority::from_static("limits.example");
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let cases = [
            ("http://authz.example:80/a?b", None, "/a?b"),
            ("/a?b", Some(&authority), "http://limits.example/a?b"),
            ("http://authz.example", None, "/"),
        ];
        for (written, authority, expected) in cases {
            assert_eq!(
                addressed(uri(written), authority),
                uri(expected),
                "{written}"
            );
        }
    }
}
