//! Send copies of requests elsewhere, without waiting for them.
//!
//! [`MirrorLayer`] copies the requests whose route has mirrors, by the rules of
//! [`filter::mirror`](crate::filter::mirror), and hands each copy to a client of your choice. The
//! copy carries a [`MatchedRoute`] for the mirror's cluster, so that the client can be the same
//! stack that forwards the request itself. Its response is read to the end and discarded, its
//! errors too.
//!
//! The layer belongs right above that which forwards, below all filters: a copy looks like the
//! request that is forwarded.
//!
//! # Bodies
//!
//! The body is shared while it streams: the inner service gets a [`TeeBody`], which passes each
//! frame on at once and leaves a reference to it, trailers included, to the [`MirrorBody`] of each
//! copy. The main path neither buffers nor waits. What a copy has not yet read is bounded (1 MiB
//! unless [set](MirrorLayer::with_buffer_limit), in at most a 64th as many pieces and 64 more): a
//! copy that falls further behind fails, as do all copies of a request that is cut short.
//!
//! # Tasks
//!
//! An [`Executor`] runs the copies. [`TokioTasks`], the default, spawns them on the runtime, at most
//! 1,024 at a time whatever cluster they are for, drops those beyond, which it can
//! [count](TokioTasks::with_count), and stops them when the last clone of the layer and its services is
//! dropped. [`LocalTasks`] does the same for clients whose futures are not `Send`, within a
//! `tokio::task::LocalSet`.
//!
//! How long a copy may take, and how many of a cluster may be under way, is for the client to decide. In
//! Envoy a copy has the timeout of the route, which is none if the route has none, and counts for the
//! limits of its cluster: put a timeout and the limits of clusters into the client, as for the
//! request itself. A client without both may leave copies to a silent upstream for ever, until
//! there is no room for others.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::filter::Mirror;
//! use mesh_core::model::route::{Route, RouteAction, RouteMatch};
//! use mesh_core::origin::Origin;
//! use mesh_core::percent::Percent;
//! use mesh_core::service::ClusterName;
//! use mesh_routing::layer::mirror::{MirrorBody, MirrorLayer, TeeBody};
//! use tokio::sync::mpsc;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = ClusterName::outbound(80, "v1", "cart.example");
//! let mut route = Route::forward("cart", RouteMatch::prefix("/"), cluster);
//! if let RouteAction::Forward(forward) = &mut route.action {
//!     forward.mirrors = vec![Mirror {
//!         cluster: ClusterName::outbound(80, "v2", "cart.example"),
//!         percent: Percent::HUNDRED,
//!         origin: Origin::synthetic("example"),
//!     }];
//! }
//!
//! let (seen, mut mirrored) = mpsc::unbounded_channel();
//! let client = service_fn(move |copy: Request<MirrorBody>| {
//!     let seen = seen.clone();
//!     async move {
//!         let body = copy.into_body().collect().await.expect("the request is whole");
//!         seen.send(body.to_bytes()).expect("the test listens");
//!         Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//!     }
//! });
//! let upstream = service_fn(|request: Request<TeeBody<Full<Bytes>>>| async {
//!     Ok::<_, Infallible>(Response::new(request.into_body().collect().await?.to_bytes()))
//! });
//! let service = ServiceBuilder::new().layer(MirrorLayer::new(client)).service(upstream);
//!
//! let request = Request::post("/cart").extension(MatchedRoute::new(Arc::new(route), 0));
//! let response = service.clone().oneshot(request.body(Full::from("item"))?).await?;
//! assert_eq!(response.body(), "item");
//! assert_eq!(mirrored.recv().await.as_deref(), Some(&b"item"[..]));
//! # Ok(())
//! # }
//! ```

mod body;
mod executor;
mod mirrored_request;
#[cfg(test)]
mod tests;

use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use mesh_core::attributes::MatchedRoute;
use tower_layer::Layer;
use tower_service::Service;

pub use self::body::{MirrorBody, MirrorBodyError, TeeBody};
pub use self::executor::{Executor, LocalTasks, TokioTasks};
pub use self::mirrored_request::MirroredRequest;
use super::seams::Random;
use crate::filter::mirror;
use crate::request::RequestHead;

const BUFFER_LIMIT: usize = 1024 * 1024;

/// Layer that applies [`Mirroring`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct MirrorLayer<C, E = TokioTasks> {
    client: C,
    executor: E,
    random: Random,
    buffer_limit: usize,
    shadow_suffix: bool,
}

impl<C> MirrorLayer<C> {
    /// Sends copies by `client`, in tasks of the tokio runtime.
    pub fn new(client: C) -> Self {
        Self {
            client,
            executor: TokioTasks::default(),
            random: Random::default(),
            buffer_limit: BUFFER_LIMIT,
            shadow_suffix: false,
        }
    }
}

impl<C, E> MirrorLayer<C, E> {
    /// Runs copies by `executor`.
    #[must_use]
    pub fn with_executor<T>(self, executor: T) -> MirrorLayer<C, T> {
        MirrorLayer {
            client: self.client,
            executor,
            random: self.random,
            buffer_limit: self.buffer_limit,
            shadow_suffix: self.shadow_suffix,
        }
    }

    /// Draws whether a request is copied by numbers from `random`, which should be uniform over
    /// all values. The default is a generator of the thread that is not fit for secrets.
    #[must_use]
    pub fn with_random(self, random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        let random = Random::new(random);
        Self { random, ..self }
    }

    /// Sets how many bytes of a body a copy may be behind before it fails. The default is 1 MiB. It
    /// fails as well when it is more than 64 pieces and one for every 64 of these bytes behind, which
    /// is what it takes to keep track of them.
    #[must_use]
    pub fn with_buffer_limit(self, bytes: usize) -> Self {
        Self {
            buffer_limit: bytes,
            ..self
        }
    }

    /// Sets whether the host of copies ends in `-shadow`, as Envoy does on its own. The default is
    /// no, as in Istio.
    #[must_use]
    pub fn with_shadow_suffix(self, shadow_suffix: bool) -> Self {
        Self {
            shadow_suffix,
            ..self
        }
    }
}

impl<S, C: Clone, E: Clone> Layer<S> for MirrorLayer<C, E> {
    type Service = Mirroring<S, C, E>;

    fn layer(&self, inner: S) -> Self::Service {
        let copies = self.clone();
        Mirroring { inner, copies }
    }
}

/// Middleware that sends copies of requests.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Mirroring<S, C, E = TokioTasks> {
    inner: S,
    copies: MirrorLayer<C, E>,
}

impl<S, C, E> Mirroring<S, C, E> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, which may be changed.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without the middleware.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, C, E, ReqBody, CopyBody> Service<Request<ReqBody>> for Mirroring<S, C, E>
where
    S: Service<Request<TeeBody<ReqBody>>>,
    ReqBody: Body<Data = Bytes>,
    C: Service<Request<MirrorBody>, Response = Response<CopyBody>> + Clone,
    E: Executor<MirroredRequest<C, C::Future, CopyBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let (head, body) = request.into_parts();
        let mut body = TeeBody::new(body);
        let mirrored = head.extensions.get::<MatchedRoute>().filter(|matched| {
            let mirrors = matched.forward().map(|forward| &forward.mirrors);
            mirrors.is_some_and(|mirrors| !mirrors.is_empty())
        });
        if let Some(matched) = mirrored
            && mirror::is_copyable(&RequestHead::from(&head))
        {
            self.copies.send(matched, &head, &mut body);
        }
        self.inner.call(Request::from_parts(head, body))
    }
}

impl<C, E> MirrorLayer<C, E> {
    fn send<ReqBody, CopyBody>(
        &self,
        matched: &MatchedRoute,
        head: &Parts,
        body: &mut TeeBody<ReqBody>,
    ) where
        ReqBody: Body<Data = Bytes>,
        C: Service<Request<MirrorBody>, Response = Response<CopyBody>> + Clone,
        E: Executor<MirroredRequest<C, C::Future, CopyBody>>,
    {
        let mirrors = matched
            .forward()
            .map_or(&[][..], |forward| &forward.mirrors);
        for mirror in mirror::draw(mirrors, || self.random.draw()) {
            let mut copy = mirror::copy(mirror, matched, head);
            if self.shadow_suffix {
                mirror::add_shadow_suffix(&mut copy);
            }
            let copy = Request::from_parts(copy, body.share(self.buffer_limit));
            self.executor
                .execute(MirroredRequest::new(self.client.clone(), copy));
        }
    }
}
