//! A client that tries again, around reqwest: the layers are those of `resilient-client`, and two
//! functions take requests to reqwest's types and responses back.
//!
//! ```sh
//! cargo run --example resilient-reqwest
//! ```

#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use bytes::Bytes;
use examples::help::NoArguments;
use futures_util::future::{BoxFuture, FutureExt};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use mesh_core::attributes::{ResetReason, UpstreamReset};
use mesh_core::config::MeshConfig;
use mesh_core::load::Loaded;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_policy::circuit_breaker::{CircuitBreakerLayer, CircuitBreakers};
use mesh_policy::retry::RetryLayer;
use mesh_policy::retry::replay_body::ReplayBody;
use mesh_policy::timeout::TimeoutLayer;
use mesh_routing::layer::RoutingLayer;
use mesh_routing::table::RouteTable;
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, ServiceExt};

type Failure = Box<dyn Error + Send + Sync>;

const CONFIGURATION: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: cart, namespace: shop }
spec:
  hosts: [cart.example]
  resolution: DNS
  ports: [{ number: 80, name: http, protocol: HTTP }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: cart, namespace: shop }
spec:
  hosts: [cart.example]
  http:
    - timeout: 5s
      retries: { attempts: 2, retryOn: 'gateway-error,connect-failure' }
      route: [{ destination: { host: cart.example } }]
";

const HELP: NoArguments = NoArguments {
    name: "resilient-reqwest",
    shows: "Put a timeout, retries and a circuit breaker around reqwest.",
    expect: "It serves itself on loopback, says which failures were made good, and ends.",
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    HELP.parse();
    let mut loaded = Loaded::default();
    loaded.add("cart.yaml", CONFIGURATION);
    let loaded = loaded.build(MeshConfig::builder(), 1);
    let (config, warnings) = loaded.map_err(|found| found.to_string())?;
    assert!(warnings.is_empty(), "{warnings}");
    let model = resolve(&config, &Workload::sidecar("shop"));
    let routes = RouteTable::compile(&model.route_configurations["80"])?;
    let breakers = CircuitBreakers::compile(&model.clusters);
    let address = serve().await?;
    // The name is known to nobody but this client.
    let client = reqwest::Client::builder()
        .no_proxy()
        // The authorities of the system are not needed, and need not be there.
        .tls_certs_only([])
        .resolve("cart.example", address)
        .build()?;
    let client = ServiceBuilder::new()
        .layer(RoutingLayer::new(routes))
        .layer(TimeoutLayer::new())
        .layer(RetryLayer::new().with_classifier(reset))
        .layer(CircuitBreakerLayer::new(breakers))
        .service(Reqwest(client));

    let url = format!("http://cart.example:{}/flaky", address.port());
    let request = Request::post(url).body(Full::from("two books"))?;
    let response = client.oneshot(request).await?;
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await?.to_bytes();
    assert_eq!(body, "two books, on the third attempt");
    println!("two failures were made good, and the body was sent each time");
    Ok(())
}

/// reqwest's client, with the types of `http`.
#[derive(Clone, Debug)]
struct Reqwest(reqwest::Client);

impl Service<Request<ReplayBody<Full<Bytes>>>> for Reqwest {
    type Response = Response<Body>;
    type Error = reqwest::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, reqwest::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), reqwest::Error>> {
        Service::poll_ready(&mut self.0, cx)
    }

    fn call(&mut self, request: Request<ReplayBody<Full<Bytes>>>) -> Self::Future {
        let request = request.map(reqwest::Body::wrap);
        let client = self.0.clone();
        async move {
            let response = client.execute(request.try_into()?).await?;
            Ok(Response::from(response).map(Body::new))
        }
        .boxed()
    }
}

/// What an error of reqwest's means for retries.
fn reset(error: &reqwest::Error) -> Option<UpstreamReset> {
    let refused = error.is_connect();
    refused.then(|| UpstreamReset::before_request(ResetReason::ConnectionFailure))
}

/// A service that fails twice, and then answers with the body that it got.
async fn serve() -> io::Result<SocketAddr> {
    let attempts = Arc::new(AtomicU32::new(0));
    let flaky = post(move |body: String| async move {
        match attempts.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
            _ => (StatusCode::OK, format!("{body}, on the third attempt")),
        }
    });
    let app = Router::new().route("/flaky", flaky);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(address)
}
