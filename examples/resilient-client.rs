//! A client that does not give up too early, nor too late: a timeout, retries and a circuit breaker
//! around hyper's client.
//!
//! ```sh
//! cargo run --example resilient-client
//! ```
//!
//! How long, how often and how many is Istio's YAML. Any client that is a tower service takes the
//! place of hyper's: the layers ask of its responses only that a body can be made of a text.

#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::error::Error;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use examples::help::NoArguments;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh_core::attributes::{ResetReason, UpstreamReset};
use mesh_core::config::MeshConfig;
use mesh_core::load::Loaded;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_policy::circuit_breaker::{CircuitBreakerLayer, CircuitBreakers};
use mesh_policy::retry::RetryLayer;
use mesh_policy::timeout::TimeoutLayer;
use mesh_routing::layer::RoutingLayer;
use mesh_routing::table::RouteTable;
use tokio::net::{TcpListener, TcpStream};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

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
    - timeout: 1s
      retries: { attempts: 2, retryOn: 'gateway-error,connect-failure' }
      route: [{ destination: { host: cart.example } }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: cart, namespace: shop }
spec:
  host: cart.example
  trafficPolicy: { connectionPool: { http: { http2MaxRequests: 1 } } }
";

const HELP: NoArguments = NoArguments {
    name: "resilient-client",
    shows: "Put a timeout, retries and a circuit breaker around hyper's client.",
    expect: "It serves itself on loopback, says which failures were made good and which not, and ends.",
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
    let address = serve().await?;
    let is_first = Arc::new(AtomicBool::new(true));
    let connector = service_fn(move |_: Uri| {
        let is_first = is_first.swap(false, Ordering::Relaxed);
        Box::pin(async move {
            match is_first {
                true => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
                false => Ok(TokioIo::new(TcpStream::connect(address).await?)),
            }
        })
    });
    let routes = RouteTable::compile(&model.route_configurations["80"])?;
    let breakers = CircuitBreakers::compile(&model.clusters);
    let client = ServiceBuilder::new()
        .layer(RoutingLayer::new(routes))
        .layer(TimeoutLayer::new())
        .layer(RetryLayer::new().with_classifier(reset))
        .layer(CircuitBreakerLayer::new(breakers))
        .map_response(|response: Response<Incoming>| response.map(Body::new))
        .service(Client::builder(TokioExecutor::new()).build(connector));

    let response = call(&client, "/").await?;
    let body = response.into_body().collect().await?.to_bytes();
    assert_eq!(body, "one book", "the first connection was refused");
    for (path, status) in [("/flaky", 200), ("/slow", 504)] {
        assert_eq!(call(&client, path).await?.status(), status, "{path}");
    }

    let under_way = call(&client, "/").await?;
    let refused = call(&client, "/").await?;
    assert_eq!(refused.status(), 503, "one is under way");
    assert!(refused.headers().contains_key("x-envoy-overloaded"));
    drop(under_way);
    assert_eq!(call(&client, "/").await?.status(), 200);
    println!("two failures were made good, one call timed out, and one was too many");
    Ok(())
}

/// What an error of hyper's means for retries.
fn reset(error: &ClientError) -> Option<UpstreamReset> {
    let refused = error.is_connect();
    refused.then(|| UpstreamReset::before_request(ResetReason::ConnectionFailure))
}

async fn call<S, B>(client: &S, path: &str) -> Result<Response<B>, Failure>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = ClientError> + Clone,
{
    let request = Request::get(format!("http://cart.example{path}")).body(Full::default())?;
    Ok(client.clone().oneshot(request).await?)
}

/// A service of which one path answers, one fails once, and one never answers.
async fn serve() -> io::Result<SocketAddr> {
    let has_failed = Arc::new(AtomicBool::new(false));
    let flaky = get(move || async move {
        match has_failed.swap(true, Ordering::Relaxed) {
            false => StatusCode::SERVICE_UNAVAILABLE,
            true => StatusCode::OK,
        }
    });
    let app = Router::new()
        .route("/", get(|| async { "one book" }))
        .route("/flaky", flaky)
        .route("/slow", get(pending::<()>));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(address)
}
