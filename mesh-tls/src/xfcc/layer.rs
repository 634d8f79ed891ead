//! Tell the next hop about the client's certificate.
//!
//! [`ForwardClientCertLayer`] applies a [`ForwardClientCert`] to each request. The client's
//! certificates are the [`PeerCertificates`] of the request's extensions, which were verified; a
//! server that makes the [`ClientCert`] once for a connection and puts it there saves the work for
//! each request. A client without either has no certificate.
//!
//! The inner service's error and future are unchanged.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use http::{Request, Response};
//! use mesh_tls::digest::Sha256;
//! use mesh_tls::xfcc::layer::ForwardClientCertLayer;
//! use mesh_tls::xfcc::{ForwardClientCert, X_FORWARDED_CLIENT_CERT};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sha256 = Sha256::of_provider(&rustls::crypto::aws_lc_rs::default_provider())?;
//! let echo = service_fn(|request: Request<()>| async move {
//!     let forwarded = request.headers().get(X_FORWARDED_CLIENT_CERT).cloned();
//!     Ok::<_, Infallible>(Response::new(forwarded))
//! });
//! let service = ForwardClientCertLayer::new(ForwardClientCert::SanitizeSet, sha256).layer(echo);
//!
//! let forged = Request::get("/").header(X_FORWARDED_CLIENT_CERT, "URI=spiffe://mesh/admin");
//! let response = service.oneshot(forged.body(())?).await?;
//! assert_eq!(response.body(), &None, "the client has no certificate");
//! # Ok(())
//! # }
//! ```

use std::task::{Context, Poll};

use http::{Extensions, Request};
use tower_layer::Layer;
use tower_service::Service;

use super::details::ClientCertDetails;
use super::element::Element;
use super::forward::{ClientCert, ForwardClientCert};
use crate::certificate::Certificate;
use crate::connection::PeerCertificates;
use crate::digest::Sha256;
use crate::resolve::LiveIdentity;

/// Layer that applies [`ForwardClientCertService`].
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct ForwardClientCertLayer {
    settings: Settings,
}

#[derive(Clone, Debug)]
struct Settings {
    mode: ForwardClientCert,
    details: ClientCertDetails,
    own: Own,
    sha256: Sha256,
}

/// What the client was shown.
#[derive(Clone, Debug)]
enum Own {
    Certificate(Certificate),
    Identity(LiveIdentity),
    Unknown,
}

impl Own {
    fn certificate(&self) -> Option<Certificate> {
        match self {
            Self::Certificate(certificate) => Some(certificate.clone()),
            Self::Identity(live) => Some(live.svid()?.leaf().clone()),
            Self::Unknown => None,
        }
    }
}

impl ForwardClientCertLayer {
    /// Treats the header by `mode`.
    pub fn new(mode: ForwardClientCert, sha256: Sha256) -> Self {
        Self {
            settings: Settings {
                mode,
                details: ClientCertDetails::default(),
                own: Own::Unknown,
                sha256,
            },
        }
    }

    /// Shows these parts of the client's certificate. Default: subject, URIs and DNS names.
    #[must_use]
    pub fn with_details(mut self, details: ClientCertDetails) -> Self {
        self.settings.details = details;
        self
    }

    /// Says in `By` who we are, for all connections. Default: `By` is left out.
    #[must_use]
    pub fn with_identity(mut self, own: LiveIdentity) -> Self {
        self.settings.own = Own::Identity(own);
        self
    }

    /// Says in `By` who we are by the certificate that the client of this one connection was shown
    /// ([`TlsPeer::own`](crate::connection::TlsPeer::own)); without a URI among its names, `By` is left
    /// out.
    #[must_use]
    pub fn with_own_certificate(mut self, own: Option<Certificate>) -> Self {
        self.settings.own = own.map_or(Own::Unknown, Own::Certificate);
        self
    }
}

impl<S> Layer<S> for ForwardClientCertLayer {
    type Service = ForwardClientCertService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ForwardClientCertService {
            inner,
            settings: self.settings.clone(),
        }
    }
}

/// Middleware that tells the next hop about the client's certificate.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct ForwardClientCertService<S> {
    inner: S,
    settings: Settings,
}

impl<S, ReqBody> Service<Request<ReqBody>> for ForwardClientCertService<S>
where
    S: Service<Request<ReqBody>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let (mode, client) = self.settings.decide(request.extensions());
        mode.apply(request.headers_mut(), client.as_ref());
        self.inner.call(request)
    }
}

impl Settings {
    /// What to do, and the element for the client if it is needed.
    fn decide(&self, extensions: &Extensions) -> (ForwardClientCert, Option<ClientCert>) {
        if let ForwardClientCert::AlwaysForwardOnly | ForwardClientCert::Sanitize = self.mode {
            return (self.mode, None);
        }
        if let Some(client) = extensions.get::<ClientCert>() {
            return (self.mode, Some(client.clone()));
        }
        match extensions
            .get::<PeerCertificates>()
            .map(|peer| self.element(peer))
        {
            Some(Some(client)) => (self.mode, Some(client)),
            // It has a certificate that no header can hold.
            Some(None) => (ForwardClientCert::Sanitize, None),
            None => (self.mode, None),
        }
    }

    fn element(&self, peer: &PeerCertificates) -> Option<ClientCert> {
        let chain = peer.0.iter().map(|der| Certificate::from_der(der));
        let chain: Vec<Certificate> = chain.collect::<Result<_, _>>().ok()?;
        let own = self.own.certificate();
        let element = Element::describe(&chain, own.as_ref(), self.details, &self.sha256)?;
        ClientCert::new(&element).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::ready;

    use http::{HeaderValue, Response};
    use tower::{ServiceExt, service_fn};

    use super::*;
    use crate::resolve::{self, Identity};
    use crate::svid::X509Svid;
    use crate::testing::{self, Authority};
    use crate::trust_bundle::TrustBundles;
    use crate::xfcc::X_FORWARDED_CLIENT_CERT;

    fn peer(svid: &X509Svid) -> PeerCertificates {
        let chain = svid.chain().iter().map(|one| one.der().clone());
        PeerCertificates(chain.collect())
    }

    async fn send(layer: ForwardClientCertLayer, peer: Option<PeerCertificates>) -> Option<String> {
        let inner = service_fn(|request: Request<()>| {
            let value = request.headers().get(X_FORWARDED_CLIENT_CERT).cloned();
            ready(Ok::<_, Infallible>(Response::new(value)))
        });
        let mut request = Request::new(());
        let old = HeaderValue::from_static("Hash=0");
        request.headers_mut().insert(X_FORWARDED_CLIENT_CERT, old);
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        let response = layer.layer(inner).oneshot(request).await.unwrap();
        let value = response.into_body()?;
        Some(value.to_str().unwrap().to_owned())
    }

    fn layer(mode: ForwardClientCert) -> ForwardClientCertLayer {
        let sha256 = Sha256::of_provider(&testing::provider()).unwrap();
        ForwardClientCertLayer::new(mode, sha256)
    }

    #[tokio::test]
    async fn the_next_hop_learns_who_the_client_is_and_who_says_so() {
        let authority = Authority::new("mesh");
        let (client, own) = (
            authority.svid("/ns/a/sa/web"),
            authority.svid("/ns/a/sa/gateway"),
        );
        let shown = Some(own.leaf().clone());
        let (publisher, live) = resolve::channel();
        publisher.publish(Identity {
            svid: own,
            bundles: TrustBundles::default(),
        });
        let sha256 = Sha256::of_provider(&testing::provider()).unwrap();
        let hash = client.leaf().fingerprint(&sha256);
        let element = format!(
            r#"By=spiffe://mesh/ns/a/sa/gateway;Hash={hash};Subject="";URI=spiffe://mesh/ns/a/sa/web"#
        );
        let set = layer(ForwardClientCert::SanitizeSet).with_identity(live.clone());
        assert_eq!(send(set, Some(peer(&client))).await, Some(element.clone()));
        let append = layer(ForwardClientCert::AppendForward).with_identity(live);
        let appended = send(append, Some(peer(&client))).await;
        assert_eq!(appended, Some(format!("Hash=0,{element}")));
        let shown = layer(ForwardClientCert::SanitizeSet).with_own_certificate(shown);
        assert_eq!(send(shown, Some(peer(&client))).await, Some(element));
    }

    #[tokio::test]
    async fn the_header_of_a_client_without_a_certificate_is_removed() {
        use ForwardClientCert as F;
        for mode in [
            F::AppendForward,
            F::ForwardOnly,
            F::Sanitize,
            F::SanitizeSet,
        ] {
            assert_eq!(send(layer(mode), None).await, None, "{mode:?}");
        }
        let always = send(layer(F::AlwaysForwardOnly), None).await;
        assert_eq!(always.as_deref(), Some("Hash=0"));
    }

    #[tokio::test]
    async fn the_details_are_those_asked_for() {
        let client = Authority::new("mesh").svid("/ns/a/sa/web");
        let details = ClientCertDetails {
            cert: false,
            chain: false,
            subject: false,
            uri: false,
            dns: false,
        };
        let layer = layer(ForwardClientCert::SanitizeSet).with_details(details);
        let value = send(layer, Some(peer(&client))).await.unwrap();
        assert!(
            value.starts_with("Hash=") && !value.contains(';'),
            "{value}"
        );
    }
}
