//! Where tokens are in a request (Envoy's `jwt_authn/extractor.cc`).

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderName, HeaderValue, Request};
use mesh_core::resource::istio::request_authentication::JwtRule;
use percent_encoding::percent_decode_str;

/// The characters of Base64url, and the dots between the parts of a token.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// The places where a rule looks for tokens, in the order in which it does.
#[derive(Clone, Debug)]
pub(super) struct Locations {
    headers: Vec<HeaderLocation>,
    params: Vec<String>,
    cookies: Vec<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct HeaderLocation {
    name: HeaderName,
    /// What stands before the token.
    prefix: String,
}

/// A token, and where it was.
#[derive(Clone, Debug)]
pub(super) struct Found<'r> {
    pub(super) text: Cow<'r, str>,
    pub(super) place: Place,
}

/// Where a token was.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// It is not removed from there.
    Cookie,
    Header(HeaderName),
    Param(String),
}

impl Locations {
    /// The places that a rule names, or the default ones if it names none. Names of headers that are
    /// invalid are given to `refuse`: no token is looked for there, nor at the default places
    /// instead.
    pub(super) fn of(rule: &JwtRule, mut refuse: impl FnMut(&str)) -> Self {
        let headers = rule.from_headers.iter().filter_map(|header| {
            let name = HeaderName::try_from(header.name.as_str());
            let name = name.map_err(|_| refuse(&header.name)).ok()?;
            let prefix = header.prefix.clone();
            Some(HeaderLocation { name, prefix })
        });
        let mut locations = Self {
            headers: headers.collect(),
            params: rule.from_params.clone(),
            cookies: rule.from_cookies.clone(),
        };
        let Self {
            headers,
            params,
            cookies,
        } = &mut locations;
        if rule.from_headers.is_empty() && params.is_empty() && cookies.is_empty() {
            headers.push(HeaderLocation {
                name: AUTHORIZATION,
                prefix: "Bearer ".to_owned(),
            });
            params.push("access_token".to_owned());
        }
        headers.sort_by(|a, b| (a.name.as_str(), &a.prefix).cmp(&(b.name.as_str(), &b.prefix)));
        headers.dedup();
        params.sort_unstable();
        params.dedup();
        cookies.sort_unstable();
        cookies.dedup();
        locations
    }

    /// The tokens of a request: at each place, all values of a header, and the first of a
    /// parameter or cookie.
    pub(super) fn find<'r, B>(&self, request: &'r Request<B>) -> Vec<Found<'r>> {
        let mut found = Vec::new();
        for HeaderLocation { name, prefix } in &self.headers {
            for value in request.headers().get_all(name) {
                let token = token_in(value, |text| after_prefix(text, prefix));
                found.extend(token.map(|text| Found {
                    text,
                    place: Place::Header(name.clone()),
                }));
            }
        }
        let query = request.uri().query().unwrap_or_default();
        for name in &self.params {
            let mut params = pairs(query);
            if let Some((_, value)) = params.find(|(key, _)| decode(key) == *name) {
                found.push(Found {
                    text: decode(value),
                    place: Place::Param(name.clone()),
                });
            }
        }
        for name in &self.cookies {
            let mut lines = request.headers().get_all(COOKIE).iter();
            let token = lines.find_map(|line| cookie(line.as_bytes(), name.as_bytes()));
            found.extend(token.map(|token| Found {
                text: String::from_utf8_lossy(token),
                place: Place::Cookie,
            }));
        }
        found
    }
}

impl Place {
    /// Removes the token, so that it is not passed on.
    pub(super) fn remove<B>(&self, request: &mut Request<B>) {
        match self {
            Self::Cookie => {}
            Self::Header(name) => {
                request.headers_mut().remove(name);
            }
            Self::Param(name) => remove_param(request, name),
        }
    }
}

/// What `find` finds in a value, which need not be UTF-8. A token has no bytes that are replaced here, so that
/// one with them is not valid, and not missing.
fn token_in(value: &HeaderValue, find: impl Fn(&str) -> Option<&str>) -> Option<Cow<'_, str>> {
    match String::from_utf8_lossy(value.as_bytes()) {
        Cow::Borrowed(text) => find(text).map(Cow::Borrowed),
        Cow::Owned(text) => find(&text).map(|token| Cow::Owned(token.to_owned())),
    }
}

/// The token after the prefix, wherever that is, from its first character on.
///
/// If none follows, all of the value is taken, which is no token: a request that seems to have one
/// does not pass for one that has none.
fn after_prefix<'v>(value: &'v str, prefix: &str) -> Option<&'v str> {
    if prefix.is_empty() {
        return Some(value);
    }
    let rest = &value[value.find(prefix)? + prefix.len()..];
    let start = rest.bytes().position(is_token_byte);
    Some(start.map_or(value, |start| &rest[start..]))
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let params = query.split('&').filter(|param| !param.is_empty());
    params.map(|param| param.split_once('=').unwrap_or((param, "")))
}

fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// The value of a cookie in a line (RFC 6265 §4.2.1), without quotes. Another cookie beside it may have any
/// bytes.
fn cookie<'r>(line: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    let mut cookies = line.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let value = cookies.find_map(|cookie| cookie.strip_prefix(name)?.strip_prefix(b"="))?;
    let inner = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""));
    Some(inner.unwrap_or(value))
}

fn remove_param<B>(request: &mut Request<B>, name: &str) {
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    let mut rest = String::with_capacity(uri.path().len() + query.len());
    rest.push_str(uri.path());
    let kept = query.split('&').filter(|param| {
        let key = param.split_once('=').map_or(*param, |(key, _)| key);
        decode(key) != name
    });
    for (index, param) in kept.enumerate() {
        rest.push(if index == 0 { '?' } else { '&' });
        rest.push_str(param);
    }
    let mut parts = uri.clone().into_parts();
    // What is left is a part of what was valid.
    if let Ok(path) = PathAndQuery::try_from(rest) {
        parts.path_and_query = Some(path);
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn locations(rule: serde_json::Value) -> Locations {
        Locations::of(&serde_json::from_value(rule).unwrap(), |name| {
            panic!("{name}")
        })
    }

    fn find(rule: serde_json::Value, request: &Request<()>) -> Vec<String> {
        let found = locations(rule).find(request);
        found.iter().map(|found| found.text.to_string()).collect()
    }

    #[test]
    fn tokens_are_where_the_rule_says() {
        let request = Request::get("http://a/b?x=1&token=t%2E1&token=t2&access_token=t3")
            .header("authorization", "Bearer  t4 rest")
            .header("authorization", "Basic dDU=")
            .header("x-token", "t6")
            .header("x-token", "JWT-t7")
            .header("cookie", "a=b; session=\"t8\"; session=t9")
            .body(())
            .unwrap();
        let cases: [(serde_json::Value, &[&str]); 5] = [
            (json!({}), &["t4 rest", "t3"]),
            (
                json!({"fromHeaders": [{"name": "X-Token"}]}),
                &["t6", "JWT-t7"],
            ),
            (
                json!({"fromHeaders": [{"name": "x-token", "prefix": "JWT-"}]}),
                &["t7"],
            ),
            (json!({"fromParams": ["token"]}), &["t.1"]),
            (json!({"fromCookies": ["session", "none"]}), &["t8"]),
        ];
        for (rule, expected) in cases {
            assert_eq!(find(rule.clone(), &request), expected, "{rule}");
        }
    }

    #[test]
    fn an_invalid_name_leaves_the_other_places_and_adds_none() {
        for (names, expected) in [
            (json!([{"name": "a b"}]), &[][..]),
            (json!([{"name": "a b"}, {"name": "x-token"}]), &["t1"]),
        ] {
            let rule = JwtRule {
                from_headers: serde_json::from_value(names).unwrap(),
                ..JwtRule::default()
            };
            let mut refused = Vec::new();
            let locations = Locations::of(&rule, |name| refused.push(name.to_owned()));
            assert_eq!(refused, ["a b"]);
            let request = Request::get("/?access_token=t2")
                .header("authorization", "Bearer t3")
                .header("x-token", "t1")
                .body(())
                .unwrap();
            let found = locations.find(&request).into_iter();
            let texts: Vec<_> = found.map(|found| found.text).collect();
            assert_eq!(texts, expected);
        }
    }

    #[test]
    fn a_prefix_without_a_token_is_no_missing_token() {
        let request = Request::get("/")
            .header("authorization", "Bearer ")
            .body(())
            .unwrap();
        assert_eq!(find(json!({}), &request), ["Bearer "]);
    }

    #[test]
    fn bytes_that_are_no_text_hide_no_token() {
        let bytes = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
        let request = Request::get("/")
            .header("authorization", bytes(b"Bearer t\xff"))
            .header("cookie", bytes(b"name=J\xfcrgen; session=t1"))
            .body(())
            .unwrap();
        let rule = json!({"fromCookies": ["session"]});
        let found = locations(rule).find(&request);
        // The line is neither decoded nor copied.
        assert!(matches!(found[0].text, Cow::Borrowed("t1")), "{found:?}");
        assert_eq!(find(json!({}), &request), ["t\u{fffd}"], "it is not valid");
    }

    #[test]
    fn a_place_that_is_named_twice_is_one() {
        let request = Request::get("/?t=t2")
            .header("x-token", "t1")
            .header("cookie", "c=t3")
            .body(())
            .unwrap();
        let header = json!({"name": "x-token"});
        let rule = json!({
            "fromHeaders": [header, {"name": "X-Token"}],
            "fromParams": ["t", "t"],
            "fromCookies": ["c", "c"],
        });
        assert_eq!(find(rule, &request), ["t1", "t2", "t3"]);
    }

    #[test]
    fn a_parameter_is_removed_and_the_others_stay() {
        let cases = [
            ("/a?t=1&b=%20&c", "/a?b=%20&c"),
            ("/a?b&t=1", "/a?b"),
            ("/a?t=1&t=2", "/a"),
            ("/a?%74=1", "/a"),
            ("/a", "/a"),
        ];
        for (before, after) in cases {
            let mut request = Request::get(before).body(()).unwrap();
            Place::Param("t".to_owned()).remove(&mut request);
            assert_eq!(request.uri(), after, "{before}");
        }
    }
}
