//! All layers, and what each does.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use mesh_core::attributes::{Attempts, ConnectionInfo, MatchedRoute, SelectedEndpoint};
use mesh_core::model::cluster::EndpointAddress;
use mesh_core::percent::Percent;
use mesh_policy::authn::layer::AuthenticationLayer;
use mesh_policy::authz::layer::AuthorizationLayer;
use mesh_policy::circuit_breaker::CircuitBreakerLayer;
use mesh_policy::concurrency::{ConcurrencyLimitLayer, LoadShedLayer};
use mesh_policy::ext_authz::layer::ExtAuthzLayer;
use mesh_policy::fault::FaultLayer;
use mesh_policy::hedge::HedgeLayer;
use mesh_policy::rate_limit::global::GlobalRateLimitLayer;
use mesh_policy::rate_limit::{LocalRateLimitLayer, RateLimits};
use mesh_policy::retry::RetryLayer;
use mesh_policy::server::ServerLayer;
use mesh_policy::telemetry::access_log::{AccessLogLayer, LogFormat, Logger};
use mesh_policy::telemetry::metrics::MetricsLayer;
use mesh_policy::telemetry::route::RecordRouteLayer;
use mesh_policy::telemetry::trace::{Propagation, Span, TraceLayer};
use mesh_policy::timeout::TimeoutLayer;
use mesh_policy::timeout::idle::IdleTimeoutLayer;
use mesh_policy::timeout::stream::StreamTimeoutLayer;
use mesh_routing::layer::RoutingLayer;
use mesh_routing::layer::cors::CorsLayer;
use mesh_routing::layer::direct_response::DirectResponseLayer;
use mesh_routing::layer::filters::FiltersLayer;
use mesh_routing::layer::headers::HeadersLayer;
use mesh_routing::layer::mirror::{MirrorBody, MirrorLayer};
use mesh_routing::layer::redirect::RedirectLayer;
use mesh_routing::layer::rewrite::RewriteLayer;
use mesh_routing::layer::router::RouterLayer;
use mesh_tls::ca::authenticate::AuthenticateLayer;
use mesh_tls::connection::ConnectionLayer;
use mesh_tls::require_identity::RequireIdentityLayer;
use mesh_tls::xfcc::ForwardClientCert;
use mesh_tls::xfcc::layer::ForwardClientCertLayer;
use tokio::sync::mpsc::unbounded_channel;
use tower::layer::util::Stack;
use tower::{Service, service_fn};
use tower_layer::layer_fn;

use super::app::Answer;
use super::client::hyper_client;
use super::deed::Deed;
use super::servers::{axum, hyper, tonic};
use crate::discovery::{balanced, dispatched};
use crate::policy::{
    authenticator, breakers, custom, denied, global_limit, guards, istio_metrics, local_limits,
    providers,
};
use crate::requests::{
    aborted, answered_directly, equipped, forwarded, hurried, mirrored, on, plain, preflight,
    redirected, rewritten, to, with_field,
};
use crate::routing::{elsewhere, table};
use crate::tls::{plaintext, sha256};

/// Has a layer do its deed in each host.
macro_rules! everywhere {
    ($($name:ident: $asked:expr;)*) => {$(
        mod $name {
            use super::*;

            #[tokio::test]
            async fn in_a_server_of_axum() {
                let (layer, deed) = $asked;
                axum(layer, deed).await;
            }

            #[tokio::test]
            async fn in_a_server_of_tonic() {
                let (layer, deed) = $asked;
                tonic(layer, deed).await;
            }

            #[tokio::test]
            async fn in_a_server_of_hyper() {
                let (layer, deed) = $asked;
                hyper(layer, deed).await;
            }

            #[tokio::test]
            async fn around_a_client_of_hyper() {
                let (layer, deed) = $asked;
                hyper_client(layer, deed).await;
            }
        }
    )*};
}

/// How long nobody waits.
const SHORT: Duration = Duration::from_millis(20);

// mesh-routing
everywhere! {
    routing: (RoutingLayer::new(table()), Deed::refuses(elsewhere(), 404));
    router: (RouterLayer::new(table()), Deed::refuses(elsewhere(), 404));
    filters: (FiltersLayer::new(), Deed::refuses(redirected(), 308));
    cors: (CorsLayer::new(), Deed::refuses(preflight(), 200));
    headers: (HeadersLayer::new(), Deed::passes(rewritten(), "x-way", "cart"));
    rewrite: (
        RewriteLayer::new(),
        Deed::seen(rewritten(), |seen| seen.passed[0].uri.path() == "/cart/New")
    );
    redirect: (RedirectLayer::new(), Deed::refuses(redirected(), 308));
    direct_response: (DirectResponseLayer::new(), Deed::refuses(answered_directly(), 418));
    mirror: {
        let (sender, copies) = unbounded_channel();
        let client = service_fn(move |copy: Request<MirrorBody>| {
            let matched = copy.extensions().get::<MatchedRoute>();
            let cluster = matched.and_then(MatchedRoute::cluster).unwrap();
            sender.send(cluster.to_string()).unwrap();
            swallow()
        });
        (MirrorLayer::new(client), Deed::records(mirrored(), copies, "shadow"))
    };
}

// mesh-tls
everywhere! {
    require_identity: (RequireIdentityLayer::any(), Deed::refuses(plain(), 403));
    authenticate: (AuthenticateLayer::new(), Deed::refuses(plain(), 401));
    connection: (
        ConnectionLayer::new(plaintext()),
        Deed::seen(plain(), |seen| {
            let info = seen.passed[0].extensions.get::<ConnectionInfo>();
            info == Some(plaintext().info())
        })
    );
    forward_client_cert: (
        ForwardClientCertLayer::new(ForwardClientCert::SanitizeSet, sha256()),
        Deed::seen(with_field("x-forwarded-client-cert", "URI=spiffe://a/b"), |seen| {
            !seen.passed[0].headers.contains_key("x-forwarded-client-cert")
        })
    );
}

// mesh-discovery
everywhere! {
    balance: (
        layer_fn(balanced),
        Deed::seen(forwarded(), |seen| {
            let chosen = seen.told.get::<SelectedEndpoint>();
            let address = EndpointAddress::Ip("192.0.2.7:80".parse().unwrap());
            chosen.is_some_and(|chosen| chosen.0.address == address)
        })
    );
    dispatch: (layer_fn(dispatched), Deed::refuses(on(to("nobody").into()), 503));
}

// mesh-policy
everywhere! {
    trace: {
        let (sender, spans) = unbounded_channel();
        let layer = TraceLayer::new()
            .with_propagation([Propagation::W3c])
            .with_sampling(Percent::HUNDRED)
            .with_sink(move |span: Span| sender.send(span.operation + span.path.as_str()).unwrap());
        (layer, Deed::records(plain(), spans, "shop.example/cart/Get"))
    };
    access_log: {
        let (sender, lines) = unbounded_channel();
        let sink = move |line: Bytes| sender.send(String::from_utf8(line.into()).unwrap()).unwrap();
        let format = LogFormat::text("%PATH% %RESPONSE_CODE% %ROUTE_NAME%").unwrap();
        let layer = AccessLogLayer::new([Logger::new(format, sink)]);
        (layer, Deed::records(forwarded(), lines, "/cart/Get 200 cart\n"))
    };
    metrics: {
        let metrics = istio_metrics();
        let layer = MetricsLayer::new(metrics.clone());
        let deed = Deed::seen(forwarded(), move |_| {
            let text = metrics.encode();
            let mut lines = text.lines();
            lines.any(|line| line.starts_with("istio_requests_total{") && line.ends_with(" 1"))
        });
        (layer, deed)
    };
    record_route: (
        RecordRouteLayer::new(),
        Deed::seen(forwarded(), |seen| {
            let route = seen.told.get::<MatchedRoute>();
            route.is_some_and(|route| route.name() == "cart")
        })
    );
    stream_timeout: {
        let layer = Stack::new(TimeoutLayer::new(), StreamTimeoutLayer::new());
        let deed = Deed::seen(hurried(25 * SHORT), |seen| seen.has_status(200) && seen.body.is_none());
        (layer, deed.below(Answer::Unending))
    };
    idle_timeout: (
        IdleTimeoutLayer::new(SHORT),
        Deed::gives_up(forwarded(), 504).without_body()
    );
    timeout: (TimeoutLayer::new(), Deed::gives_up(hurried(SHORT), 504));
    concurrency_limit: (ConcurrencyLimitLayer::new(0), Deed::refuses(forwarded(), 503));
    load_shed: (
        Stack::new(layer_fn(busy), LoadShedLayer::new()),
        Deed::refuses(forwarded(), 503)
    );
    circuit_breaker: (
        CircuitBreakerLayer::new(breakers()),
        Deed::refuses(on(to("full").into()), 503)
    );
    ext_authz: (ExtAuthzLayer::new(custom(), providers()), Deed::refuses(plain(), 403));
    authentication: (
        AuthenticationLayer::new(authenticator()),
        Deed::refuses(with_field("authorization", "Bearer x"), 401)
    );
    server: {
        let layer: ServerLayer = guards();
        (layer, Deed::refuses(with_field("authorization", "Bearer x"), 401))
    };
    authorization: (
        AuthorizationLayer::new(denied()),
        Deed::refuses(with_field("x-denied", "1"), 403)
    );
    local_rate_limit: (
        LocalRateLimitLayer::new(local_limits(1)),
        Deed::seen(forwarded(), |seen| seen.has_status(429) && seen.passed.len() == 1).times(2)
    );
    global_rate_limit: {
        let route = to("cart").into();
        let (filter, rule, nobody) = global_limit(true);
        let limits = RateLimits::new().with_rule(&route, rule);
        (GlobalRateLimitLayer::new(filter, limits, nobody), Deed::refuses(on(route), 500))
    };
    fault: (FaultLayer::new(), Deed::refuses(aborted(), 555));
    retry: (
        RetryLayer::new(),
        Deed::seen(equipped(), |seen| {
            let attempts = seen.told.get::<Attempts>();
            seen.has_status(200) && seen.passed.len() == 2 && attempts == Some(&Attempts(2))
        })
        .below(Answer::FailsFirst)
    );
    hedge: (
        HedgeLayer::new(SHORT),
        Deed::seen(forwarded(), |seen| seen.has_status(200) && seen.passed.len() == 2)
            .below(Answer::HangsFirst)
            .without_body()
    );
}

/// Answers a copy.
fn swallow() -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    ready(Ok(Response::default()))
}

/// Makes a service one that is never ready.
fn busy<S>(inner: S) -> Busy<S> {
    Busy(inner)
}

#[derive(Clone)]
struct Busy<S>(S);

impl<S: Service<T>, T> Service<T> for Busy<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Pending
    }

    fn call(&mut self, request: T) -> S::Future {
        self.0.call(request)
    }
}
