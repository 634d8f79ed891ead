//! Probes by HTTP.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ::http::header::{CONNECTION, HOST, LOCATION};
use ::http::uri::{Authority, PathAndQuery};
use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use bytes::Bytes;
use examples::once;
use examples::program::questions::text;
use http_body_util::Full;
use mesh_tls::verify::PeerVerifier;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::written::HttpGet;
use super::{Failure, Prober};

/// How often an answer that sends the asker elsewhere is followed.
const MAX_REDIRECTS: usize = 10;
/// How much of an answer is passed on.
const MAX_BODY: usize = 10 * 1024;

/// Asks, and follows the answer as long as it leads to the same host: one that leads to another is a
/// good one.
pub(super) async fn ask(
    prober: &Prober,
    get: &HttpGet,
    headers: &HeaderMap,
) -> Result<Response<Full<Bytes>>, Failure> {
    let mut target = Target {
        is_https: get.scheme.eq_ignore_ascii_case("HTTPS"),
        port: get.port,
        path: format!("/{}", get.path.trim_start_matches('/')).parse()?,
    };
    let headers = forwarded(prober, get.port, headers);
    for _ in 0..=MAX_REDIRECTS {
        let response = target.ask(prober, &headers).await?;
        if !response.status().is_redirection() {
            let body = response.body();
            let body = body.slice(..body.len().min(MAX_BODY));
            return Ok(text(response.status(), body));
        }
        match target.redirected(response.headers(), prober.application) {
            Some(next) => target = next,
            // An answer without a place to go to is none to the kubelet.
            None => return Ok(text(StatusCode::OK, "")),
        }
    }
    Err(format!("the answers lead elsewhere more than {MAX_REDIRECTS} times").into())
}

/// What the kubelet has sent, for the port of the application where it is for that of the sidecar.
fn forwarded(prober: &Prober, port: u16, headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let host = headers.get(HOST);
    let host = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let own = host.filter(|host| {
        let asked = host.port_u16();
        asked.is_some_and(|asked| prober.ports.contains(&asked))
    });
    let host = own.map(|host| format!("{}:{port}", host.host()));
    if let Some(host) = host.and_then(|host| HeaderValue::try_from(host).ok()) {
        headers.insert(HOST, host);
    }
    headers
}

/// What is asked for.
struct Target {
    is_https: bool,
    port: u16,
    path: PathAndQuery,
}

impl Target {
    async fn ask(&self, prober: &Prober, headers: &HeaderMap) -> Result<Response<Bytes>, Failure> {
        let mut request = Request::get(Uri::from(self.path.clone())).body(Full::default())?;
        request.headers_mut().clone_from(headers);
        let stream = prober.connect(self.port).await?;
        if !self.is_https {
            return Ok(once::send_on(stream, request).await?);
        }
        let name = ServerName::from(prober.application);
        let stream = TlsConnector::from(Arc::new(tls()?))
            .connect(name, stream)
            .await?;
        Ok(once::send_on(stream, request).await?)
    }

    /// Where an answer leads to, if that is the application.
    fn redirected(&self, headers: &HeaderMap, application: IpAddr) -> Option<Self> {
        let location = headers.get(LOCATION)?.to_str().ok()?;
        if location.starts_with('/') && !location.starts_with("//") {
            let path = location.parse().ok()?;
            return Some(Self { path, ..*self });
        }
        let uri: Uri = location.parse().ok()?;
        let is_https = uri.scheme_str()? == "https";
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let host = SocketAddr::new(application, port).to_string();
        let authority = format!("{}:{port}", uri.host()?);
        (authority == host).then(|| Self {
            is_https,
            port,
            path: uri.path_and_query().cloned().unwrap_or_else(root),
        })
    }
}

fn root() -> PathAndQuery {
    PathAndQuery::from_static("/")
}

/// TLS with anybody: neither does the kubelet verify certificates.
fn tls() -> Result<ClientConfig, Failure> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = PeerVerifier::dangerous_insecure_skip_verify(Arc::clone(&provider))?;
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier.server_verifier())
        .with_no_client_auth())
}
