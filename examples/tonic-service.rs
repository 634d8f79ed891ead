//! A tonic service under Istio's policies: tokens, authorization, a rate limit, and metrics.
//!
//! ```sh
//! cargo run --example tonic-service
//! ```
//!
//! The layers are those of `axum-service`. What they refuse, a gRPC client gets as a gRPC status.
//! They stand above tonic's routes as axum's router, since tonic's own body cannot be made of a text.

#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::{Router, serve};
use examples::connection_info;
use examples::help::NoArguments;
use examples::tokens::TokenIssuer;
use http::uri::PathAndQuery;
use mesh_core::config::MeshConfig;
use mesh_core::load::Loaded;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_policy::authn::{Algorithms, KeyStore};
use mesh_policy::server::ServerLayer;
use mesh_policy::telemetry::metrics::IstioMetrics;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::UnixTime;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

const HELP: NoArguments = NoArguments {
    name: "tonic-service",
    shows: "Hold a gRPC service to tokens, authorization and a rate limit written for Istio.",
    expect: "It serves itself on loopback, says which calls were served and which refused, and ends.",
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    HELP.parse();
    let issuer = TokenIssuer::new("https://login.example")?;
    let yaml = include_str!("policies/cart.yaml").replace("KEYS", &issuer.jwks());
    let (app, metrics) = policies(&yaml)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // Policies with conditions on addresses have to know them.
    let app = connection_info::attach(app, address);
    tokio::spawn(serve(listener, app).into_future());

    let channel = Endpoint::from_shared(format!("http://{address}"))?;
    let channel = channel.connect().await?;
    let expires = UnixTime::now().as_secs() + 3600;
    let (alice, bob) = (
        issuer.token("alice", expires)?,
        issuer.token("bob", expires)?,
    );
    let served = [(alice.as_str(), None); 3];
    let refused = [
        ("", Some(Code::PermissionDenied)),
        ("x.y.z", Some(Code::Unauthenticated)),
        (bob.as_str(), Some(Code::PermissionDenied)),
    ];
    let too_many = [(alice.as_str(), Some(Code::Unavailable))];
    for (token, code) in refused.into_iter().chain(served).chain(too_many) {
        let status = get(channel.clone(), token).await.err();
        assert_eq!(status.map(|status| status.code()), code, "{token}");
    }
    let metrics = metrics.encode();
    for (code, count) in [(0, 3), (7, 2), (14, 1), (16, 1)] {
        let label = format!("grpc_response_status=\"{code}\"");
        let is_total = |line: &&str| line.starts_with("istio_requests_total{");
        let mut lines = metrics.lines().filter(is_total);
        let counted = lines.find(|line| line.contains(&label));
        assert!(counted.is_some_and(|line| line.ends_with(&format!(" {count}"))));
    }
    println!("three of alice's calls were served, all others refused and counted");
    Ok(())
}

/// The service, under the policies of `yaml` for workloads of the namespace `shop`, and what is
/// counted of it.
fn policies(yaml: &str) -> Result<(Router, Arc<IstioMetrics>), Box<dyn Error + Send + Sync>> {
    let mut loaded = Loaded::default();
    loaded.add("cart.yaml", yaml);
    let loaded = loaded.build(MeshConfig::builder(), 1);
    let (config, warnings) = loaded.map_err(|found| found.to_string())?;
    // Nothing is wrong, but a person may want to know.
    print!("{warnings}");
    let model = resolve(&config, &Workload::sidecar("shop"));
    let all = aws_lc_rs::default_provider()
        .signature_verification_algorithms
        .all;
    let (keys, now) = (KeyStore::default(), Instant::now().into_std());
    let (policies, notices) =
        ServerLayer::compile(&config, &model, &keys, Algorithms::new(all), now)?;
    assert!(notices.is_empty(), "{notices:?}");
    let metrics = Arc::clone(policies.metrics());
    let app = Routes::new(Cart).into_axum_router().layer(policies);
    Ok((app, metrics))
}

/// What a build script makes of `service Cart { rpc Get(StringValue) returns (StringValue); }`.
#[derive(Clone, Debug)]
struct Cart;

impl NamedService for Cart {
    const NAME: &str = "shop.Cart";
}

impl Service<http::Request<Body>> for Cart {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let get = service_fn(|request: Request<String>| async move {
            let text = format!("one book for {}", request.into_inner());
            Ok::<_, Status>(Response::new(text))
        });
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
            Ok(grpc.unary(get, request).await)
        })
    }
}

/// What a build script makes the client of.
async fn get(channel: Channel, token: &str) -> Result<String, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready()
        .await
        .map_err(|error| Status::unknown(error.to_string()))?;
    let mut request = Request::new("alice".to_owned());
    if let (false, Ok(bearer)) = (token.is_empty(), format!("Bearer {token}").parse()) {
        request.metadata_mut().insert("authorization", bearer);
    }
    let path = PathAndQuery::from_static("/shop.Cart/Get");
    let response = grpc.unary(request, path, ProstCodec::<String, String>::default());
    Ok(response.await?.into_inner())
}
