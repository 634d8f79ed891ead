//! What a server asks of its callers, as one layer.
//!
//! [`ServerLayer`] compiles what Istio's resources say of a workload, and puts the layers of this
//! crate above a service, in the order of [`stack`](crate::stack): metrics, limits that stand first,
//! tokens, authorization, limits that stand last. A refusal is a response, and is counted.
//!
//! It needs to know whom a request is of: the server puts a
//! [`ConnectionInfo`](mesh_core::attributes::ConnectionInfo) and, of mutual TLS, a
//! [`PeerIdentity`](mesh_core::attributes::PeerIdentity) into its extensions. A policy that asks for
//! what is not there does not allow.
//!
//! Access logs, traces and timeouts stand above it, where they are wanted.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response, StatusCode};
//! use http_body_util::{Empty, Full};
//! use mesh_core::config::MeshConfig;
//! use mesh_core::load::Loaded;
//! use mesh_core::resolve::resolve;
//! use mesh_core::workload::Workload;
//! use mesh_policy::authn::{Algorithms, KeyStore};
//! use mesh_policy::server::ServerLayer;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let mut loaded = Loaded::default();
//! loaded.add("cart.yaml", "
//! apiVersion: security.istio.io/v1
//! kind: AuthorizationPolicy
//! metadata: { name: cart, namespace: shop }
//! spec: { rules: [{ to: [{ operation: { paths: [/cart] } }] }] }
//! ");
//! let (config, _) = loaded.build(MeshConfig::builder(), 1).map_err(|found| found.to_string())?;
//! let model = resolve(&config, &Workload::sidecar("shop"));
//!
//! let algorithms = Algorithms::new(rustls::crypto::aws_lc_rs::default_provider()
//!     .signature_verification_algorithms
//!     .all);
//! let now = tokio::time::Instant::now().into_std();
//! let (policies, notices) =
//!     ServerLayer::compile(&config, &model, &KeyStore::default(), algorithms, now)?;
//! assert!(notices.is_empty());
//! let service = ServiceBuilder::new().layer(policies.clone()).service(service_fn(|_| async {
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! }));
//! for (path, expected) in [("/cart", StatusCode::OK), ("/admin", StatusCode::FORBIDDEN)] {
//!     let request = Request::get(path).body(Empty::<Bytes>::new())?;
//!     assert_eq!(service.clone().oneshot(request).await?.status(), expected);
//! }
//! assert!(policies.metrics().encode().contains(r#"response_code="403""#));
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;
use std::time::Instant;

use mesh_core::config::MeshConfig;
use mesh_core::identity::ParseSpiffeIdError;
use mesh_core::model::{Model, Notice};
use mesh_core::resource::istio::envoy_filter::PatchContext;
use tower_layer::Layer;

use crate::authn::layer::{Authentication, AuthenticationLayer};
use crate::authn::{Algorithms, Authenticator, KeyStore};
use crate::authz::PolicySet;
use crate::authz::layer::{Authorization, AuthorizationLayer};
use crate::rate_limit::envoy_filter::{self, Place, Scope};
use crate::rate_limit::{LocalRateLimitLayer, LocalRateLimits, RateLimits};
use crate::telemetry::PeerWorkload;
use crate::telemetry::metrics::{IstioMetrics, Metered, MetricsLayer, Reporter};

/// Layer that holds callers to Istio's policies, and counts what they ask. Cheap to clone; all
/// services that it makes share their limits and counts.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct ServerLayer {
    metrics: Arc<IstioMetrics>,
    first: LocalRateLimitLayer,
    tokens: AuthenticationLayer,
    allowed: AuthorizationLayer,
    last: LocalRateLimitLayer,
}

/// What [`ServerLayer`] makes of a service.
pub type Guarded<S> = Metered<LocalRateLimits<Authentication<Authorization<LocalRateLimits<S>>>>>;

impl ServerLayer {
    /// Compiles what `config` says of the workload of `model`, and tells what of it is not enforced.
    ///
    /// Tokens are verified by the keys that resources hold or `keys` has, by `algorithms`. Buckets of
    /// limits are full at `now`. Metrics are kept whether the mesh names a provider for them or not;
    /// Telemetry resources decide which, and with which labels.
    ///
    /// # Errors
    ///
    /// - A policy leaves its decision to a provider (CUSTOM), which is asked by
    ///   [`ext_authz`](crate::ext_authz) alone.
    /// - A request would have to be counted by a service (a rate limit that is not in process).
    /// - A trust domain of the mesh is none.
    pub fn compile(
        config: &MeshConfig,
        model: &Model,
        keys: &KeyStore,
        algorithms: Algorithms,
        now: Instant,
    ) -> Result<(Self, Vec<Notice>), ServerError> {
        let (options, policies) = (config.options(), &model.policies);
        let tokens = Authenticator::compile(&policies.request_authentication, keys, algorithms);
        let allowed = PolicySet::compile(&policies.authorization, &options.trust_domains()?);
        if let Some(provider) = allowed.custom().providers().next() {
            return Err(ServerError::Custom(Arc::clone(provider)));
        }
        let inbound = PatchContext::SidecarInbound;
        let scope = Scope::new(inbound, &model.workload, options.root_namespace());
        let filters = config.resources().envoy_filters.iter().map(AsRef::as_ref);
        let limits = envoy_filter::compile(filters, &scope, now);
        if let Some(global) = limits.global.into_iter().next() {
            return Err(ServerError::Global(global.domain));
        }
        let (first, last) = match limits.place {
            Place::First => (limits.limits, RateLimits::default()),
            Place::Last => (RateLimits::default(), limits.limits),
        };
        let (metrics, told) = metrics(config, model);
        let notices = [tokens.notices(), allowed.notices(), &limits.notices, &told].concat();
        let layer = Self {
            metrics: Arc::new(metrics),
            first: LocalRateLimitLayer::new(first),
            tokens: AuthenticationLayer::new(tokens),
            allowed: AuthorizationLayer::new(allowed)
                .with_path_normalization(options.path_normalization()),
            last: LocalRateLimitLayer::new(last),
        };
        Ok((layer, notices))
    }

    /// What is counted, to be shown to Prometheus.
    pub fn metrics(&self) -> &Arc<IstioMetrics> {
        &self.metrics
    }
}

fn metrics(config: &MeshConfig, model: &Model) -> (IstioMetrics, Vec<Notice>) {
    let local = PeerWorkload::of_workload(&model.workload);
    let (telemetry, options) = (&model.policies.telemetry, config.options());
    let reporter = Reporter::Destination;
    let compiled = IstioMetrics::compile(telemetry, options, reporter, local.clone());
    let (metrics, notices) = compiled;
    let all = || IstioMetrics::new(reporter, local);
    (metrics.unwrap_or_else(all), notices)
}

impl<S> Layer<S> for ServerLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        let allowed = self.allowed.layer(self.last.layer(inner));
        let limited = self.first.layer(self.tokens.layer(allowed));
        MetricsLayer::new(Arc::clone(&self.metrics)).layer(limited)
    }
}

/// Policies that [`ServerLayer`] cannot enforce.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A policy leaves its decision to this provider.
    #[error("a policy leaves its decision to the provider `{0}`, which is not asked")]
    Custom(Arc<str>),
    /// Requests would be counted in this domain of a rate limit service.
    #[error("requests would be counted in the domain `{0}` of a service, which is not asked")]
    Global(String),
    /// A trust domain of the mesh is none.
    #[error("a trust domain of the mesh is invalid")]
    TrustDomain(#[from] ParseSpiffeIdError),
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::{Empty, Full};
    use mesh_core::load::Loaded;
    use mesh_core::resolve::resolve;
    use mesh_core::workload::Workload;
    use tower::{ServiceExt, service_fn};

    use super::*;

    const TOKENS: &str = "
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: shop }
spec: { jwtRules: [{ issuer: 'https://login.example', jwks: '{\"keys\": []}' }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: cart, namespace: shop }
spec: { rules: [{ to: [{ operation: { paths: [/cart] } }] }] }
";

    /// Two requests a minute, beside `object`.
    fn limit(object: &str) -> String {
        format!(
            "
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{ name: limit, namespace: shop }}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {{ context: SIDECAR_INBOUND, {object} }}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          stat_prefix: cart
          token_bucket: {{ max_tokens: 2, tokens_per_fill: 2, fill_interval: 60s }}
          filter_enabled: {{ default_value: {{ numerator: 100, denominator: HUNDRED }} }}
          filter_enforced: {{ default_value: {{ numerator: 100, denominator: HUNDRED }} }}
"
        )
    }

    fn compile(documents: &[&str]) -> Result<(ServerLayer, Vec<Notice>), ServerError> {
        let mut loaded = Loaded::default();
        loaded.add("policies.yaml", documents.join("---"));
        let built = loaded.build(MeshConfig::builder(), 1);
        let (config, _) = built.map_err(|found| found.to_string()).unwrap();
        let model = resolve(&config, &Workload::sidecar("shop"));
        let now = tokio::time::Instant::now().into_std();
        let (keys, algorithms) = (KeyStore::default(), Algorithms::new(&[]));
        ServerLayer::compile(&config, &model, &keys, algorithms, now)
    }

    /// The status of a request for `path`, with a token that nobody has signed or without one.
    async fn status(layer: &ServerLayer, path: &str, has_token: bool) -> u16 {
        let service = layer.layer(service_fn(|_| async {
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
        }));
        let request = Request::get(path);
        let request = match has_token {
            true => request.header("authorization", "Bearer a.b.c"),
            false => request,
        };
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        service.oneshot(request).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn tokens_come_before_authorization_and_that_before_a_limit_and_all_is_counted() {
        let router = "listener: { filterChain: { filter: { \
             name: envoy.filters.network.http_connection_manager, \
             subFilter: { name: envoy.filters.http.router } } } }";
        let (layer, notices) = compile(&[TOKENS, &limit(router)]).unwrap();
        // The issuer has no keys, so that no token is accepted.
        let [notice] = &notices[..] else {
            panic!("{notices:?}");
        };
        assert!(notice.message.contains("no token"), "{notice}");
        for (path, has_token, expected) in [
            ("/admin", true, 401),
            ("/admin", false, 403),
            // What was refused has taken nothing of the limit.
            ("/cart", false, 200),
            ("/cart", false, 200),
            ("/cart", false, 429),
            ("/admin", false, 403),
        ] {
            assert_eq!(status(&layer, path, has_token).await, expected, "{path}");
        }
        let text = layer.metrics().encode();
        for (code, count) in [(200, 2), (401, 1), (403, 2), (429, 1)] {
            let label = format!("response_code=\"{code}\"");
            let mut lines = text.lines();
            let line = lines.find(|line| line.contains("requests_total{") && line.contains(&label));
            assert!(line.unwrap().ends_with(&format!(" {count}")), "{text}");
        }
    }

    #[tokio::test]
    async fn a_limit_that_is_inserted_first_comes_before_tokens() {
        let (layer, _) = compile(&[TOKENS, &limit("listener: {}")]).unwrap();
        for expected in [401, 401, 429] {
            assert_eq!(status(&layer, "/cart", true).await, expected);
        }
    }

    #[tokio::test]
    async fn policies_that_somebody_else_decides_are_refused() {
        let custom = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: custom, namespace: shop }
spec: { action: CUSTOM, provider: { name: opa }, rules: [{}] }
";
        let error = compile(&[custom]).unwrap_err();
        assert_eq!(error, ServerError::Custom("opa".into()));
    }
}
