//! Find out who asks for a certificate.
//!
//! [`AuthenticateLayer`] puts a [`Caller`] into the extensions of each request, for the service
//! below it, and answers requests of unknown callers itself: to gRPC clients `UNAUTHENTICATED` with
//! istiod's text, `request authenticate failure`, to others `401 Unauthorized`. As in istiod, these
//! are tried in order:
//!
//! 1. the identity that the client's certificate proves, [`PeerIdentity`], unless it is merely
//!    claimed ([`ClaimedIdentity`]);
//! 2. the bearer token of `authorization`, by each [`TokenReview`]: that of Kubernetes, or of an
//!    OIDC provider;
//! 3. `x-forwarded-client-cert`, from proxies at given addresses: the one URI of the last element,
//!    which is the one that the proxy wrote. istiod takes all names of all elements.
//!
//! The inner service's error type is unchanged. Only a token makes for a future on the heap.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use mesh_core::attributes::PeerIdentity;
//! use mesh_tls::ca::authenticate::{AuthenticateLayer, Caller};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let who = service_fn(|request: Request<()>| async move {
//!     let caller = request.extensions().get::<Caller>().map(|caller| caller.id.to_string());
//!     Ok::<_, Infallible>(Response::new(caller.unwrap_or_default()))
//! });
//! let service = AuthenticateLayer::new().layer(who);
//!
//! let peer = PeerIdentity("spiffe://mesh/ns/shop/sa/cart".parse()?);
//! let response = service.clone().oneshot(Request::get("/").extension(peer).body(())?).await?;
//! assert_eq!(response.body(), "spiffe://mesh/ns/shop/sa/cart");
//!
//! let response = service.oneshot(Request::get("/").body(())?).await?;
//! assert_eq!(response.status(), 401);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use mesh_core::attributes::{ConnectionInfo, PeerIdentity, ResponseFlag};
use mesh_core::identity::SpiffeId;
use mesh_core::matcher::CidrSet;
use mesh_core::reply;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::token_review::{BoundPod, Reviewed};
use crate::connection::ClaimedIdentity;
use crate::xfcc::{X_FORWARDED_CLIENT_CERT, Xfcc};

const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whoever asks for a certificate, as an extension of the request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Caller {
    /// Who it is.
    pub id: SpiffeId,
    /// What proves it.
    pub proof: Proof,
    /// The pod that its token is bound to, of the namespace of its service account. `None` where there
    /// is no such token.
    pub pod: Option<BoundPod>,
}

/// What proves the identity of a [`Caller`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Proof {
    /// The certificate of the connection.
    Certificate,
    /// The word of a proxy that is trusted for its address.
    ForwardedCertificate,
    /// A bearer token.
    Token,
}

/// A token under review, and what came out: the identity, and perhaps a pod; `None` if it proves none.
pub type Review = Pin<Box<dyn Future<Output = Option<Reviewed>> + Send>>;

/// Says whose a bearer token is: Kubernetes' TokenReview for the audience `istio-ca`, or the
/// verification of an OIDC token.
pub trait TokenReview: Send + Sync {
    /// Reviews a token, as it stands after `Bearer `. What goes wrong is for the reviewer to log:
    /// the caller learns only that it is refused.
    fn review(&self, token: &str) -> Review;
}

/// Layer that applies [`Authenticate`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Default)]
pub struct AuthenticateLayer {
    methods: Methods,
}

#[derive(Clone, Default)]
struct Methods {
    reviews: Arc<[Arc<dyn TokenReview>]>,
    proxies: Arc<CidrSet>,
}

impl AuthenticateLayer {
    /// Knows callers by their certificates only.
    pub fn new() -> Self {
        Self::default()
    }

    /// Knows callers by their tokens too, after those added before.
    #[must_use]
    pub fn with_token_review(mut self, review: Arc<dyn TokenReview>) -> Self {
        let reviews = self.methods.reviews.iter().cloned();
        self.methods.reviews = reviews.chain([review]).collect();
        self
    }

    /// Believes the `x-forwarded-client-cert` of proxies at these addresses. They have to set the
    /// header themselves ([`ForwardClientCert::SanitizeSet`]), or clients set it for them.
    ///
    /// [`ForwardClientCert::SanitizeSet`]: crate::xfcc::ForwardClientCert::SanitizeSet
    #[must_use]
    pub fn with_trusted_proxies(mut self, addresses: CidrSet) -> Self {
        self.methods.proxies = Arc::new(addresses);
        self
    }
}

impl<S> Layer<S> for AuthenticateLayer {
    type Service = Authenticate<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authenticate {
            inner,
            methods: self.methods.clone(),
        }
    }
}

impl fmt::Debug for AuthenticateLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.methods.fmt(f)
    }
}

impl fmt::Debug for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Methods")
            .field("token_reviews", &self.reviews.len())
            .field("trusted_proxies", &self.proxies)
            .finish()
    }
}

/// Middleware that finds out who asks.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Authenticate<S> {
    inner: S,
    methods: Methods,
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Authenticate<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ResBody: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let caller = reply::Caller::of(request.headers());
        let state = match self.methods.find(&request) {
            Found::Caller(caller) => {
                request.extensions_mut().insert(caller);
                State::Called {
                    response: self.inner.call(request),
                }
            }
            Found::Reviews(reviews) => {
                // The service that is ready goes with the request; a clone stays, to become so.
                let clone = self.inner.clone();
                State::Reviewed {
                    reviews,
                    called: Some((std::mem::replace(&mut self.inner, clone), request)),
                }
            }
            Found::Nobody => State::Refused,
        };
        ResponseFuture { state, caller }
    }
}

/// The review of a token by everyone who is asked, and what counts if it proves nothing.
type Reviews = Pin<Box<dyn Future<Output = Option<Caller>> + Send>>;

enum Found {
    Caller(Caller),
    Nobody,
    Reviews(Reviews),
}

impl Methods {
    fn find<B>(&self, request: &Request<B>) -> Found {
        let extensions = request.extensions();
        let is_claimed = extensions.get::<ClaimedIdentity>().is_some();
        let peer = extensions.get::<PeerIdentity>().filter(|_| !is_claimed);
        if let Some(PeerIdentity(id)) = peer {
            return Found::Caller(Caller {
                id: id.clone(),
                proof: Proof::Certificate,
                pod: None,
            });
        }
        let forwarded = self.forwarded(request).map(|id| Caller {
            id,
            proof: Proof::ForwardedCertificate,
            pod: None,
        });
        let token = bearer(request.headers()).filter(|_| !self.reviews.is_empty());
        match (token, forwarded) {
            (Some(token), forwarded) => Found::Reviews(self.review(token, forwarded)),
            (None, Some(caller)) => Found::Caller(caller),
            (None, None) => Found::Nobody,
        }
    }

    fn review(&self, token: &str, otherwise: Option<Caller>) -> Reviews {
        let reviews = Arc::clone(&self.reviews);
        let token = token.to_owned();
        Box::pin(async move {
            for review in reviews.iter() {
                if let Some(Reviewed { id, pod }) = review.review(&token).await {
                    let proof = Proof::Token;
                    return Some(Caller { id, proof, pod });
                }
            }
            otherwise
        })
    }

    fn forwarded<B>(&self, request: &Request<B>) -> Option<SpiffeId> {
        let connection = request.extensions().get::<ConnectionInfo>()?;
        if !self.proxies.contains(connection.peer.ip()) {
            return None;
        }
        // The last line is the one that the proxy appended to, if there are several.
        let lines = request.headers().get_all(X_FORWARDED_CLIENT_CERT);
        let line = lines.iter().next_back()?.to_str().ok()?;
        let xfcc: Xfcc = line.parse().ok()?;
        match xfcc.elements.last()?.uri.as_slice() {
            [uri] => uri.parse().ok(),
            _ => None,
        }
    }
}

/// The first token of the scheme `Bearer`; metadata of gRPC may hold others before it.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get_all(AUTHORIZATION).iter().find_map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("Bearer").then_some(token)
    })
}

pin_project! {
    /// Response future of [`Authenticate`].
    pub struct ResponseFuture<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        #[pin]
        state: State<S, ReqBody>,
        caller: reply::Caller,
    }
}

pin_project! {
    #[project = StateProject]
    enum State<S, ReqBody>
    where
        S: Service<Request<ReqBody>>,
    {
        Called {
            #[pin]
            response: S::Future,
        },
        Refused,
        Reviewed {
            reviews: Reviews,
            called: Option<(S, Request<ReqBody>)>,
        },
    }
}

impl<S, ReqBody, ResBody> Future for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    ResBody: Default,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProject::Called { response } => return response.poll(cx),
                StateProject::Refused => return Poll::Ready(Ok(refuse(*this.caller))),
                StateProject::Reviewed { reviews, called } => {
                    let caller = ready!(reviews.as_mut().poll(cx));
                    match (caller, called.take()) {
                        (Some(caller), Some((mut inner, mut request))) => {
                            request.extensions_mut().insert(caller);
                            State::Called {
                                response: inner.call(request),
                            }
                        }
                        _ => State::Refused,
                    }
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, ReqBody> fmt::Debug for ResponseFuture<S, ReqBody>
where
    S: Service<Request<ReqBody>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

fn refuse<B: Default>(caller: reply::Caller) -> Response<B> {
    let mut response = reply::local(caller, StatusCode::UNAUTHORIZED, NotAuthenticated);
    if caller == reply::Caller::Grpc {
        let text = HeaderValue::from_static("request authenticate failure");
        response.headers_mut().insert(GRPC_MESSAGE, text);
    }
    response
}

/// Marks a `401` as sent by [`Authenticate`], because nothing proves who the caller is.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("request authenticate failure")]
#[non_exhaustive]
pub struct NotAuthenticated;

impl reply::Reason for NotAuthenticated {
    const FLAG: ResponseFlag = ResponseFlag::UnauthorizedExternalService;
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::ready;

    use bytes::Bytes;
    use tower::{ServiceExt, service_fn};

    use super::*;

    const PEER: &str = "spiffe://mesh/ns/a/sa/peer";
    const HOLDER: &str = "spiffe://mesh/ns/a/sa/holder";
    const FORWARDED: &str = "spiffe://mesh/ns/a/sa/forwarded";

    /// Knows the tokens that begin with its word.
    struct Known(&'static str);

    impl TokenReview for Known {
        fn review(&self, token: &str) -> Review {
            let reviewed = token.starts_with(self.0).then(|| Reviewed {
                id: HOLDER.parse().unwrap(),
                pod: token.strip_prefix("cluster-").map(|name| BoundPod {
                    name: name.to_owned(),
                    uid: "7".to_owned(),
                }),
            });
            Box::pin(ready(reviewed))
        }
    }

    fn layer() -> AuthenticateLayer {
        AuthenticateLayer::new()
            .with_token_review(Arc::new(Known("cluster")))
            .with_token_review(Arc::new(Known("oidc")))
            .with_trusted_proxies(CidrSet::from_iter(["192.0.2.0/24".parse().unwrap()]))
    }

    async fn send(request: Request<()>) -> Response<Bytes> {
        let inner = service_fn(|request: Request<()>| {
            let caller = request.extensions().get::<Caller>().unwrap();
            let pod = caller.pod.as_ref().map_or("-", |pod| &pod.name);
            let answer = format!("{:?} {} {pod}", caller.proof, caller.id);
            ready(Ok::<_, Infallible>(Response::new(Bytes::from(answer))))
        });
        layer().layer(inner).oneshot(request).await.unwrap()
    }

    fn from(address: &str) -> Request<()> {
        let mut request = Request::new(());
        let address = format!("{address}:1").parse().unwrap();
        request.extensions_mut().insert(ConnectionInfo {
            peer: address,
            local: address,
            tls: None,
        });
        request
    }

    fn with(mut request: Request<()>, name: &'static str, value: &'static str) -> Request<()> {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append(name, value);
        request
    }

    #[tokio::test]
    async fn certificate_token_and_forwarded_certificate_are_tried_in_this_order() {
        const XFCC: &str = "URI=spiffe://mesh/ns/a/sa/other,URI=spiffe://mesh/ns/a/sa/forwarded";
        let xfcc = |request| with(request, "x-forwarded-client-cert", XFCC);
        let token = |request, token| with(request, "authorization", token);
        let mut peer = token(xfcc(from("192.0.2.7")), "Bearer cluster-1");
        let id = PEER.parse().unwrap();
        peer.extensions_mut().insert(PeerIdentity(id));

        let cases = [
            ("certificate", peer, format!("Certificate {PEER} -")),
            (
                "token",
                token(from("192.0.2.7"), "bearer cluster-1"),
                format!("Token {HOLDER} 1"),
            ),
            (
                "token of the second reviewer",
                token(from("192.0.2.7"), "Bearer oidc-1"),
                format!("Token {HOLDER} -"),
            ),
            (
                "token after another scheme",
                token(token(from("192.0.2.7"), "Basic me"), "Bearer cluster-1"),
                format!("Token {HOLDER} 1"),
            ),
            (
                "last element of a trusted proxy, after a token that proves nothing",
                token(xfcc(from("192.0.2.7")), "Bearer x"),
                format!("ForwardedCertificate {FORWARDED} -"),
            ),
            (
                "last element of a trusted proxy",
                xfcc(from("192.0.2.7")),
                format!("ForwardedCertificate {FORWARDED} -"),
            ),
        ];
        for (case, request, expected) in cases {
            let response = send(request).await;
            assert_eq!(response.body(), expected.as_bytes(), "{case}");
        }
    }

    #[tokio::test]
    async fn unknown_callers_are_refused() {
        const XFCC: &str = "x-forwarded-client-cert";
        let mut claimed = from("192.0.2.7");
        let id = PEER.parse().unwrap();
        claimed.extensions_mut().insert(PeerIdentity(id));
        claimed.extensions_mut().insert(ClaimedIdentity);
        let cases = [
            ("nothing", from("192.0.2.7")),
            ("an identity that is only claimed", claimed),
            (
                "wrong token",
                with(from("192.0.2.7"), "authorization", "Bearer x"),
            ),
            (
                "other scheme",
                with(from("192.0.2.7"), "authorization", "Basic cluster"),
            ),
            (
                "a proxy nobody trusts",
                with(from("198.51.100.1"), XFCC, "URI=spiffe://mesh/a"),
            ),
            (
                "two identities",
                with(from("192.0.2.7"), XFCC, "URI=spiffe://a/b;URI=spiffe://a/c"),
            ),
            (
                "no SPIFFE ID",
                with(from("192.0.2.7"), XFCC, "URI=https://a"),
            ),
            (
                "no address",
                with(Request::new(()), XFCC, "URI=spiffe://mesh/a"),
            ),
        ];
        for (case, request) in cases {
            let response = send(request).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{case}");
            let reason = response.extensions().get();
            assert_eq!(reason, Some(&NotAuthenticated), "{case}");
        }
    }

    #[tokio::test]
    async fn a_grpc_client_is_told_by_its_status() {
        let response = send(with(from("192.0.2.7"), "content-type", "application/grpc")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["grpc-status"], "16");
        assert_eq!(
            response.headers()["grpc-message"],
            "request authenticate failure"
        );
    }
}
