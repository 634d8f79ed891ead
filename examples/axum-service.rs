//! An axum service under Istio's policies: tokens, authorization, a rate limit, and metrics.
//!
//! ```sh
//! cargo run --example axum-service
//! ```
//!
//! The policies are Istio's YAML. What [`policies`] makes of them is an ordinary tower layer, which
//! has others in it, in the order of [`mesh_policy::stack`].

#![expect(clippy::print_stdout, reason = "an example tells what it did")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::routing::get;
use axum::{Router, serve};
use bytes::Bytes;
use examples::help::NoArguments;
use examples::tokens::TokenIssuer;
use examples::{connection_info, once};
use http::Request;
use http_body_util::Full;
use mesh_core::config::MeshConfig;
use mesh_core::load::Loaded;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use mesh_policy::authn::{Algorithms, KeyStore};
use mesh_policy::server::ServerLayer;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::UnixTime;
use tokio::net::TcpListener;
use tokio::time::Instant;

const HELP: NoArguments = NoArguments {
    name: "axum-service",
    shows: "Hold an axum service to tokens, authorization and a rate limit written for Istio.",
    expect: "It serves itself on loopback, says which requests were served and which refused, and ends.",
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    HELP.parse();
    let issuer = TokenIssuer::new("https://login.example")?;
    let app = policies(&include_str!("policies/cart.yaml").replace("KEYS", &issuer.jwks()))?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // Policies with conditions on addresses have to know them.
    let app = connection_info::attach(app, address);
    tokio::spawn(serve(listener, app).into_future());

    let expires = UnixTime::now().as_secs() + 3600;
    let alice = issuer.token("alice", expires)?;
    let bob = issuer.token("bob", expires)?;
    assert_eq!(cart(address, "").await?, 403, "nobody");
    assert_eq!(cart(address, "x.y.z").await?, 401, "no token");
    assert_eq!(cart(address, &bob).await?, 403, "someone else");
    for status in [200, 200, 200, 429] {
        assert_eq!(cart(address, &alice).await?, status, "alice");
    }

    let request = Request::get("/stats/prometheus").body(Full::default())?;
    let metrics = String::from_utf8(once::send(address, request).await?.body().to_vec())?;
    let allowed = metrics.lines().find(|line| {
        line.starts_with("istio_requests_total{") && line.contains(r#"response_code="200""#)
    });
    assert!(
        allowed.is_some_and(|line| line.ends_with(" 3")),
        "{metrics}"
    );
    println!("three of alice's requests were served, all others refused and counted");
    Ok(())
}

/// The application, under the policies of `yaml` for workloads of the namespace `shop`.
fn policies(yaml: &str) -> Result<Router, Box<dyn Error + Send + Sync>> {
    let mut loaded = Loaded::default();
    loaded.add("cart.yaml", yaml);
    let loaded = loaded.build(MeshConfig::builder(), 1);
    let (config, warnings) = loaded.map_err(|found| found.to_string())?;
    // Nothing is wrong, but a person may want to know.
    print!("{warnings}");
    let model = resolve(&config, &Workload::sidecar("shop"));
    let algorithms = Algorithms::new(
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .all,
    );
    let (keys, now) = (KeyStore::default(), Instant::now().into_std());
    let (policies, notices) = ServerLayer::compile(&config, &model, &keys, algorithms, now)?;
    assert!(notices.is_empty(), "{notices:?}");

    let metrics = Arc::clone(policies.metrics());
    let cart = Router::new().route("/cart", get(|| async { "one book" }));
    let stats = get(move || async move { metrics.encode() });
    Ok(cart.layer(policies).route("/stats/prometheus", stats))
}

/// The status of a request with a token, or without one if it is empty.
async fn cart(address: SocketAddr, token: &str) -> Result<u16, Box<dyn Error + Send + Sync>> {
    let mut request = Request::get("/cart");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = once::send(address, request.body(Full::<Bytes>::default())?).await?;
    Ok(response.status().as_u16())
}
