//! What routing looks at in a request.
//!
//! # Example
//!
//! ```
//! use http::Request;
//! use mesh_routing::request::RequestHead;
//!
//! let request = Request::get("/cart?item=7").header("host", "shop.example:8080").body(())?;
//! let head = RequestHead::from(&request);
//! assert_eq!(head.authority(), "shop.example:8080");
//! assert_eq!(head.path(), "/cart");
//! assert_eq!(head.query(), Some("item=7"));
//! assert_eq!(head.scheme(), "http");
//! # Ok::<(), http::Error>(())
//! ```

use http::header::{HOST, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Extensions, Method, Request, Uri, Version};
use mesh_core::attributes::{ClientAddress, ConnectionInfo, RequestPrincipal, TargetScheme};
use mesh_core::resource::Value;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The head of a request, borrowed.
///
/// By which scheme the client came is what its connection says, by the [`ConnectionInfo`] extension. A
/// proxy before us may have taken its TLS off, and says so in `x-forwarded-proto`; but so can any client.
/// The field is believed where [`ClientAddress`] is an extension too, as then the server in front of the
/// layers trusts the proxies before it and has dealt with what others say; and where nothing is known of
/// the connection. (Envoy always believes it, as its own connection manager has overwritten it.)
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    method: &'a Method,
    version: Version,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    /// The method.
    pub fn method(&self) -> &'a str {
        self.method.as_str()
    }

    /// The version of HTTP by which the request came.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The URI's scheme, the [`TargetScheme`] that is kept of it, or that
    /// [by which the client came](Self::client_scheme).
    pub fn scheme(&self) -> &'a str {
        let named = TargetScheme::named(self.uri, self.extensions);
        named.unwrap_or_else(|| self.client_scheme())
    }

    /// `https` if the client's connection is encrypted, else `http`: by `x-forwarded-proto` where that
    /// [is believed](Self), else by the [`ConnectionInfo`] extension, else by the URI's scheme. Of the
    /// field, one line that is `http` or `https` counts, and any other says nothing.
    pub fn client_scheme(&self) -> &'a str {
        let connection = self.extensions.get::<ConnectionInfo>();
        let is_believed =
            || connection.is_none() || self.extensions.get::<ClientAddress>().is_some();
        let forwarded = self.forwarded_scheme().filter(|_| is_believed());
        forwarded.unwrap_or_else(|| match connection {
            Some(connection) if connection.tls.is_some() => "https",
            Some(_) => "http",
            None => self.uri.scheme_str().unwrap_or("http"),
        })
    }

    fn forwarded_scheme(&self) -> Option<&'static str> {
        let mut lines = self.headers.get_all(X_FORWARDED_PROTO).iter();
        let scheme = match lines.next()?.as_bytes() {
            b"http" => "http",
            b"https" => "https",
            _ => return None,
        };
        lines.next().is_none().then_some(scheme)
    }

    /// The URI's authority, or the `Host` field, the first if there [are several](Self::has_several_hosts);
    /// empty if there is neither.
    pub fn authority(&self) -> &'a str {
        if let Some(authority) = self.uri.authority() {
            return authority.as_str();
        }
        let host = self.headers.get(HOST).and_then(|value| value.to_str().ok());
        host.unwrap_or_default()
    }

    /// Whether there is more than one `Host` field. To such a request RFC 9112 section 3.2 demands an
    /// answer with `400`: who reads another one of them than we do is somewhere else.
    pub fn has_several_hosts(&self) -> bool {
        self.headers.get_all(HOST).iter().nth(1).is_some()
    }

    /// The path without query and fragment. Empty for `CONNECT`.
    pub fn path(&self) -> &'a str {
        self.uri.path()
    }

    /// The path with its query.
    pub fn path_and_query(&self) -> &'a str {
        self.uri
            .path_and_query()
            .map_or("", |target| target.as_str())
    }

    /// The query as it was sent, without `?`.
    pub fn query(&self) -> Option<&'a str> {
        self.uri.query()
    }

    /// The header fields.
    pub fn headers(&self) -> &'a HeaderMap {
        self.headers
    }

    /// The claims of the verified token, by the [`RequestPrincipal`] extension.
    pub fn claims(&self) -> Option<&'a Value> {
        let principal = self.extensions.get::<RequestPrincipal>();
        principal.map(|principal| &*principal.claims)
    }
}

impl<'a, B> From<&'a Request<B>> for RequestHead<'a> {
    fn from(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            version: request.version(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

impl<'a> From<&'a Parts> for RequestHead<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self {
            method: &parts.method,
            version: parts.version,
            uri: &parts.uri,
            headers: &parts.headers,
            extensions: &parts.extensions,
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::attributes::TlsInfo;

    use super::*;

    #[test]
    fn the_uris_authority_precedes_the_host_field() {
        let request = Request::get("http://a.example/").header("host", "b.example");
        let request = request.body(()).unwrap();
        assert_eq!(RequestHead::from(&request).authority(), "a.example");
    }

    #[test]
    fn a_connect_request_has_no_path() {
        let request = Request::connect("a.example:443").body(()).unwrap();
        let head = RequestHead::from(&request);
        assert_eq!((head.authority(), head.path()), ("a.example:443", ""));
    }

    fn connection(tls: bool) -> ConnectionInfo {
        ConnectionInfo {
            peer: ([127, 0, 0, 1], 1).into(),
            local: ([127, 0, 0, 1], 2).into(),
            tls: tls.then(TlsInfo::default),
        }
    }

    #[test]
    fn what_proxies_say_of_the_scheme_is_believed_of_those_that_are_trusted() {
        let cases: [(&[&str], bool, &str); 8] = [
            (&["https"], false, "https"),
            (&["http"], true, "http"),
            (&[], true, "https"),
            (&["HTTPS"], false, "http"),
            (&["wss"], true, "https"),
            (&["https,http"], false, "http"),
            (&["https", "http"], false, "http"),
            (&[""], true, "https"),
        ];
        for (lines, tls, expected) in cases {
            let mut request = Request::get("/").extension(connection(tls));
            for line in lines {
                request = request.header("x-forwarded-proto", *line);
            }
            let mut request = request.body(()).unwrap();
            let own = if tls { "https" } else { "http" };
            assert_eq!(
                RequestHead::from(&request).client_scheme(),
                own,
                "{lines:?}"
            );
            let client = ClientAddress([192, 0, 2, 1].into());
            request.extensions_mut().insert(client);
            let head = RequestHead::from(&request);
            assert_eq!(head.client_scheme(), expected, "{lines:?}");
        }
    }

    #[test]
    fn the_scheme_that_a_client_named_is_kept_beside_a_uri_without_one() {
        let kept = TargetScheme(http::uri::Scheme::HTTPS);
        let request = Request::get("/")
            .extension(connection(false))
            .extension(kept);
        let request = request.body(()).unwrap();
        let head = RequestHead::from(&request);
        assert_eq!((head.scheme(), head.client_scheme()), ("https", "http"));
    }

    #[test]
    fn the_scheme_is_told_by_the_nearest_witness() {
        let cases = [
            (None, None, "/", "http", "http"),
            (None, Some(true), "/", "https", "https"),
            (None, Some(false), "/", "http", "http"),
            (Some("https"), None, "/", "https", "https"),
            (Some("https"), Some(false), "/", "http", "http"),
            (Some("http"), Some(true), "/", "https", "https"),
            (None, Some(false), "https://a.example/", "https", "http"),
            (None, None, "https://a.example/", "https", "https"),
        ];
        for case in cases {
            let (forwarded, tls, uri, scheme, client_scheme) = case;
            let mut request = Request::get(uri);
            if let Some(forwarded) = forwarded {
                request = request.header("x-forwarded-proto", forwarded);
            }
            if let Some(tls) = tls {
                request = request.extension(connection(tls));
            }
            let request = request.body(()).unwrap();
            let head = RequestHead::from(&request);
            assert_eq!(
                (head.scheme(), head.client_scheme()),
                (scheme, client_scheme),
                "{case:?}"
            );
        }
    }
}
