//! Heads of requests, read as Envoy's attributes have them.

use std::borrow::Cow;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, HeaderName, Method, Request, Uri, Version, request};
use mesh_core::attributes::TargetScheme;

/// The head of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) version: Version,
    pub(super) headers: &'a HeaderMap,
    extensions: &'a Extensions,
}

/// A field of a request. What HTTP/1.1 says in its first line and in `host` is one, too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Field {
    Authority,
    Header(HeaderName),
    Method,
    Path,
    Scheme,
}

impl Field {
    /// The field that is named so, in whatever case. `None` if there cannot be such a field.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        Some(match name.as_str() {
            ":authority" | "host" => Self::Authority,
            ":method" => Self::Method,
            ":path" => Self::Path,
            ":scheme" => Self::Scheme,
            name => Self::Header(name.parse().ok()?),
        })
    }
}

impl<'a> Head<'a> {
    pub(super) fn of<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }

    pub(super) fn of_parts(request: &'a request::Parts) -> Self {
        Self {
            method: &request.method,
            uri: &request.uri,
            version: request.version,
            headers: &request.headers,
            extensions: &request.extensions,
        }
    }

    pub(super) fn host(self) -> Option<Cow<'a, str>> {
        match self.uri.authority() {
            Some(authority) => Some(authority.as_str().into()),
            None => Some(String::from_utf8_lossy(self.headers.get(HOST)?.as_bytes())),
        }
    }

    pub(super) fn path(self) -> Option<&'a str> {
        self.uri.path_and_query().map(PathAndQuery::as_str)
    }

    /// The scheme; that of the connection if the request does not say it.
    pub(super) fn scheme(self) -> &'a str {
        TargetScheme::of(self.uri, self.extensions)
    }

    /// The value of a field, if it is there.
    pub(super) fn value(self, field: &Field) -> Option<Cow<'a, [u8]>> {
        Some(match field {
            Field::Authority => match self.host()? {
                Cow::Borrowed(host) => host.as_bytes().into(),
                Cow::Owned(host) => host.into_bytes().into(),
            },
            Field::Header(name) => return joined(self.headers, name),
            Field::Method => self.method.as_str().as_bytes().into(),
            Field::Path => self.path()?.as_bytes().into(),
            Field::Scheme => self.scheme().as_bytes().into(),
        })
    }
}

/// All values of a field, joined by commas. `None` if there are none.
fn joined<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Cow<'h, [u8]>> {
    let mut values = headers.get_all(name).iter();
    let mut joined = Cow::Borrowed(values.next()?.as_bytes());
    for value in values {
        let joined = joined.to_mut();
        joined.push(b',');
        joined.extend_from_slice(value.as_bytes());
    }
    Some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_in_any_case_whole_and_with_the_first_line() {
        let request = Request::get("/cart?x=1")
            .header("host", "shop.example")
            .header("x-user", "a")
            .header("x-user", "b");
        let request = request.body(()).unwrap();
        for (name, expected) in [
            ("X-User", Some("a,b")),
            ("x-none", None),
            ("Host", Some("shop.example")),
            (":authority", Some("shop.example")),
            (":method", Some("GET")),
            (":path", Some("/cart?x=1")),
            (":Scheme", Some("http")),
        ] {
            let field = Field::parse(name).unwrap();
            let value = Head::of(&request).value(&field);
            let expected = expected.map(str::as_bytes);
            assert_eq!(value.as_deref(), expected, "{name}");
        }
        assert_eq!(Field::parse(":status"), None);
    }

    #[test]
    fn the_scheme_is_the_one_that_the_client_named() {
        let kept = TargetScheme(http::uri::Scheme::HTTPS);
        let request = Request::get("/").extension(kept).body(()).unwrap();
        assert_eq!(Head::of(&request).scheme(), "https");
    }
}
