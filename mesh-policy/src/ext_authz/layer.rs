//! Ask the provider of CUSTOM policies before a request is forwarded.
//!
//! [`ExtAuthzLayer`] looks whether a CUSTOM policy of a [`PolicySet`] matches the request. If one
//! does, its provider decides: the request passes with the changes that the provider asks for, or
//! gets the provider's answer. It stands above the layers that verify tokens and evaluate the other
//! policies.
//!
//! When the provider fails or takes too long, the request passes if the provider is set to fail
//! open; else it is answered with `403`, or the status that is set. If there is no such provider,
//! or the policies name several, requests that match are denied.
//!
//! Answers given here carry [`ExtAuthzDenied`] in their extensions; those of the provider, or because it
//! failed, the flag `UAEX`, too.
//!
//! A request whose provider wants its body is read so far first; the inner service gets the whole
//! body all the same, as a [`PrefixedBody`]. What opens a WebSocket or a tunnel is not waited for: its client
//! sends nothing before it is answered.
//!
//! The inner service's error type is unchanged. A future is allocated for requests that a policy
//! matches. While a provider is asked, the readiness of the inner service is given back: a clone
//! becomes ready, and is called, once the request may pass.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::Full;
//! use mesh_core::identity::TrustDomains;
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::AuthorizationPolicy;
//! use mesh_policy::authz::PolicySet;
//! use mesh_policy::ext_authz::layer::ExtAuthzLayer;
//! use mesh_policy::ext_authz::{Answer, Authorize, Check, CheckFuture, Provider, Providers, Settings};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! /// Allows what has a ticket.
//! struct Tickets;
//!
//! impl Authorize for Tickets {
//!     fn check(&self, check: Check) -> CheckFuture<'_> {
//!         let has_ticket = check.headers.contains_key("x-ticket");
//!         Box::pin(async move {
//!             Ok(if has_ticket { Answer::allow() } else { Answer::deny(StatusCode::FORBIDDEN) })
//!         })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut policy = Resource::<AuthorizationPolicy>::default();
//! policy.spec = serde_json::from_str(
//!     r#"{"action": "CUSTOM", "provider": {"name": "tickets"}, "rules": [{}]}"#,
//! )?;
//! let domains = TrustDomains::new("cluster.local".parse()?);
//! let policies = PolicySet::compile(&[Arc::new(policy)], &domains);
//! let providers = Providers::default().with("tickets", Provider::new(Tickets, Settings::default()));
//! let service = ServiceBuilder::new()
//!     .layer(ExtAuthzLayer::new(policies, providers))
//!     .service(service_fn(|_: Request<_>| async {
//!         Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//!     }));
//!
//! let request = Request::get("/").body(Full::<Bytes>::default())?;
//! assert_eq!(service.clone().oneshot(request).await?.status(), 403);
//!
//! let request = Request::get("/").header("x-ticket", "1").body(Full::<Bytes>::default())?;
//! assert_eq!(service.oneshot(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use mesh_core::path::Normalization;
use mesh_core::reply::Caller;
use mesh_core::watch::Watch;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::body::PrefixedBody;
use super::changes::HeaderChange;
use super::decide::{Asking, Passed, Question};
pub use super::denied::ExtAuthzDenied;
use super::settings::Providers;
use crate::authz::layer::Denied;
use crate::authz::{Custom, Forwarding, PolicySet, View};
use crate::clock::WallClock;
use crate::unready;

/// Layer that applies [`ExtAuthz`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct ExtAuthzLayer {
    policies: Watch<PolicySet>,
    providers: Watch<Providers>,
    view: View,
    clock: WallClock,
}

impl ExtAuthzLayer {
    /// Asks `providers` as the CUSTOM policies among `policies` say.
    ///
    /// Pass a [`Watch`] to replace either while serving.
    pub fn new(
        policies: impl Into<Watch<PolicySet>>,
        providers: impl Into<Watch<Providers>>,
    ) -> Self {
        Self {
            policies: policies.into(),
            providers: providers.into(),
            view: View::default(),
            clock: WallClock::system(),
        }
    }

    /// Which time providers are told that a request arrived. Default: that of the system.
    #[must_use]
    pub fn with_clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }

    /// Which form paths are brought into. Default: [`Normalization::Base`], as in Istio.
    #[must_use]
    pub fn with_path_normalization(mut self, normalization: Normalization) -> Self {
        self.view.normalization = normalization;
        self
    }

    /// Which address is that of the client. Default: that of the peer.
    #[must_use]
    pub fn with_forwarding(mut self, forwarding: Forwarding) -> Self {
        self.view.forwarding = forwarding;
        self
    }
}

impl<S> Layer<S> for ExtAuthzLayer {
    type Service = ExtAuthz<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self {
            policies,
            providers,
            view,
            clock,
        } = self.clone();
        ExtAuthz {
            inner,
            policies,
            providers,
            view,
            clock,
        }
    }
}

/// Middleware that asks a provider about requests.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct ExtAuthz<S> {
    inner: S,
    policies: Watch<PolicySet>,
    providers: Watch<Providers>,
    view: View,
    clock: WallClock,
}

impl<S> ExtAuthz<S> {
    inner_service!();
}

impl<S, B, ResBody> Service<Request<B>> for ExtAuthz<S>
where
    S: Service<Request<PrefixedBody<B>>, Response = Response<ResBody>> + Clone,
    B: Body<Data = Bytes> + Unpin,
    ResBody: Default + From<Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let caller = Caller::of(request.headers());
        let state = match self.judge(&mut request) {
            Ok(None) => State::Calling {
                response: self.inner.call(request.map(PrefixedBody::new)),
                changes: Vec::new(),
            },
            Ok(Some(question)) => State::Asking {
                asking: Some(Box::new(Asking::new(question, request))),
                inner: Some(unready::give_back(&mut self.inner)),
            },
            Err(denied) => State::Refused {
                denied: Some(denied),
            },
        };
        ResponseFuture { state, caller }
    }
}

impl<S> ExtAuthz<S> {
    /// The question that a provider is to be asked, if any.
    fn judge<B>(&self, request: &mut Request<B>) -> Result<Option<Question>, ExtAuthzDenied> {
        let policies = self.policies.load();
        let custom = policies.custom();
        if custom.is_empty() {
            return Ok(None);
        }
        if !self.view.normalize(request) {
            return Err(ExtAuthzDenied::Policy(Denied::InvalidPath));
        }
        let facts = self.view.of(request, custom.needs_connection());
        let facts = facts.ok_or(ExtAuthzDenied::Policy(Denied::UnknownConnection))?;
        match custom.evaluate(&facts) {
            Custom::Pass => Ok(None),
            Custom::Deny(rule) => Err(ExtAuthzDenied::Policy(Denied::Rule(Arc::clone(rule)))),
            Custom::Ask { provider, rule } => match self.providers.load().get(provider) {
                Some(provider) => Ok(Some(Question::new(
                    provider.clone(),
                    Arc::clone(rule),
                    self.clock.now(),
                ))),
                None => Err(ExtAuthzDenied::Policy(Denied::Rule(Arc::clone(rule)))),
            },
        }
    }
}

pin_project! {
    /// Response future of [`ExtAuthz`].
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<PrefixedBody<B>>>,
        B: Body,
    {
        #[pin]
        state: State<S, B>,
        caller: Caller,
    }
}

pin_project! {
    #[project = StateProject]
    enum State<S, B>
    where
        S: Service<Request<PrefixedBody<B>>>,
        B: Body,
    {
        Asking {
            // Boxed, for most requests are not asked about.
            asking: Option<Box<Asking<B>>>,
            inner: Option<S>,
        },
        // Boxed, too.
        Passing {
            passed: Option<Box<Passed<B>>>,
            inner: S,
        },
        Calling {
            #[pin]
            response: S::Future,
            changes: Vec<HeaderChange>,
        },
        Refused { denied: Option<ExtAuthzDenied> },
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<PrefixedBody<B>>>,
    B: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
where
    S: Service<Request<PrefixedBody<B>>, Response = Response<ResBody>>,
    B: Body<Data = Bytes> + Unpin,
    ResBody: Default + From<Bytes>,
{
    type Output = Result<Response<ResBody>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let decided = match this.state.as_mut().project() {
                StateProject::Asking { asking, inner } => {
                    let mut held = asking.take().expect("a request is held until it passes");
                    match held.poll(cx) {
                        Poll::Pending => {
                            *asking = Some(held);
                            return Poll::Pending;
                        }
                        Poll::Ready(Ok(changes)) => State::Passing {
                            passed: Some(Box::new(held.pass(*changes))),
                            inner: inner
                                .take()
                                .expect("the service is there until it is called"),
                        },
                        Poll::Ready(Err(denied)) => State::Refused {
                            denied: Some(denied),
                        },
                    }
                }
                StateProject::Passing { passed, inner } => {
                    ready!(inner.poll_ready(cx))?;
                    let passed = passed.take().expect("a request is held until it is sent");
                    let Passed { request, response } = *passed;
                    State::Calling {
                        response: inner.call(request),
                        changes: response,
                    }
                }
                StateProject::Calling { response, changes } => {
                    let mut response = ready!(response.poll(cx))?;
                    for change in changes.drain(..) {
                        change.apply(response.headers_mut());
                    }
                    return Poll::Ready(Ok(response));
                }
                StateProject::Refused { denied } => {
                    let denied = denied.take().expect("not polled after completion");
                    return Poll::Ready(Ok(denied.into_response(*this.caller)));
                }
            };
            this.state.set(decided);
        }
    }
}
