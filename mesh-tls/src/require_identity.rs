//! Refuse requests whose sender has not proven an expected identity.
//!
//! [`RequireIdentityLayer`] reads the [`PeerIdentity`] that the connection put into the request
//! (see [`connection`](crate::connection)). A request without one, or with one that is not
//! expected, is answered with `403 Forbidden` and the text `RBAC: access denied`, as Envoy's
//! authorization does, and never reaches the inner service. The answer carries
//! [`IdentityRefused`] in its extensions; Envoy sets no response flag for it, nor is one set here.
//!
//! An identity that is merely claimed ([`ClaimedIdentity`]) is not proven.
//!
//! This is the last line of a service that knows its callers; the rules of an AuthorizationPolicy
//! are those of mesh-policy. The inner service's error type is unchanged, and no future is
//! allocated.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use mesh_core::attributes::PeerIdentity;
//! use mesh_core::identity::SpiffeId;
//! use mesh_tls::require_identity::RequireIdentityLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let web: SpiffeId = "spiffe://cluster.local/ns/shop/sa/web".parse()?;
//! let service = ServiceBuilder::new()
//!     .layer(RequireIdentityLayer::one_of([web.clone()]))
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, Infallible>(Response::new(Bytes::from_static(b"cart")))
//!     }));
//!
//! let request = Request::get("/").extension(PeerIdentity(web)).body(())?;
//! assert_eq!(service.clone().oneshot(request).await?.body(), "cart");
//!
//! let response = service.oneshot(Request::get("/").body(())?).await?;
//! assert_eq!((response.status().as_u16(), &response.body()[..]), (403, &b"RBAC: access denied"[..]));
//! # Ok(())
//! # }
//! ```

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Extensions, Request, Response, StatusCode};
use mesh_core::attributes::PeerIdentity;
use mesh_core::identity::{SpiffeId, TrustDomains};
use mesh_core::reply::{self, Caller};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::connection::ClaimedIdentity;

/// Layer that applies [`RequireIdentity`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct RequireIdentityLayer {
    expected: Expected,
}

#[derive(Clone, Debug)]
enum Expected {
    Any,
    OneOf(Arc<HashSet<SpiffeId>>),
    TrustDomains(Arc<TrustDomains>),
}

impl RequireIdentityLayer {
    /// Requires any identity.
    pub fn any() -> Self {
        let expected = Expected::Any;
        Self { expected }
    }

    /// Requires one of these identities. Without any, every request is refused.
    pub fn one_of(identities: impl IntoIterator<Item = SpiffeId>) -> Self {
        let expected = Expected::OneOf(Arc::new(identities.into_iter().collect()));
        Self { expected }
    }

    /// Requires an identity of the local trust domain or of its aliases.
    pub fn of_trust_domains(domains: TrustDomains) -> Self {
        let expected = Expected::TrustDomains(Arc::new(domains));
        Self { expected }
    }
}

impl<S> Layer<S> for RequireIdentityLayer {
    type Service = RequireIdentity<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let expected = self.expected.clone();
        RequireIdentity { inner, expected }
    }
}

/// Middleware that refuses requests whose sender has not proven an expected identity.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct RequireIdentity<S> {
    inner: S,
    expected: Expected,
}

impl<S> RequireIdentity<S> {
    fn check(&self, extensions: &Extensions) -> Result<(), IdentityRefused> {
        let identity = extensions.get();
        let is_claimed = extensions.get::<ClaimedIdentity>().is_some();
        let Some(PeerIdentity(id)) = identity.filter(|_| !is_claimed) else {
            return Err(IdentityRefused { id: None });
        };
        let is_expected = match &self.expected {
            Expected::Any => true,
            Expected::OneOf(identities) => identities.contains(id),
            Expected::TrustDomains(domains) => {
                let mut domains = domains.iter();
                domains.any(|domain| id.is_member_of(domain))
            }
        };
        is_expected.then_some(()).ok_or_else(|| IdentityRefused {
            id: Some(id.clone()),
        })
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for RequireIdentity<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default + From<Bytes>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let state = match self.check(request.extensions()) {
            Ok(()) => State::Accepted {
                response: self.inner.call(request),
            },
            // The readiness that the inner service granted is left to the next request.
            Err(refused) => State::Refused {
                caller: Caller::of(request.headers()),
                refused: Some(refused),
            },
        };
        ResponseFuture { state }
    }
}

pin_project! {
    /// Response future of [`RequireIdentity`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State<F> {
        Accepted {
            #[pin]
            response: F,
        },
        Refused {
            caller: Caller,
            refused: Option<IdentityRefused>,
        },
    }
}

impl<F, ResBody, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Default + From<Bytes>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Accepted { response } => response.poll(cx),
            StateProj::Refused { caller, refused } => {
                let text = Bytes::from_static(b"RBAC: access denied");
                let mut response = reply::direct(*caller, StatusCode::FORBIDDEN, text);
                if let Some(refused) = refused.take() {
                    response.extensions_mut().insert(refused);
                }
                Poll::Ready(Ok(response))
            }
        }
    }
}

/// Marks a `403` as sent by [`RequireIdentity`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", match id {
    Some(id) => format!("`{id}` is not an expected identity"),
    None => "the sender has proven no identity".to_owned(),
})]
#[non_exhaustive]
pub struct IdentityRefused {
    /// The identity that was proven, if any was.
    pub id: Option<SpiffeId>,
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tower::{ServiceExt, service_fn};

    use super::*;

    fn id(text: &str) -> SpiffeId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn only_expected_identities_reach_the_service() {
        let web = id("spiffe://a/web");
        let domains = TrustDomains::new("a".parse().unwrap()).with_alias("b".parse().unwrap());
        let any = RequireIdentityLayer::any();
        let one = RequireIdentityLayer::one_of([web]);
        let nobody = RequireIdentityLayer::one_of([]);
        let of_domains = RequireIdentityLayer::of_trust_domains(domains);
        let cases = [
            ("any", &any, Some("spiffe://x/y"), true),
            ("any, none", &any, None, false),
            ("one", &one, Some("spiffe://a/web"), true),
            ("one, other", &one, Some("spiffe://a/cart"), false),
            ("nobody", &nobody, Some("spiffe://a/web"), false),
            ("alias", &of_domains, Some("spiffe://b/web"), true),
            ("other domain", &of_domains, Some("spiffe://c/web"), false),
        ];
        for (name, layer, identity, is_accepted) in cases {
            let response = send(layer, identity, "text/plain").await;
            let expected = if is_accepted { 200 } else { 403 };
            assert_eq!(response.status(), expected, "{name}");
            let refused = response.extensions().get::<IdentityRefused>();
            assert_eq!(refused.is_none(), is_accepted, "{name}");
            if let Some(refused) = refused {
                assert_eq!(refused.id, identity.map(id), "{name}");
            }
        }
    }

    #[tokio::test]
    async fn a_claimed_identity_is_not_proven() {
        let layer = RequireIdentityLayer::any();
        let inner =
            service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Bytes::new())) });
        let mut request = Request::get("/")
            .extension(PeerIdentity(id("spiffe://a/web")))
            .extension(ClaimedIdentity)
            .body(())
            .unwrap();
        let response = layer.layer(inner).oneshot(request.clone()).await.unwrap();
        let refused = response.extensions().get::<IdentityRefused>();
        assert_eq!(refused, Some(&IdentityRefused { id: None }));
        request.extensions_mut().remove::<ClaimedIdentity>();
        let response = layer.layer(inner).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
    }

    #[tokio::test]
    async fn a_grpc_client_gets_a_grpc_status() {
        let response = send(&RequireIdentityLayer::any(), None, "application/grpc").await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "7");
        assert_eq!(response.headers()["grpc-message"], "RBAC: access denied");
    }

    async fn send(
        layer: &RequireIdentityLayer,
        identity: Option<&str>,
        content_type: &str,
    ) -> Response<Bytes> {
        let inner =
            service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Bytes::new())) });
        let mut request = Request::get("/")
            .header("content-type", content_type)
            .body(())
            .unwrap();
        if let Some(identity) = identity {
            request.extensions_mut().insert(PeerIdentity(id(identity)));
        }
        layer.layer(inner).oneshot(request).await.unwrap()
    }
}
