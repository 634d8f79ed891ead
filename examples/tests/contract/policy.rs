//! The layers of mesh-policy.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, Uri};
use hyper_util::rt::TokioIo;
use mesh_core::config::MeshConfig;
use mesh_core::identity::TrustDomains;
use mesh_core::load::Loaded;
use mesh_core::resolve::resolve;
use mesh_core::resource::Resource;
use mesh_core::workload::Workload;
use mesh_policy::authn::layer::AuthenticationLayer;
use mesh_policy::authn::{Algorithms, Authenticator, KeyStore};
use mesh_policy::authz::PolicySet;
use mesh_policy::authz::layer::AuthorizationLayer;
use mesh_policy::circuit_breaker::{CircuitBreakerLayer, CircuitBreakers};
use mesh_policy::concurrency::{ConcurrencyLimitLayer, LoadShedLayer};
use mesh_policy::ext_authz::layer::ExtAuthzLayer;
use mesh_policy::ext_authz::{
    Answer, Authorize, Check, CheckFuture, Provider, Providers, Settings,
};
use mesh_policy::fault::FaultLayer;
use mesh_policy::hedge::HedgeLayer;
use mesh_policy::rate_limit::descriptor::{Action, RateLimitRule};
use mesh_policy::rate_limit::envoy_filter::GlobalFilter;
use mesh_policy::rate_limit::global::GlobalRateLimitLayer;
use mesh_policy::rate_limit::local::LocalRateLimit;
use mesh_policy::rate_limit::token_bucket::TokenBucketSettings;
use mesh_policy::rate_limit::{LocalRateLimitLayer, RateLimits};
use mesh_policy::retry::RetryLayer;
use mesh_policy::server::ServerLayer;
use mesh_policy::telemetry::PeerWorkload;
use mesh_policy::telemetry::access_log::{AccessLogLayer, LogFormat, Logger, channel};
use mesh_policy::telemetry::metrics::{IstioMetrics, MetricsLayer, Reporter};
use mesh_policy::telemetry::route::RecordRouteLayer;
use mesh_policy::telemetry::trace::TraceLayer;
use mesh_policy::timeout::TimeoutLayer;
use mesh_policy::timeout::idle::IdleTimeoutLayer;
use mesh_policy::timeout::stream::StreamTimeoutLayer;
use rustls::crypto::aws_lc_rs;
use serde::de::DeserializeOwned;
use tokio::io::DuplexStream;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::checks::{Cases, Readiness, keeps_the_contract, serves_what_cannot_fail};
use crate::contracts;
use crate::requests::{aborted, cluster, delayed, equipped, forwarded, on, plain, to, with_field};

contracts! {
    trace: TraceLayer::new(), any();
    access_log: AccessLogLayer::new([Logger::new(LogFormat::istio_text(), channel(9).0)]), any();
    metrics: MetricsLayer::new(istio_metrics()), any();
    record_route: RecordRouteLayer::new(), any();
    stream_timeout: StreamTimeoutLayer::new(), any();
    idle_timeout: IdleTimeoutLayer::new(Duration::from_secs(300)), any();
    timeout: TimeoutLayer::new(), any();
    concurrency_limit: ConcurrencyLimitLayer::new(1), any();
    load_shed: LoadShedLayer::new(), any().ready(Readiness::Shed);
    circuit_breaker: CircuitBreakerLayer::new(breakers()),
        any().refused("one to a cluster that takes none", 503, || on(to("full").into()));
    ext_authz: ExtAuthzLayer::new(custom(), providers()),
        Cases::passing(|| with_field("x-ticket", "1"))
            .refused("one without a ticket", 403, plain);
    ext_authz_of_nothing: ExtAuthzLayer::new(PolicySet::default(), providers()), any();
    authentication: AuthenticationLayer::new(authenticator()),
        any().refused("a token of nobody's", 401, || with_field("authorization", "Bearer x"));
    server: {
            let layer: ServerLayer = guards();
            layer
        },
        any().refused("a token of nobody's", 401, || with_field("authorization", "Bearer x"));
    authorization: AuthorizationLayer::new(denied()),
        any().refused("one that is denied", 403, || with_field("x-denied", "1"));
    local_rate_limit: LocalRateLimitLayer::new(local_limits(100)), any();
    fault: FaultLayer::new(),
        any().and("one that is held back", delayed).refused("one that is aborted", 555, aborted);
    retry: RetryLayer::new(), any();
    hedge: HedgeLayer::new(Duration::from_secs(2)), any();
}

#[tokio::test(start_paused = true)]
async fn global_rate_limit() {
    // Limits belong to one route, however alike others are.
    let route = Arc::new(to("cart"));
    for failure_mode_deny in [false, true] {
        let limited = Arc::clone(&route);
        let limited = move || on(Arc::clone(&limited));
        let cases = match failure_mode_deny {
            true => any().refused("one that nobody can be asked about", 500, limited),
            false => any().and("one that nobody can be asked about", limited),
        };
        let layer = || {
            let (filter, rule, nobody) = global_limit(failure_mode_deny);
            GlobalRateLimitLayer::new(filter, RateLimits::new().with_rule(&route, rule), nobody)
        };
        keeps_the_contract(layer, &cases).await;
        serves_what_cannot_fail(layer, &cases).await;
    }
}

/// A limit of a service that cannot be reached, with what is counted there.
pub(crate) fn global_limit(failure_mode_deny: bool) -> (GlobalFilter, RateLimitRule, Channel) {
    let filter = GlobalFilter {
        failure_mode_deny,
        ..GlobalFilter::new("shop", cluster("limits"))
    };
    let rule = RateLimitRule::new([Action::SourceCluster("web".into())]);
    (filter, rule, nobody())
}

/// A channel to a service that cannot be reached.
fn nobody() -> Channel {
    let connect = service_fn(|_: Uri| async {
        yield_now().await;
        Err::<TokioIo<DuplexStream>, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
    });
    Endpoint::from_static("http://limits.example").connect_with_connector_lazy(connect)
}

/// Requests with and without a route and a body.
fn any() -> Cases {
    Cases::passing(forwarded)
        .and("one without a route", plain)
        .and("one with a body, a timeout and retries", equipped)
}

pub(crate) fn istio_metrics() -> Arc<IstioMetrics> {
    let metrics = IstioMetrics::new(Reporter::Destination, PeerWorkload::default());
    Arc::new(metrics)
}

pub(crate) fn breakers() -> CircuitBreakers {
    let breakers = CircuitBreakers::default().with_limit(cluster("cart"), 1);
    breakers.with_limit(cluster("full"), 0)
}

pub(crate) fn authenticator() -> Authenticator {
    let policy = resource(r#"{"jwtRules": [{"issuer": "me", "jwksUri": "https://me.example"}]}"#);
    let all = aws_lc_rs::default_provider()
        .signature_verification_algorithms
        .all;
    Authenticator::compile(&[policy], &KeyStore::default(), Algorithms::new(all))
}

/// A server that accepts no tokens.
pub(crate) fn guards() -> ServerLayer {
    let mut loaded = Loaded::default();
    loaded.add(
        "tokens.yaml",
        r#"
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: tokens, namespace: shop }
spec: { jwtRules: [{ issuer: "https://me.example", jwks: '{"keys": []}' }] }
"#,
    );
    let (config, _) = loaded.build(MeshConfig::builder(), 1).unwrap();
    let model = resolve(&config, &Workload::sidecar("shop"));
    let (keys, none) = (KeyStore::default(), Algorithms::new(&[]));
    let now = Instant::now().into_std();
    let compiled = ServerLayer::compile(&config, &model, &keys, none, now);
    compiled.unwrap().0
}

pub(crate) fn denied() -> PolicySet {
    policies(
        r#"{"action": "DENY",
            "rules": [{"when": [{"key": "request.headers[x-denied]", "values": ["1"]}]}]}"#,
    )
}

pub(crate) fn custom() -> PolicySet {
    policies(r#"{"action": "CUSTOM", "provider": {"name": "tickets"}, "rules": [{}]}"#)
}

fn policies(spec: &str) -> PolicySet {
    let domains = TrustDomains::new("cluster.local".parse().unwrap());
    PolicySet::compile(&[resource(spec)], &domains)
}

fn resource<T: DeserializeOwned>(spec: &str) -> Arc<Resource<T>>
where
    Resource<T>: Default,
{
    Arc::new(Resource {
        spec: serde_json::from_str(spec).unwrap(),
        ..Resource::default()
    })
}

pub(crate) fn providers() -> Providers {
    Providers::default().with("tickets", Provider::new(Tickets, Settings::default()))
}

/// Looks for a ticket, which takes a while.
struct Tickets;

impl Authorize for Tickets {
    fn check(&self, check: Check) -> CheckFuture<'_> {
        Box::pin(async move {
            sleep(Duration::from_millis(100)).await;
            Ok(match check.headers.contains_key("x-ticket") {
                true => Answer::allow(),
                false => Answer::deny(StatusCode::FORBIDDEN),
            })
        })
    }
}

/// Lets `tokens` requests pass, and as many again each minute.
pub(crate) fn local_limits(tokens: u32) -> RateLimits {
    let bucket = TokenBucketSettings::new(tokens, tokens, Duration::from_secs(60)).unwrap();
    RateLimits::new().with_default(LocalRateLimit::new(bucket, Instant::now().into_std()))
}
