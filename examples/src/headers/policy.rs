//! What is done to headers, and what is not.

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Method, Request, Version, uri};
use hyper::ext::Protocol;
use mesh_core::attributes::TargetScheme;
use mesh_core::header::join_crumbs;
use mesh_core::path::Normalization;

use super::authority;
use super::forwarded::{self, Peer, Source, Trust};
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

    /// The one of a URI, if it is one of the two.
    pub(super) fn of(scheme: &uri::Scheme) -> Option<Self> {
        [Self::Http, Self::Https]
            .into_iter()
            .find(|one| uri::Scheme::from(*one) == *scheme)
    }
}

impl From<Scheme> for uri::Scheme {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Http => Self::HTTP,
            Scheme::Https => Self::HTTPS,
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
    /// Whom to believe about the client; `None` leaves what the client says of itself as it is, removes
    /// only what steers proxies, and says by itself only what is missing: `x-forwarded-proto` and
    /// `x-request-id`. Default: nobody but the socket.
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
        let offered = match request.extensions().get::<Protocol>() {
            Some(protocol) => Some(self.upgrades.offer(protocol.as_str().split(','))?),
            None if request.method() == Method::CONNECT => return Err(Refusal::Connect),
            None => None,
        };
        let named = authority::settle(request, scheme)?;
        if request.version() >= Version::HTTP_2 {
            join_crumbs(request.headers_mut());
        }
        self.normalize_path(request)?;
        let version = request.version();
        hop_by_hop::remove_from_request(request.headers_mut(), version, &self.upgrades)?;
        if let Some(offered) = offered {
            // Nobody could answer whoever offers nothing that may be made.
            say_as_upgrade(request, offered.ok_or(Refusal::Upgrade)?);
        }
        let headers = request.headers_mut();
        let (is_edge, told) = match &self.forwarded {
            Some(trust) => {
                let (source, told) = peer.forward(headers, trust);
                (source == Source::External, told)
            }
            None => {
                forwarded::remove_internal_only(headers);
                (false, peer.tell_scheme(headers, true))
            }
        };
        if let Some(other) = named.or(told).filter(|named| *named != scheme) {
            let other = TargetScheme(other.into());
            request.extensions_mut().insert(other);
        }
        let may_choose = !is_edge || self.preserve_external_request_id;
        if self.request_id && !(may_choose && request.headers().contains_key(X_REQUEST_ID)) {
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

/// Makes a request for another protocol by extended `CONNECT` (RFC 8441) what it is by HTTP/1.1, as Envoy
/// does: a `GET` with `Upgrade`. So routes and policies see the method that the upstream gets.
fn say_as_upgrade<B>(request: &mut Request<B>, protocol: HeaderValue) {
    *request.method_mut() = Method::GET;
    let headers = request.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
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
    fn only_the_edge_gives_requests_another_identifier() {
        for (forwarded, before, is_kept) in [
            (None, Some("1"), true),
            (None, None, false),
            (Some(Trust::default()), Some("1"), false),
        ] {
            let request = Request::get("/").header("host", "a.example");
            let request = match before {
                Some(id) => request.header(X_REQUEST_ID, id),
                None => request,
            };
            let policy = HeaderPolicy {
                forwarded: forwarded.clone(),
                ..HeaderPolicy::default()
            };
            let mut request = request.body(()).unwrap();
            admit(&policy, &mut request, Scheme::Http);
            let id = &request.headers()[X_REQUEST_ID];
            assert_eq!(id == "1", is_kept, "{forwarded:?} {before:?}");
        }
    }

    #[test]
    fn inside_the_mesh_nobody_steers_proxies_either() {
        let request = Request::get("/").header("host", "a.example");
        let request = request.header("x-envoy-retry-on", "5xx");
        let request = request.header("x-envoy-original-path", "/told");
        let policy = HeaderPolicy {
            forwarded: None,
            ..HeaderPolicy::default()
        };
        let mut request = request.body(()).unwrap();
        admit(&policy, &mut request, Scheme::Http);
        assert!(!request.headers().contains_key("x-envoy-retry-on"));
        assert_eq!(request.headers()["x-envoy-original-path"], "/told");
    }

    #[test]
    fn inside_the_mesh_the_first_names_the_scheme() {
        for (before, scheme, after) in [
            (None, Scheme::Http, "http"),
            (None, Scheme::Https, "https"),
            (Some("https"), Scheme::Http, "https"),
        ] {
            let request = Request::get("/").header("host", "a.example");
            let request = match before {
                Some(told) => request.header("x-forwarded-proto", told),
                None => request,
            };
            let policy = HeaderPolicy {
                forwarded: None,
                ..HeaderPolicy::default()
            };
            let mut request = request.body(()).unwrap();
            admit(&policy, &mut request, scheme);
            assert_eq!(request.headers()["x-forwarded-proto"], after, "{before:?}");
        }
    }

    #[test]
    fn a_scheme_that_is_not_that_of_the_connection_is_kept() {
        let trusting = Trust {
            trusted_hops: 1,
            ..Trust::default()
        };
        for (uri, version, told, forwarded, expected) in [
            (
                "https://a/",
                Version::HTTP_2,
                None,
                Some(Trust::default()),
                Some("https"),
            ),
            (
                "http://a/",
                Version::HTTP_2,
                None,
                Some(Trust::default()),
                None,
            ),
            (
                "/",
                Version::HTTP_11,
                Some("https"),
                Some(Trust::default()),
                None,
            ),
            (
                "/",
                Version::HTTP_11,
                Some("https"),
                Some(trusting.clone()),
                Some("https"),
            ),
            ("/", Version::HTTP_11, Some("https"), None, Some("https")),
            ("/", Version::HTTP_11, Some("wss"), None, None),
            // What the request line says counts more, as in Envoy.
            (
                "http://a/",
                Version::HTTP_2,
                Some("https"),
                Some(trusting),
                None,
            ),
        ] {
            let request = Request::get(uri).version(version).header("host", "a");
            let request = match told {
                Some(told) => request.header("x-forwarded-proto", told),
                None => request,
            };
            let policy = HeaderPolicy {
                forwarded,
                ..HeaderPolicy::default()
            };
            let mut request = request.body(()).unwrap();
            admit(&policy, &mut request, Scheme::Http);
            let kept = request.extensions().get();
            let kept = kept.map(|TargetScheme(scheme)| scheme.as_str());
            assert_eq!(kept, expected, "{uri} {told:?} {:?}", policy.forwarded);
        }
    }

    fn admit(policy: &HeaderPolicy, request: &mut Request<()>, scheme: Scheme) {
        let trust = policy.forwarded.clone().unwrap_or_default();
        let peer = Peer::new([192, 0, 2, 1].into(), scheme, &trust);
        policy.admit(request, &peer, scheme, || 0).unwrap();
    }

    #[test]
    fn extended_connect_makes_no_upgrade_to_h2c_either() {
        for (protocol, expected) in [
            ("foo", Ok("foo")),
            ("foo, H2C", Ok("foo")),
            ("h2c", Err(Refusal::Upgrade)),
            ("", Err(Refusal::Upgrade)),
        ] {
            let request = Request::connect("https://a.example/x").version(Version::HTTP_2);
            let mut request = request.body(()).unwrap();
            request
                .extensions_mut()
                .insert(Protocol::from_static(protocol));
            let policy = HeaderPolicy {
                upgrades: Upgrades::Any,
                ..HeaderPolicy::default()
            };
            let peer = Peer::new([192, 0, 2, 1].into(), Scheme::Https, &Trust::default());
            let admitted = policy.admit(&mut request, &peer, Scheme::Https, || 0);
            let offered = admitted.map(|()| request.headers()[UPGRADE].to_str().unwrap());
            assert_eq!(offered, expected, "{protocol:?}");
        }
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
            // What follows judges what the upstream gets.
            if admitted.is_ok() {
                assert_eq!(request.method(), Method::GET);
                assert_eq!(request.headers()[CONNECTION], "upgrade");
                assert_eq!(request.headers()[UPGRADE], protocol);
            }
        }
    }
}
