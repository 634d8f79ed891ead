//! Verify the tokens of requests before they are forwarded.
//!
//! [`AuthenticationLayer`] verifies tokens by an [`Authenticator`] and records the caller as a
//! [`RequestPrincipal`](mesh_core::attributes::RequestPrincipal) extension, which authorization and
//! routing read. A request without a token passes without it. A request whose token is not valid
//! never reaches the inner service: it is answered with `401`, or `403` if only the audience is
//! wrong, with Envoy's text and `www-authenticate` (RFC 6750 §3), and carries the [`TokenError`] in
//! its extensions. As in Envoy, it has no response flag.
//!
//! Nothing is awaited: keys are fetched elsewhere, and a token whose keys have not arrived is not
//! valid. The inner service's error type is unchanged, and no future is allocated.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::RequestAuthentication;
//! use mesh_policy::authn::layer::AuthenticationLayer;
//! use mesh_policy::authn::{Algorithms, Authenticator, KeyStore};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut policy = Resource::<RequestAuthentication>::default();
//! policy.spec = serde_json::from_str(
//!     r#"{"jwtRules": [{"issuer": "https://login.example", "jwksUri": "https://login.example/keys"}]}"#,
//! )?;
//! let provider = rustls::crypto::aws_lc_rs::default_provider();
//! let algorithms = Algorithms::new(provider.signature_verification_algorithms.all);
//! let authenticator =
//!     Authenticator::compile(&[Arc::new(policy)], &KeyStore::default(), algorithms);
//! let service = ServiceBuilder::new()
//!     .layer(AuthenticationLayer::new(authenticator))
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, Infallible>(Response::new(Bytes::new()))
//!     }));
//!
//! let response = service.clone().oneshot(Request::get("http://a/").body(())?).await?;
//! assert_eq!(response.status(), 200);
//!
//! let request = Request::get("http://a/").header("authorization", "Bearer x").body(())?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.status(), 401);
//! let challenge = r#"Bearer realm="http://a/", error="invalid_token""#;
//! assert_eq!(response.headers()["www-authenticate"], challenge);
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{HOST, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use mesh_core::attributes::{ResponseDetails, TargetScheme};
use mesh_core::reply::{self, Caller};
use mesh_core::watch::Watch;
use pin_project_lite::pin_project;
use rustls_pki_types::UnixTime;
use tower_layer::Layer;
use tower_service::Service;

use super::authenticator::Authenticator;
use super::error::TokenError;
use crate::clock::WallClock;
use crate::cut::cut;

/// The longest path that the challenge repeats.
const MAX_REALM_PATH: usize = 256;

/// Layer that applies [`Authentication`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct AuthenticationLayer {
    authenticator: Watch<Authenticator>,
    clock: WallClock,
}

impl AuthenticationLayer {
    /// Verifies tokens by `authenticator`, at the time of the system's clock.
    ///
    /// Pass a [`Watch`] to replace it while serving.
    pub fn new(authenticator: impl Into<Watch<Authenticator>>) -> Self {
        Self {
            authenticator: authenticator.into(),
            clock: WallClock::system(),
        }
    }

    /// Takes the time from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: WallClock) -> Self {
        self.clock = clock;
        self
    }
}

impl<S> Layer<S> for AuthenticationLayer {
    type Service = Authentication<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self {
            authenticator,
            clock,
        } = self.clone();
        Authentication {
            inner,
            authenticator,
            clock,
        }
    }
}

/// Middleware that refuses requests whose tokens are not valid.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Authentication<S> {
    inner: S,
    authenticator: Watch<Authenticator>,
    clock: WallClock,
}

impl<S> Authentication<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Authentication<S>
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

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let now = UnixTime::since_unix_epoch(self.clock.since_epoch());
        let kind = match self.authenticator.load().verify(&mut request, now) {
            Ok(()) => Kind::Passed {
                response: self.inner.call(request),
            },
            // The readiness that the inner service granted is left to the next request.
            Err(error) => Kind::Refused {
                refusal: Some(Box::new(Refusal::new(error, &request))),
            },
        };
        ResponseFuture { kind }
    }
}

pin_project! {
    /// Response future of [`Authentication`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        kind: Kind<F>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = KindProject]
    enum Kind<F> {
        Passed {
            #[pin]
            response: F,
        },
        // Rare, and shall not make the future larger.
        Refused { refusal: Option<Box<Refusal>> },
    }
}

impl<F, ResBody, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<ResBody>, E>>,
    ResBody: Default + From<Bytes>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().kind.project() {
            KindProject::Passed { response } => response.poll(cx),
            KindProject::Refused { refusal } => {
                let refusal = refusal.take().expect("not polled after completion");
                Poll::Ready(Ok(refusal.into_response()))
            }
        }
    }
}

#[derive(Debug)]
struct Refusal {
    error: TokenError,
    caller: Caller,
    challenge: Option<HeaderValue>,
}

impl Refusal {
    fn new<B>(error: TokenError, request: &Request<B>) -> Self {
        let invalid = match error {
            TokenError::Missed => "",
            _ => ", error=\"invalid_token\"",
        };
        let challenge = format!("Bearer realm=\"{}\"{invalid}", realm(request));
        Self {
            error,
            caller: Caller::of(request.headers()),
            challenge: HeaderValue::try_from(challenge).ok(),
        }
    }

    fn into_response<B: Default + From<Bytes>>(self) -> Response<B> {
        let status = match self.error {
            TokenError::AudienceNotAllowed => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        };
        let text = Bytes::from(self.error.to_string());
        let mut response = reply::direct(self.caller, status, text);
        if let Some(challenge) = self.challenge {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        let details = format!("jwt_authn_access_denied{{{}}}", self.error);
        let details = ResponseDetails::new(&details);
        response.extensions_mut().insert(details);
        response.extensions_mut().insert(self.error);
        response
    }
}

/// The URI that was asked for, with a path of limited length.
fn realm<B>(request: &Request<B>) -> String {
    let uri = request.uri();
    let scheme = TargetScheme::of(uri, request.extensions());
    let header = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    let host = uri
        .authority()
        .map(|authority| authority.as_str())
        .or(header);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let path = cut(path, MAX_REALM_PATH);
    format!("{scheme}://{}{path}", host.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use mesh_core::attributes::ResponseFlag;
    use mesh_core::resource::Resource;
    use mesh_core::resource::istio::RequestAuthentication;
    use serde_json::json;
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::authn::{Algorithms, KeyStore};

    /// Claims `{"iss":"i"}`; the audience is checked before the signature.
    const TOKEN: &str = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJpIn0.AAAA";

    #[tokio::test]
    async fn a_refusal_is_that_of_envoy() {
        let rule = json!({"issuer": "j", "jwks": "{}"});
        let response = send(&rule, Request::get("https://a:1/b?c"), TOKEN).await;
        assert_eq!(response.status(), 401);
        assert_eq!(response.body(), "Jwt issuer is not configured");
        let challenge = r#"Bearer realm="https://a:1/b?c", error="invalid_token""#;
        assert_eq!(response.headers()["www-authenticate"], challenge);
        assert_eq!(
            response.extensions().get(),
            Some(&TokenError::UnknownIssuer)
        );
        let details = response.extensions().get().map(ResponseDetails::as_str);
        let expected = "jwt_authn_access_denied{Jwt_issuer_is_not_configured}";
        assert_eq!(details, Some(expected));
        assert!(response.extensions().get::<ResponseFlag>().is_none());
    }

    #[tokio::test]
    async fn a_wrong_audience_is_forbidden() {
        let rule = json!({"issuer": "i", "jwks": "{}", "audiences": ["shop"]});
        let response = send(&rule, Request::get("/"), TOKEN).await;
        assert_eq!(response.status(), 403);
        assert_eq!(response.body(), "Audiences in Jwt are not allowed");
    }

    #[tokio::test]
    async fn the_rule_of_the_issuer_says_what_is_wrong() {
        let others = json!({"issuer": "a", "jwks": "{}"});
        let own = json!({"issuer": "i", "jwks": "{}", "audiences": ["shop"]});
        for rules in [json!([others, own]), json!([own, others])] {
            let response = send(&rules, Request::get("/"), TOKEN).await;
            assert_eq!(response.status(), 403, "{rules}");
            assert_eq!(response.body(), "Audiences in Jwt are not allowed");
        }
        // Of several for the issuer, it is the last, unless the first of all is one of them.
        let keyless = json!({"issuer": "i", "jwks": "{}"});
        for (rules, status) in [
            (json!([own, keyless]), 403),
            (json!([others, own, keyless]), 401),
        ] {
            let response = send(&rules, Request::get("/"), TOKEN).await;
            assert_eq!(response.status(), status, "{rules}");
        }
    }

    /// A list of rules, or one alone.
    fn rules(written: &serde_json::Value) -> serde_json::Value {
        match written.is_array() {
            true => written.clone(),
            false => json!([written]),
        }
    }

    #[tokio::test]
    async fn a_missing_token_is_challenged_only_if_it_is_required() {
        let rule = json!({"issuer": "i", "jwks": "{}"});
        assert_eq!(send(&rule, Request::get("/"), "").await.status(), 200);
        let rule = json!({"issuer": "i", "jwks": "{}", "presence": "REQUIRED"});
        let response = send(&rule, Request::get("/").header("host", "a"), "").await;
        assert_eq!(response.status(), 401);
        let challenge = r#"Bearer realm="http://a/""#;
        assert_eq!(response.headers()["www-authenticate"], challenge);
    }

    #[tokio::test]
    async fn a_grpc_caller_gets_a_status_of_grpc() {
        let rule = json!({"issuer": "i", "jwks": "{}"});
        let request = Request::post("/a.B/C").header("content-type", "application/grpc");
        let response = send(&rule, request, "x").await;
        assert_eq!(response.headers()["grpc-status"], "16");
    }

    #[tokio::test]
    async fn a_long_path_is_cut() {
        let rule = json!({"issuer": "i", "jwks": "{}"});
        let path = format!("/{}", "a".repeat(300));
        let response = send(&rule, Request::get(path).header("host", "h"), "x").await;
        let challenge = response.headers()["www-authenticate"].to_str().unwrap();
        let realm = challenge.split('"').nth(1).unwrap();
        assert_eq!(realm.len(), "http://h".len() + MAX_REALM_PATH);
    }

    async fn send(
        rule: &serde_json::Value,
        request: http::request::Builder,
        token: &str,
    ) -> Response<Bytes> {
        let policy = Resource::<RequestAuthentication> {
            spec: serde_json::from_value(json!({"jwtRules": rules(rule)})).unwrap(),
            ..Resource::default()
        };
        let authenticator = Authenticator::compile(
            &[Arc::new(policy)],
            &KeyStore::default(),
            Algorithms::new(&[]),
        );
        let mut request = request.body(()).unwrap();
        if !token.is_empty() {
            let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
            request.headers_mut().insert("authorization", value);
        }
        let inner =
            service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(Bytes::new())) });
        AuthenticationLayer::new(authenticator)
            .layer(inner)
            .oneshot(request)
            .await
            .unwrap()
    }
}
