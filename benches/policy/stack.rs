//! Metrics, authorization by a thousand policies, rate limit, timeout and retry around a service that
//! answers at once, beside the service. Both include what it costs to make the request, so that it is
//! as warm as one that has just been read; their difference is what the layers cost.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::Criterion;
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use mesh_core::attributes::{ConnectionInfo, MatchedRoute, PeerIdentity};
use mesh_core::identity::TrustDomains;
use mesh_core::model::retry::RetryPolicy;
use mesh_core::model::route::{Route, RouteAction, RouteMatch};
use mesh_core::service::ClusterName;
use mesh_policy::authz::PolicySet;
use mesh_policy::authz::layer::AuthorizationLayer;
use mesh_policy::rate_limit::local::LocalRateLimit;
use mesh_policy::rate_limit::token_bucket::TokenBucketSettings;
use mesh_policy::rate_limit::{LocalRateLimitLayer, RateLimits};
use mesh_policy::retry::RetryLayer;
use mesh_policy::retry::replay_body::ReplayBody;
use mesh_policy::telemetry::PeerWorkload;
use mesh_policy::telemetry::metrics::{IstioMetrics, MetricsLayer, Reporter, Uploaded};
use mesh_policy::timeout::TimeoutLayer;
use tokio::runtime::{Builder, Runtime};
use tower::{Service, ServiceBuilder, service_fn};

use crate::policies::policies;

pub(crate) fn benches(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let request = requests();
    let mut group = criterion.benchmark_group("policy/stack");
    let mut bare = service_fn(|_: Request<Full<Bytes>>| async { answer() });
    assert_eq!(exchange(&runtime, &mut bare, request()), 200);
    group.bench_function("bare", |bencher| {
        bencher.iter(|| black_box(exchange(&runtime, &mut bare, request())));
    });

    let metrics = Arc::new(IstioMetrics::new(
        Reporter::Destination,
        PeerWorkload::default(),
    ));
    let plenty = TokenBucketSettings::new(u32::MAX, u32::MAX, Duration::from_secs(1)).unwrap();
    let now = {
        let _entered = runtime.enter();
        tokio::time::Instant::now().into_std()
    };
    let limits = RateLimits::new().with_default(LocalRateLimit::new(plenty, now));
    let domains = TrustDomains::new("cluster.local".parse().unwrap());
    let policies = PolicySet::compile(&policies(), &domains);
    let mut layered = ServiceBuilder::new()
        .layer(MetricsLayer::new(Arc::clone(&metrics)))
        .layer(AuthorizationLayer::new(policies))
        .layer(LocalRateLimitLayer::new(limits))
        // Nothing here holds bodies to the deadline.
        .layer(TimeoutLayer::new().with_deadline(false))
        .layer(RetryLayer::new())
        .service(service_fn(
            |_: Request<ReplayBody<Uploaded<Full<Bytes>>>>| async { answer() },
        ));
    assert_eq!(exchange(&runtime, &mut layered, request()), 200);
    assert!(metrics.encode().contains("response_code=\"200\""));
    group.bench_function(
        "metrics, authorization, rate limit, timeout, retry",
        |bencher| {
            bencher.iter(|| black_box(exchange(&runtime, &mut layered, request())));
        },
    );
    group.finish();
}

fn answer() -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"hello"))))
}

/// Requests as a service sends them, by a route with a timeout and Istio's retries.
fn requests() -> impl Fn() -> Request<Full<Bytes>> {
    let mut route = Route::forward("cart", RouteMatch::prefix("/"), ClusterName::from("cart"));
    if let RouteAction::Forward(forward) = &mut route.action {
        forward.timeout = Some(Duration::from_secs(15));
        forward.retry = Some(Arc::new(RetryPolicy::default()));
    }
    let matched = MatchedRoute::new(Arc::new(route), 0);
    let connection = ConnectionInfo {
        peer: ([10, 0, 0, 7], 41000).into(),
        local: ([10, 0, 0, 9], 8080).into(),
        tls: None,
    };
    let client = PeerIdentity("spiffe://cluster.local/ns/shop/sa/client".parse().unwrap());
    // Views of what was read, as a server makes them.
    let read = |text: &'static str| Bytes::copy_from_slice(text.as_bytes()).slice(0..text.len());
    let uri = read("http://cart.shop.svc.cluster.local/cart/7");
    let fields = [
        ("user-agent", read("shop/1.0")),
        ("accept", read("application/json")),
        ("x-request-id", read("b19c0f3c-75a3-4f73-8a5e-5d9f6a2c1e00")),
    ];
    move || {
        let mut request = Request::get(Uri::from_maybe_shared(uri.clone()).unwrap());
        for (name, value) in &fields {
            let value = HeaderValue::from_maybe_shared(value.clone()).unwrap();
            request = request.header(HeaderName::from_static(name), value);
        }
        request
            .extension(matched.clone())
            .extension(connection.clone())
            .extension(client.clone())
            .body(Full::default())
            .unwrap()
    }
}

/// An exchange, whose body is read to its end. Returns the status.
fn exchange<S, B>(runtime: &Runtime, service: &mut S, request: Request<Full<Bytes>>) -> u16
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: BodyExt<Data = Bytes>,
    B::Error: std::fmt::Debug,
{
    runtime.block_on(async {
        std::future::poll_fn(|cx| service.poll_ready(cx))
            .await
            .unwrap();
        let response = service.call(request).await.unwrap();
        let status = response.status().as_u16();
        response.into_body().collect().await.unwrap();
        status
    })
}
