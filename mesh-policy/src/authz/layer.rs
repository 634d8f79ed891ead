//! Let a request pass if the policies of the workload allow it.
//!
//! [`AuthorizationLayer`] evaluates a [`PolicySet`] for each request. What is denied never reaches
//! the inner service: it is answered with `403`, gRPC status 7, and Envoy's text,
//! `RBAC: access denied`, and carries [`Denied`] in its extensions, which names the rule. As in
//! Envoy, it has no response flag.
//!
//! | read from the request | for |
//! |---|---|
//! | [`PeerIdentity`](mesh_core::attributes::PeerIdentity) | principals, namespaces, service accounts, trust domains |
//! | [`ConnectionInfo`] | addresses, ports, server name; whether there is a certificate, for the principal `*` |
//! | [`TargetScheme`](mesh_core::attributes::TargetScheme), or the URI, else the connection | the scheme |
//! | [`ClientAddress`](mesh_core::attributes::ClientAddress), else `x-forwarded-for` as [`Forwarding`] says | `remote.ip` |
//! | [`RequestPrincipal`](mesh_core::attributes::RequestPrincipal) | request principals and claims |
//!
//! Identities come from these extensions and never from headers. If a policy looks at addresses or
//! ports and there is no `ConnectionInfo`, nothing is allowed.
//!
//! The path is brought into one form before it is matched, and the inner service sees it in that
//! form, so that both mean the same resource.
//!
//! A response carries [`Recorded`] in its extensions if an AUDIT policy marks its request, or a policy
//! is tried out, whether the request passed or not. [`with_records`](AuthorizationLayer::with_records)
//! counts them, too.
//!
//! The inner service's error type is unchanged, and no future is allocated.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use mesh_core::identity::TrustDomains;
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::AuthorizationPolicy;
//! use mesh_policy::authz::PolicySet;
//! use mesh_policy::authz::layer::AuthorizationLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut policy = Resource::<AuthorizationPolicy>::default();
//! policy.spec = serde_json::from_str(
//!     r#"{"rules": [{"to": [{"operation": {"paths": ["/public/*"]}}]}]}"#,
//! )?;
//! let domains = TrustDomains::new("cluster.local".parse()?);
//! let policies = PolicySet::compile(&[Arc::new(policy)], &domains);
//! let service = ServiceBuilder::new()
//!     .layer(AuthorizationLayer::new(policies))
//!     .service(service_fn(|_: Request<()>| async {
//!         Ok::<_, Infallible>(Response::new(Bytes::new()))
//!     }));
//!
//! let response = service.clone().oneshot(Request::get("/public/logo").body(())?).await?;
//! assert_eq!(response.status(), 200);
//!
//! let response = service.oneshot(Request::get("/public/../admin").body(())?).await?;
//! assert_eq!(response.status(), 403);
//! assert_eq!(response.body(), "RBAC: access denied");
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use mesh_core::attributes::{ConnectionInfo, ResponseDetails};
use mesh_core::path::Normalization;
use mesh_core::reply::{self, Caller};
use mesh_core::watch::Watch;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::forwarding::Forwarding;
use super::policy_set::PolicySet;
use super::record::{Recorded, Records};
use super::rule::RuleName;
use super::verdict::{DryRun, Reason, Verdict};
use super::view::View;

/// Layer that applies [`Authorization`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct AuthorizationLayer {
    policies: Watch<PolicySet>,
    settings: Settings,
}

#[derive(Clone, Debug, Default)]
struct Settings {
    view: View,
    rule_header: Option<HeaderName>,
    records: Option<Records>,
}

impl AuthorizationLayer {
    /// Lets requests pass as `policies` say.
    ///
    /// Pass a [`Watch`] to replace the policies while serving: each request is evaluated by those
    /// that are current when it arrives.
    pub fn new(policies: impl Into<Watch<PolicySet>>) -> Self {
        Self {
            policies: policies.into(),
            settings: Settings::default(),
        }
    }

    /// Which form paths are brought into. Default: [`Normalization::Base`], as in Istio.
    #[must_use]
    pub fn with_path_normalization(mut self, normalization: Normalization) -> Self {
        self.settings.view.normalization = normalization;
        self
    }

    /// Which address is that of the client. Default: that of the peer.
    #[must_use]
    pub fn with_forwarding(mut self, forwarding: Forwarding) -> Self {
        self.settings.view.forwarding = forwarding;
        self.settings.view.is_for_members = false;
        self
    }

    /// Which address is that of the client where a member of the mesh calls. A request of anybody else is
    /// judged as one of the peer's and, if its headers name another client, also as that one's: it has to be
    /// allowed as both.
    #[cfg(feature = "server")]
    pub(crate) fn with_forwarding_of_members(mut self, forwarding: Forwarding) -> Self {
        self = self.with_forwarding(forwarding);
        self.settings.view.is_for_members = true;
        self
    }

    /// Names the rule that denies in a header of the response. Default: none; clients are not told.
    #[must_use]
    pub fn with_rule_header(mut self, name: HeaderName) -> Self {
        self.settings.rule_header = Some(name);
        self
    }

    /// Counts what policies that do not decide say. Default: nothing is counted.
    #[must_use]
    pub fn with_records(mut self, records: Records) -> Self {
        self.settings.records = Some(records);
        self
    }
}

impl<S> Layer<S> for AuthorizationLayer {
    type Service = Authorization<S>;

    fn layer(&self, inner: S) -> Self::Service {
        let Self { policies, settings } = self.clone();
        Authorization {
            inner,
            policies,
            settings,
        }
    }
}

/// Middleware that refuses what policies do not allow.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct Authorization<S> {
    inner: S,
    policies: Watch<PolicySet>,
    settings: Settings,
}

impl<S> Authorization<S> {
    inner_service!();
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Authorization<S>
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
        match self.settings.evaluate(&self.policies.load(), &mut request) {
            Ok(recorded) => ResponseFuture {
                kind: Kind::Passed {
                    response: self.inner.call(request),
                    recorded,
                },
            },
            // The readiness that the inner service granted is left to the next request.
            Err(refusal) => ResponseFuture {
                kind: Kind::Refused {
                    refusal: Some(Box::new(refusal)),
                },
            },
        }
    }
}

impl Settings {
    fn evaluate<B>(
        &self,
        policies: &PolicySet,
        request: &mut Request<B>,
    ) -> Result<Option<Recorded>, Refusal> {
        let caller = Caller::of(request.headers());
        let refuse = |reason, recorded| Refusal {
            reason,
            caller,
            rule_header: self.rule_header.clone(),
            recorded,
        };
        if !self.view.normalize(request) {
            return Err(refuse(Denied::InvalidPath, None));
        }
        let Some(facts) = self.view.of(request, policies.needs_connection()) else {
            return Err(refuse(Denied::UnknownConnection, None));
        };
        let mut verdict = policies.evaluate(&facts);
        let alleged = self.view.alleged_client(request);
        let alleged = alleged.filter(|client| *client != facts.connection.remote);
        if let Some(client) = alleged.filter(|_| verdict.is_allowed()) {
            let mut other = facts;
            other.connection.remote = client;
            // A denial of the other is one, too.
            verdict = Some(policies.evaluate(&other))
                .filter(|judged| !judged.is_allowed())
                .unwrap_or(verdict);
        }
        if policies.tries_connection() && request.extensions().get::<ConnectionInfo>().is_none() {
            // What is only tried out refuses nothing, and has nothing to judge by.
            verdict.dry_run = DryRun::default();
        }
        let recorded = Recorded::of(&verdict);
        if let (Some(records), Some(recorded)) = (&self.records, &recorded) {
            records.count(recorded);
        }
        match Denied::of(&verdict) {
            None => Ok(recorded),
            Some(denied) => Err(refuse(denied, recorded)),
        }
    }
}

pin_project! {
    /// Response future of [`Authorization`].
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
            recorded: Option<Recorded>,
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
            KindProject::Passed { response, recorded } => {
                let mut response = ready!(response.poll(cx))?;
                if let Some(recorded) = recorded.take() {
                    response.extensions_mut().insert(recorded);
                }
                Poll::Ready(Ok(response))
            }
            KindProject::Refused { refusal } => {
                let refusal = refusal.take().expect("not polled after completion");
                Poll::Ready(Ok(refusal.into_response()))
            }
        }
    }
}

#[derive(Debug)]
struct Refusal {
    reason: Denied,
    caller: Caller,
    rule_header: Option<HeaderName>,
    recorded: Option<Recorded>,
}

impl Refusal {
    fn into_response<B: Default + From<Bytes>>(self) -> Response<B> {
        let mut response = self.reason.response(self.caller);
        if let Some(name) = self.rule_header
            && let Ok(value) = HeaderValue::try_from(self.reason.to_string())
        {
            response.headers_mut().insert(name, value);
        }
        if let Some(recorded) = self.recorded {
            response.extensions_mut().insert(recorded);
        }
        response.extensions_mut().insert(self.reason);
        response
    }
}

/// Marks a response as sent by [`Authorization`], and why.
///
/// Displayed as Envoy's response code detail.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The path has no normal form; answered with `400`.
    #[error("path_normalization_failed")]
    InvalidPath,
    /// No rule allows the request.
    #[error("rbac_access_denied_matched_policy[none]")]
    NotAllowed,
    /// This rule denies it.
    #[error("rbac_access_denied_matched_policy[{0}]")]
    Rule(Arc<RuleName>),
    /// A policy looks at the connection, of which nothing is known.
    #[error("rbac_access_denied_matched_policy[none]")]
    UnknownConnection,
}

impl Denied {
    /// Why a verdict denies; `None` if it allows.
    pub fn of(verdict: &Verdict<'_>) -> Option<Self> {
        match verdict.reason() {
            Reason::Allowed(_) | Reason::NoAllowPolicy => None,
            Reason::Denied(rule) => Some(Self::Rule(Arc::clone(rule))),
            Reason::NotAllowed => Some(Self::NotAllowed),
        }
    }

    pub(crate) fn response<B: Default + From<Bytes>>(&self, caller: Caller) -> Response<B> {
        let (status, text) = match self {
            Self::InvalidPath => (StatusCode::BAD_REQUEST, ""),
            Self::NotAllowed | Self::Rule(_) | Self::UnknownConnection => {
                (StatusCode::FORBIDDEN, "RBAC: access denied")
            }
        };
        let mut response = reply::direct(caller, status, Bytes::from_static(text.as_bytes()));
        let details = ResponseDetails::new(&self.to_string());
        response.extensions_mut().insert(details);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use mesh_core::attributes::{ConnectionInfo, PeerIdentity, ResponseFlag, TlsInfo};
    use mesh_core::identity::TrustDomains;
    use mesh_core::resource::Resource;
    use mesh_core::resource::istio::AuthorizationPolicy;
    use serde_json::json;
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn a_refusal_is_that_of_envoy_and_names_the_rule() {
        let spec = json!({"action": "DENY", "rules": [{}]});
        let response = send(&spec, Request::get("/")).await;
        assert_eq!(response.status(), 403);
        assert_eq!(response.body(), "RBAC: access denied");
        let detail = "rbac_access_denied_matched_policy[ns[shop]-policy[p]-rule[0]]";
        assert_eq!(response.headers()["x-denied-by"], detail);
        let denied = response.extensions().get::<Denied>().unwrap();
        assert!(matches!(denied, Denied::Rule(rule) if rule.policy() == "p"));
        assert!(response.extensions().get::<ResponseFlag>().is_none());

        let response = send(&json!({}), Request::get("/")).await;
        assert_eq!(response.extensions().get(), Some(&Denied::NotAllowed));
    }

    #[tokio::test]
    async fn a_grpc_caller_gets_a_status_of_grpc() {
        let request = Request::post("/a.B/C").header("content-type", "application/grpc");
        let response = send(&json!({}), request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "7");
        assert_eq!(response.headers()["grpc-message"], "RBAC: access denied");
    }

    #[tokio::test]
    async fn identities_come_from_the_connection() {
        let spec = json!({"rules": [{"from": [{"source": {"namespaces": ["shop"]}}]}]});
        let identity = "spiffe://cluster.local/ns/shop/sa/cart";
        let forged = Request::get("/").header("x-forwarded-client-cert", identity);
        assert_eq!(send(&spec, forged).await.status(), 403);
        let peer = PeerIdentity(identity.parse().unwrap());
        assert_eq!(
            send(&spec, Request::get("/").extension(peer))
                .await
                .status(),
            200
        );
    }

    #[tokio::test]
    async fn whoever_owns_a_certificate_is_a_principal_though_it_has_no_identity() {
        let spec = json!({"rules": [{"from": [{"source": {"principals": ["*"]}}]}]});
        for (peer_fingerprint, status) in [(Some([7; 32]), 200), (None, 403)] {
            let tls = TlsInfo {
                peer_fingerprint,
                ..TlsInfo::default()
            };
            let connection = ConnectionInfo {
                peer: ([10, 0, 0, 2], 1).into(),
                local: ([10, 0, 0, 3], 443).into(),
                tls: Some(tls),
            };
            let request = Request::get("/").extension(connection);
            assert_eq!(send(&spec, request).await.status(), status);
        }
    }

    #[tokio::test]
    async fn a_policy_of_addresses_needs_a_connection() {
        let spec = json!({"rules": [{"from": [{"source": {"notIpBlocks": ["10.0.0.1"]}}]}]});
        let response = send(&spec, Request::get("/")).await;
        assert_eq!(
            response.extensions().get(),
            Some(&Denied::UnknownConnection)
        );
        let connection = ConnectionInfo {
            peer: ([10, 0, 0, 2], 1).into(),
            local: ([10, 0, 0, 3], 80).into(),
            tls: None,
        };
        let request = Request::get("/").extension(connection);
        assert_eq!(send(&spec, request).await.status(), 200);
    }

    #[tokio::test]
    async fn the_path_that_is_matched_is_the_path_that_is_passed_on() {
        let spec = json!({"rules": [{"to": [{"operation": {"paths": ["/public/a"]}}]}]});
        let response = send(&spec, Request::get("/x/../public/%61?q=/../")).await;
        assert_eq!(response.body(), "/public/a?q=/../");
        let response = send(&spec, Request::get("/public/a%00")).await;
        assert_eq!(response.status(), 400);
    }

    #[tokio::test]
    async fn an_audit_is_recorded_on_the_response() {
        let response = send(
            &json!({"action": "AUDIT", "rules": [{}]}),
            Request::get("/"),
        )
        .await;
        let recorded = response.extensions().get::<Recorded>().unwrap();
        assert_eq!(recorded.audited.as_ref().unwrap().index(), 0);
        let response = send(&json!({"rules": [{}]}), Request::get("/")).await;
        assert!(response.extensions().get::<Recorded>().is_none());
    }

    #[tokio::test]
    async fn what_is_recorded_of_a_refusal_is_on_it_too_and_counted() {
        let nothing = policy(&json!({}));
        let audit = policy(&json!({"action": "AUDIT", "rules": [{}]}));
        let mut trial = policy(&json!({"action": "DENY", "rules": [{}]}));
        let annotations = &mut trial.metadata.annotations;
        annotations.insert("istio.io/dry-run".to_owned(), "true".to_owned());
        let records = Records::default();
        let layer = layer([nothing, audit, trial]).with_records(records.clone());
        let response = send_by(layer, Request::get("/")).await;
        assert_eq!(response.status(), 403);
        let recorded = response.extensions().get::<Recorded>().unwrap();
        assert!(recorded.audited.is_some());
        assert!(matches!(recorded.dry_run_deny, Some(Some(_))));
        let text = records.encode();
        for line in [
            "mesh_authorization_dry_run_total{authz_dry_run_action=\"deny\",authz_dry_run_result=\"denied\"} 1\n",
            "mesh_authorization_audited_total 1\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }

    #[tokio::test]
    async fn a_trial_that_looks_at_an_unknown_connection_says_nothing() {
        let rule = json!({"from": [{"source": {"notIpBlocks": ["10.0.0.1"]}}]});
        let mut trial = policy(&json!({"action": "DENY", "rules": [rule]}));
        let annotations = &mut trial.metadata.annotations;
        annotations.insert("istio.io/dry-run".to_owned(), "true".to_owned());
        let layer = layer([trial]);
        let response = send_by(layer.clone(), Request::get("/")).await;
        assert_eq!(response.status(), 200);
        assert!(response.extensions().get::<Recorded>().is_none());

        let connection = ConnectionInfo {
            peer: ([10, 0, 0, 2], 1).into(),
            local: ([10, 0, 0, 3], 80).into(),
            tls: None,
        };
        let request = Request::get("/").extension(connection);
        let response = send_by(layer, request).await;
        let recorded = response.extensions().get::<Recorded>().unwrap();
        assert!(matches!(recorded.dry_run_deny, Some(Some(_))));
    }

    /// Sends a request through a policy to a service that answers with the URI it gets.
    async fn send(spec: &serde_json::Value, request: http::request::Builder) -> Response<Bytes> {
        let header = HeaderName::from_static("x-denied-by");
        send_by(layer([policy(spec)]).with_rule_header(header), request).await
    }

    fn policy(spec: &serde_json::Value) -> Resource<AuthorizationPolicy> {
        let mut policy = Resource::<AuthorizationPolicy>::default();
        policy.metadata.namespace = "shop".to_owned();
        policy.metadata.name = "p".to_owned();
        policy.spec = serde_json::from_value(spec.clone()).unwrap();
        policy
    }

    fn layer<const N: usize>(policies: [Resource<AuthorizationPolicy>; N]) -> AuthorizationLayer {
        let domains = TrustDomains::new("cluster.local".parse().unwrap());
        AuthorizationLayer::new(PolicySet::compile(&policies.map(Arc::new), &domains))
    }

    async fn send_by(
        layer: AuthorizationLayer,
        request: http::request::Builder,
    ) -> Response<Bytes> {
        let echo = service_fn(|request: Request<()>| async move {
            Ok::<_, Infallible>(Response::new(Bytes::from(request.uri().to_string())))
        });
        let request = request.body(()).unwrap();
        layer.layer(echo).oneshot(request).await.unwrap()
    }
}
