use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::request::Parts;
use mesh_core::attributes::RequestPrincipal;
use mesh_core::identity::SpiffeId;
use mesh_core::resource::Value;

/// A request, and what is known of the connection that it comes by.
#[derive(Debug)]
pub struct Asked {
    /// The request, with the claims of its caller in its extensions.
    pub parts: Parts,
    /// Its host, which is the server name of a TLS handshake, too.
    pub host: String,
    /// The port that it is sent to.
    pub port: u16,
    /// Whether it comes by TLS.
    pub is_tls: bool,
    /// Whether it is one that a sidecar's application is called by, and not one that it sends.
    pub is_inbound: bool,
    /// The identity that the caller has proven.
    pub peer: Option<SpiffeId>,
    /// Whether the caller has proven to own a certificate, if only one without an identity. Who has proven
    /// an identity has one anyway.
    pub has_certificate: bool,
    /// The address of the caller.
    pub source: IpAddr,
}

impl Asked {
    /// A request in plaintext to `port`, of a caller on this machine of whom nothing else is known.
    pub fn new(parts: Parts, port: u16) -> Self {
        Self {
            host: parts.uri.host().unwrap_or_default().to_owned(),
            parts,
            port,
            is_tls: false,
            is_inbound: false,
            peer: None,
            has_certificate: false,
            source: Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Whether it comes by TLS that ends here: whoever proves an identity to a sidecar does so by the
    /// TLS of the mesh.
    pub(super) fn is_encrypted(&self) -> bool {
        self.is_tls || self.is_of_mesh()
    }

    /// Whether the caller proves an identity to a sidecar.
    pub(super) fn is_of_mesh(&self) -> bool {
        self.is_inbound && self.peer.is_some()
    }

    /// The same of a caller with a valid token that claims this.
    #[must_use]
    pub fn with_claims(mut self, claims: &Value) -> Self {
        self.parts.extensions.insert(principal(claims));
        self
    }
}

/// Reads the claims of a token, an object of JSON.
///
/// # Errors
///
/// It is none. The error is for whoever wrote it.
pub fn claims(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(claims @ Value::Map(_)) => Ok(claims),
        Ok(_) => Err("claims are an object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What a token with `claims` says of the caller.
fn principal(claims: &Value) -> RequestPrincipal {
    let text = |name| match claims.field(name) {
        Some(Value::String(text)) => text.as_str(),
        _ => "",
    };
    let (issuer, subject) = (text("iss"), text("sub"));
    let principal = match issuer.is_empty() || subject.is_empty() {
        true => String::new(),
        false => format!("{issuer}/{subject}"),
    };
    RequestPrincipal {
        principal: principal.into(),
        claims: Arc::new(claims.clone()),
    }
}
