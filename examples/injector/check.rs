//! What the API server asks, asked in its place.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use examples::authority::Authority;
use examples::once;
use http::Request;
use http_body_util::Full;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use crate::{Failure, acceptor, serve};

const HOST: &str = "injector.istio-system.svc";

/// Asks for a sidecar, and for what is not valid.
pub(crate) async fn run() -> Result<(), Failure> {
    let authority = Authority::new("cluster.local".parse()?)?;
    let id = "spiffe://cluster.local/ns/istio-system/sa/injector";
    let identity = authority.identity(id, &[HOST])?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(
        listener,
        acceptor(identity.svid.credential().clone())?,
    ));

    let pod = json!({"metadata": {"name": "cart"}, "spec": {"containers": [{"name": "cart"}]}});
    let response = ask(&authority, address, "/inject", &pod).await?;
    assert_eq!(response["allowed"], true);
    let patch = response["patch"].as_str().ok_or("the pod is patched")?;
    let patch: Vec<Value> = serde_json::from_slice(&STANDARD.decode(patch)?)?;
    let mut added = patch
        .iter()
        .filter(|operation| operation["path"] == "/spec/initContainers");
    let containers = &added.next().ok_or("containers are added")?["value"];
    assert_eq!(containers[1]["name"], "istio-proxy");
    println!("a pod gets its sidecar by {} changes", patch.len());

    let service = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {"hosts": ["cart"], "htttp": []},
    });
    let response = ask(&authority, address, "/validate", &service).await?;
    assert_eq!(response["allowed"], false);
    println!(
        "a resource that is not valid is refused: {}",
        response["status"]["message"]
    );
    Ok(())
}

/// Asks as the API server does, which trusts the authority only.
async fn ask(
    authority: &Authority,
    address: SocketAddr,
    path: &str,
    object: &Value,
) -> Result<Value, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.root().der().clone())?;
    let tls = ClientConfig::builder_with_provider(Arc::clone(authority.provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(HOST)?;
    let stream = TlsConnector::from(Arc::new(tls))
        .connect(name, stream)
        .await?;
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {"uid": "7", "namespace": "shop", "object": object},
    });
    let request = Request::post(path).body(Full::<Bytes>::from(review.to_string()))?;
    let response = once::send_on(stream, request).await?;
    assert_eq!(response.status(), 200);
    let answer: Value = serde_json::from_slice(response.body())?;
    assert_eq!(answer["response"]["uid"], "7");
    Ok(answer["response"].clone())
}
