//! The form in which a request is written, by version.

use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Uri, Version};
use mesh_core::attributes::TargetScheme;
use mesh_core::header::join_crumbs;

use super::failure::Failure;

/// Fields about the connection that a request came by (RFC 9110 §7.6.1); HTTP/2 has no use for any
/// (RFC 9113 §8.2.2).
///
/// Others that the client names in its `Connection` stay: layers before may have written them since.
const CONNECTION_FIELDS: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A request target in origin form unless it is `CONNECT`, a `Host` that is the URI's authority where
/// it has one (RFC 9112 §3.2), one `Cookie`, and no field about the connection but an upgrade.
pub(super) fn http1<B>(request: &mut Request<B>) {
    if request.version() >= Version::HTTP_2 {
        join_crumbs(request.headers_mut());
    }
    *request.version_mut() = Version::HTTP_11;
    let authority = request.uri().authority().map(without_user);
    if let Some(host) = authority.and_then(|host| HeaderValue::from_str(host).ok()) {
        request.headers_mut().insert(HOST, host);
    }
    let upgrade = offered_upgrade(request.headers());
    remove_connection_fields(request.headers_mut());
    if let Some(upgrade) = upgrade {
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
    if request.method() == Method::CONNECT {
        return;
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
        .into();
}

/// A scheme, that of the client, and an authority, and no field that is about the connection. A request without a host that
/// is one is not written: its endpoint could only be blamed for what its client says.
pub(super) fn http2<B>(request: &mut Request<B>) -> Result<(), Failure> {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    remove_connection_fields(request.headers_mut());
    if request.method() == Method::CONNECT {
        return Ok(());
    }
    let scheme = TargetScheme::of(request.uri(), request.extensions());
    let scheme = Scheme::try_from(scheme).unwrap_or(Scheme::HTTP);
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    let authority: Option<Authority> = match &parts.authority {
        Some(authority) => without_user(authority).parse().ok(),
        None => host.and_then(|host| Authority::try_from(host.as_bytes()).ok()),
    };
    parts.authority = Some(authority.ok_or(Failure::Authority)?);
    parts.scheme = Some(scheme);
    parts.path_and_query = parts
        .path_and_query
        .or(Some(PathAndQuery::from_static("/")));
    // All three parts are there, which is all that is asked for.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    Ok(())
}

/// Host and port. Who asks has no place in either protocol (RFC 9110 §4.2.4).
fn without_user(authority: &Authority) -> &str {
    let whole = authority.as_str();
    whole.rsplit_once('@').map_or(whole, |(_, host)| host)
}

/// The protocols that the client wants to switch to, if it does.
fn offered_upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let connection = headers.get_all(CONNECTION).into_iter();
    let options = connection.filter_map(|value| value.to_str().ok());
    let mut options = options.flat_map(|value| value.split(','));
    let is_offered = options.any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    headers.get(UPGRADE).filter(|_| is_offered).cloned()
}

fn remove_connection_fields(headers: &mut HeaderMap) {
    for field in &CONNECTION_FIELDS {
        headers.remove(field);
    }
    let is_trailers = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"trailers");
    if !headers.get(TE).is_none_or(is_trailers) {
        headers.remove(TE);
    }
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;
    use mesh_core::attributes::{ConnectionInfo, TlsInfo};

    use super::*;

    #[test]
    fn http1_has_a_path_and_a_host() {
        let cases = [
            ("http://cart.example/7?a=b", None, "/7?a=b", "cart.example"),
            ("http://cart.example", None, "/", "cart.example"),
            ("/7", Some("other.example"), "/7", "other.example"),
            (
                "http://cart.example/7",
                Some("other.example"),
                "/7",
                "cart.example",
            ),
            (
                "http://me:key@cart.example:81",
                None,
                "/",
                "cart.example:81",
            ),
        ];
        for (uri, host, target, expected) in cases {
            let mut request = request(uri, host);
            http1(&mut request);
            assert_eq!(request.uri(), target, "{uri}");
            assert_eq!(request.headers()[HOST], expected, "{uri}");
        }
    }

    #[test]
    fn http1_says_nothing_about_the_connection_that_the_request_came_by() {
        let mut request = request("http://cart.example/", None);
        let headers = request.headers_mut();
        for field in ["keep-alive", "proxy-connection", "transfer-encoding"] {
            headers.insert(field, HeaderValue::from_static("chunked"));
        }
        headers.insert(CONNECTION, HeaderValue::from_static("close, x-mine"));
        headers.insert(UPGRADE, HeaderValue::from_static("h2c"));
        headers.insert("x-mine", HeaderValue::from_static("stays"));
        http1(&mut request);
        let left: Vec<_> = request.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["x-mine", "host"]);
    }

    #[test]
    fn http1_keeps_an_offer_to_switch_protocols() {
        let mut request = request("http://cart.example/", None);
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        http1(&mut request);
        assert_eq!(request.headers()[CONNECTION], "upgrade");
        assert_eq!(request.headers()[UPGRADE], "websocket");
    }

    #[test]
    fn http1_has_the_cookie_whole_that_came_in_crumbs() {
        let of = |version| {
            let request = Request::get("http://cart.example/").version(version);
            let request = request.header(COOKIE, "a=1").header(COOKIE, "b=2");
            let mut request = request.body(()).unwrap();
            http1(&mut request);
            let cookies = request.headers().get_all(COOKIE).iter();
            cookies.cloned().collect::<Vec<HeaderValue>>()
        };
        assert_eq!(of(Version::HTTP_2), ["a=1; b=2"]);
        assert_eq!(of(Version::HTTP_11), ["a=1", "b=2"], "as they came");
    }

    #[test]
    fn http2_has_the_authority_of_the_uri_before_that_of_the_header() {
        let mut request = request("https://me@cart.example/7", Some("other.example"));
        http2(&mut request).unwrap();
        assert_eq!(request.uri(), "https://cart.example/7");
        assert!(request.headers().is_empty(), "{:?}", request.headers());
    }

    #[test]
    fn http2_has_an_authority_and_nothing_about_the_connection() {
        let mut request = request("/7", Some("cart.example"));
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.insert(TE, HeaderValue::from_static("gzip"));
        http2(&mut request).unwrap();
        assert_eq!(request.uri(), "http://cart.example/7");
        assert!(request.headers().is_empty(), "{:?}", request.headers());
    }

    #[test]
    fn http2_has_the_scheme_of_the_client() {
        let tls = |tls: Option<TlsInfo>| ConnectionInfo {
            peer: ([192, 0, 2, 1], 1).into(),
            local: ([192, 0, 2, 2], 2).into(),
            tls,
        };
        let kept = Some(TargetScheme(Scheme::HTTPS));
        for (uri, connection, kept, expected) in [
            ("/7", tls(None), None, "http"),
            ("/7", tls(Some(TlsInfo::default())), None, "https"),
            ("/7", tls(None), kept.clone(), "https"),
            ("http://cart.example/7", tls(None), kept, "http"),
        ] {
            let mut request = request(uri, Some("cart.example"));
            request.extensions_mut().insert(connection);
            kept.map(|kept| request.extensions_mut().insert(kept));
            http2(&mut request).unwrap();
            assert_eq!(request.uri().scheme_str(), Some(expected), "{uri}");
        }
    }

    #[test]
    fn http2_has_no_request_without_a_host_that_is_one() {
        for (uri, host) in [
            ("/7", None),
            ("/7", Some("")),
            ("/7", Some("a:b:c")),
            ("/7", Some("cart.example:%1")),
        ] {
            let written = http2(&mut request(uri, host));
            assert_eq!(written, Err(Failure::Authority), "{host:?}");
        }
    }

    #[test]
    fn te_trailers_stays_for_grpc() {
        let mut request = request("http://cart.example/", None);
        request
            .headers_mut()
            .insert(TE, HeaderValue::from_static("trailers"));
        http2(&mut request).unwrap();
        assert_eq!(request.headers()[TE], "trailers");
    }

    fn request(uri: &str, host: Option<&str>) -> Request<()> {
        let request = Request::get(uri);
        let request = match host {
            Some(host) => request.header(HOST, host),
            None => request,
        };
        request.body(()).unwrap()
    }
}
