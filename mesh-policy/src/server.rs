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
//! The server stands where a sidecar would: the address of the client, which `remoteIpBlocks` and
//! `remote.ip` are about, is the last one of `x-forwarded-for`, as proxies of the mesh leave it. That is
//! believed of members of the mesh, who have a `PeerIdentity` (that is not
//! [claimed](mesh_core::attributes::ClaimedIdentity)): of a gateway that comes by mutual TLS. It is what a
//! sidecar believes of everybody:
//!
//! | caller | is judged as |
//! |---|---|
//! | a member of the mesh | the client that it names; it could name any, as in Istio |
//! | anybody else | its own address and, if it names another, that one, too: it has to be allowed as both |
//!
//! So a stranger who writes the field gets past no ALLOW of the addresses of others, and past no DENY of
//! his own. And a DENY of clients holds behind a gateway that comes in plaintext; an ALLOW of clients
//! allows nobody there, unless it allows the gateway, too. A server that only such proxies can
//! connect to says so by [`with_forwarding`](ServerLayer::with_forwarding).
//!
//! Keys of issuers that have to be fetched are fetched by the program, of
//! [`remote_keys`](ServerLayer::remote_keys). Until they are, no token of these issuers is accepted.
//!
//! Limits hold for all requests alike: EnvoyFilters whose limits or rules are for a port, for routes or
//! for virtual hosts are not enforced, and a notice tells of each.
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
use mesh_core::model::listener::{Direction, NetworkFilter};
use mesh_core::model::{Model, Notice};
use mesh_core::resource::istio::envoy_filter::PatchContext;
use tower_layer::Layer;

use crate::authn::layer::{Authentication, AuthenticationLayer};
use crate::authn::{Algorithms, Authenticator, KeyStore, RemoteKeys};
use crate::authz::layer::{Authorization, AuthorizationLayer};
use crate::authz::{Forwarding, PolicySet};
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
    keys: Arc<[Arc<RemoteKeys>]>,
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
    /// Tokens are verified by the keys that resources hold or `keys` has, by `algorithms`. Of those that
    /// nobody has fetched yet, a notice tells: see [`remote_keys`](Self::remote_keys). Buckets of
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
        let unfetched: Vec<Notice> = tokens.unfetched().collect();
        let of_policies = [tokens.notices(), &unfetched, allowed.notices()];
        let notices = [of_policies.concat(), limits.notices, told].concat();
        let layer = Self {
            metrics: Arc::new(metrics),
            keys: tokens.remote_keys().map(Arc::clone).collect(),
            first: LocalRateLimitLayer::new(first),
            tokens: AuthenticationLayer::new(tokens),
            allowed: AuthorizationLayer::new(allowed)
                .with_path_normalization(options.path_normalization())
                .with_forwarding_of_members(forwarding(model)),
            last: LocalRateLimitLayer::new(last),
        };
        Ok((layer, notices))
    }

    /// Sets which address is that of the client, whoever calls. Default: as the model has it of who takes
    /// what callers send, which is [`Forwarding::sidecar`] for a sidecar and for a service without one: the
    /// last address of `x-forwarded-for`; but of callers who are no members of the mesh it is
    /// [not believed](self). [`Forwarding::sidecar`] is for a server that only proxies can connect to, which
    /// come without mutual TLS; [`Forwarding::edge`] for one that is to look at the connection, or at as
    /// many trusted proxies.
    ///
    /// A [`ClientAddress`](mesh_core::attributes::ClientAddress) that the server puts into the extensions
    /// of a request comes before either.
    #[must_use]
    pub fn with_forwarding(mut self, forwarding: Forwarding) -> Self {
        self.allowed = self.allowed.with_forwarding(forwarding);
        self
    }

    /// The keys of issuers that have to be fetched: those of rules with `jwksUri`, or with an issuer
    /// alone.
    ///
    /// Nothing is fetched here: spawn [`keep_fresh`](RemoteKeys::keep_fresh) of each, with a client of
    /// HTTP. No token of an issuer is accepted before its keys have arrived.
    ///
    /// # Example
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use bytes::Bytes;
    /// use mesh_core::config::MeshConfig;
    /// use mesh_core::load::Loaded;
    /// use mesh_core::resolve::resolve;
    /// use mesh_core::workload::Workload;
    /// use mesh_policy::authn::{Algorithms, Fetch, FetchError, KeyStore};
    /// use mesh_policy::server::ServerLayer;
    ///
    /// /// Stands for a client of HTTP.
    /// struct Client;
    ///
    /// impl Fetch for Client {
    ///     async fn fetch(&self, uri: &str) -> Result<Bytes, FetchError> {
    ///         assert_eq!(uri, "https://login.example/keys");
    ///         Ok(Bytes::from_static(br#"{"keys": [{"kty": "oct", "k": "AA"}]}"#))
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    /// let mut loaded = Loaded::default();
    /// loaded.add("tokens.yaml", "
    /// apiVersion: security.istio.io/v1
    /// kind: RequestAuthentication
    /// metadata: { name: tokens, namespace: shop }
    /// spec: { jwtRules: [{ issuer: 'https://login.example', jwksUri: 'https://login.example/keys' }] }
    /// ");
    /// let (config, _) = loaded.build(MeshConfig::builder(), 1).map_err(|found| found.to_string())?;
    /// let model = resolve(&config, &Workload::sidecar("shop"));
    /// let (keys, algorithms) = (KeyStore::default(), Algorithms::new(&[]));
    /// let now = tokio::time::Instant::now().into_std();
    /// let (policies, notices) = ServerLayer::compile(&config, &model, &keys, algorithms, now)?;
    /// assert!(notices[0].message.contains("`https://login.example/keys` have not been fetched"));
    ///
    /// for keys in policies.remote_keys() {
    ///     let keys = Arc::clone(keys);
    ///     tokio::spawn(async move { keys.keep_fresh(Client, |error| eprintln!("{error}")).await });
    /// }
    /// tokio::task::yield_now().await;
    /// assert!(policies.remote_keys().all(|keys| keys.load().is_some()));
    /// # Ok(())
    /// # }
    /// ```
    pub fn remote_keys(&self) -> impl Iterator<Item = &Arc<RemoteKeys>> {
        self.keys.iter()
    }

    /// What is counted, to be shown to Prometheus.
    pub fn metrics(&self) -> &Arc<IstioMetrics> {
        &self.metrics
    }
}

/// Whose address is the client's, as the listener has it that takes what callers send.
fn forwarding(model: &Model) -> Forwarding {
    let listeners = model.listeners.iter();
    let inbound = listeners.filter(|listener| listener.direction == Direction::Inbound);
    let mut connections = inbound
        .flat_map(|listener| &listener.filter_chains)
        .filter_map(|chain| match &chain.filter {
            NetworkFilter::Http(connection) => Some(connection),
            NetworkFilter::SniCluster | NetworkFilter::Tcp(_) => None,
        });
    let first = connections.next();
    first.map_or(Forwarding::sidecar(), Forwarding::of)
}

fn metrics(config: &MeshConfig, model: &Model) -> (IstioMetrics, Vec<Notice>) {
    let local = PeerWorkload::of_member(&model.workload, config.options());
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
mod tests;
