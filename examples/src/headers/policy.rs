//! What is done to headers, and what is not.

use http::{HeaderValue, Method, Request, Version};
use hyper::ext::Protocol;
use mesh_core::header::join_crumbs;
use mesh_core::path::Normalization;

use super::authority;
use super::forwarded::{Peer, Source, Trust};
use super::hop_by_hop::{self, Upgrades};
use super::method;
use super::refusal::Refusal;
use super::request_id::{self, X_REQUEST_ID};

/// How a client is connected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    /// In plaintext.
    Http,
    /// By TLS.
    Https,
}

impl Scheme {
    /// The name of the scheme, as in a URI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What is done to the headers of every request and response.
///
/// The default is what an Istio ingress gateway does. See the [module docs](super).
#[derive(Clone, Debug)]
pub struct HeaderPolicy {
    /// How paths are normalized: `meshConfig.pathNormalization`. Default: `BASE`.
    pub normalization: Normalization,
    /// How many header fields a request has at most. A server of HTTP/1.1 may refuse fewer before; one of
    /// HTTP/2 counts only their bytes. Default: 100, as Envoy's `max_headers_count`.
    pub max_headers: usize,
    /// To what clients may switch, by `Upgrade` or by extended `CONNECT` (RFC 8441). Default:
    /// WebSocket only.
    pub upgrades: Upgrades,
    /// Whom to believe about the client; `None` leaves what the client says as it is. Default:
    /// nobody but the socket.
    pub forwarded: Option<Trust>,
    /// Whether requests get an `x-request-id`. Default: yes.
    pub request_id: bool,
    /// Whether a client outside the mesh may choose its `x-request-id`: Envoy's
    /// `preserve_external_request_id`. Default: no.
    pub preserve_external_request_id: bool,
    /// The `server` header of responses, in place of the upstream's; `None` leaves that as it is.
    /// Default: `istio-envoy`.
    pub server: Option<HeaderValue>,
}

impl Default for HeaderPolicy {
    fn default() -> Self {
        Self {
            normalization: Normalization::default(),
            max_headers: 100,
            upgrades: Upgrades::default(),
            forwarded: Some(Trust::default()),
            request_id: true,
            preserve_external_request_id: false,
            server: Some(HeaderValue::from_static("istio-envoy")),
        }
    }
}

impl HeaderPolicy {
    /// Brings a request from `peer` into the form that all that follows can rely on.
    ///
    /// `random` becomes the request's identifier if it needs one.
    ///
    /// # Errors
    ///
    /// The request is not allowed; see [`Refusal`].
    pub fn admit<B>(
        &self,
        request: &mut Request<B>,
        peer: &Peer,
        scheme: Scheme,
        random: impl FnOnce() -> u128,
    ) -> Result<(), Refusal> {
        if request.version() < Version::HTTP_11 {
            return Err(Refusal::Version);
        }
        if request.version() == Version::HTTP_11 && !method::is_known(request.method()) {
            return Err(Refusal::Method);
        }
        if request.headers().len() > self.max_headers {
            return Err(Refusal::HeaderCount);
        }
        match request.extensions().get::<Protocol>() {
            Some(protocol) if !self.upgrades.allows(protocol.as_str()) => {
                return Err(Refusal::Upgrade);
            }
            None if request.method() == Method::CONNECT => return Err(Refusal::Connect),
            _ => {}
        }
        authority::settle(request, scheme)?;
        if request.version() >= Version::HTTP_2 {
            join_crumbs(request.headers_mut());
        }
        self.normalize_path(request)?;
        hop_by_hop::remove_from_request(request.headers_mut(), &self.upgrades)?;
        let source = match &self.forwarded {
            Some(trust) => peer.forward(request.headers_mut(), trust),
            None => Source::External,
        };
        let chosen = source == Source::Internal || self.preserve_external_request_id;
        if self.request_id && !(chosen && request.headers().contains_key(X_REQUEST_ID)) {
            let id = request_id::generate(random());
            request.headers_mut().insert(X_REQUEST_ID, id);
        }
        Ok(())
    }

    fn normalize_path<B>(&self, request: &mut Request<B>) -> Result<(), Refusal> {
        let Some(path) = request.uri().path_and_query() else {
            return Ok(());
        };
        if path.path() == "*" {
            return Ok(());
        }
        let normalized = self.normalization.apply(path.as_str());
        let normalized = normalized.map_err(|_zero_byte| Refusal::Path)?;
        if let std::borrow::Cow::Owned(normalized) = normalized {
            *request.uri_mut() = normalized.try_into().map_err(|_| Refusal::Path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    #[test]
    fn more_headers_than_envoy_takes_are_refused() {
        let admitted = |count: usize| {
            let mut request = Request::get("https://a.example/").version(Version::HTTP_2);
            for index in 0..count {
                request = request.header(format!("x-{index}"), "a");
            }
            let mut request = request.body(()).unwrap();
            let peer = Peer::new([192, 0, 2, 1].into(), Scheme::Https, &Trust::default());
            HeaderPolicy::default().admit(&mut request, &peer, Scheme::Https, || 0)
        };
        assert_eq!(admitted(100), Ok(()));
        assert_eq!(admitted(101), Err(Refusal::HeaderCount));
    }

    #[test]
    fn a_cookie_in_crumbs_is_whole_for_all_that_follows() {
        let request = Request::get("https://a.example/").version(Version::HTTP_2);
        let request = request.header(COOKIE, "a=1").header(COOKIE, "b=2");
        let mut request = request.body(()).unwrap();
        let peer = Peer::new([192, 0, 2, 1].into(), Scheme::Https, &Trust::default());
        let admitted = HeaderPolicy::default().admit(&mut request, &peer, Scheme::Https, || 0);
        assert_eq!(admitted, Ok(()));
        let cookies: Vec<_> = request.headers().get_all(COOKIE).iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }

    #[test]
    fn extended_connect_switches_to_what_upgrades_may() {
        for (protocol, expected) in [
            ("websocket", Ok(())),
            ("connect-udp", Err(Refusal::Upgrade)),
        ] {
            let request = Request::connect("https://a.example/x").version(Version::HTTP_2);
            let mut request = request.body(()).unwrap();
            let extension = Protocol::from_static(protocol);
            request.extensions_mut().insert(extension);
            let policy = HeaderPolicy::default();
            let trust = Trust::default();
            let peer = Peer::new([192, 0, 2, 1].into(), Scheme::Https, &trust);
            let admitted = policy.admit(&mut request, &peer, Scheme::Https, || 0);
            assert_eq!(admitted, expected, "{protocol}");
        }
    }
}
