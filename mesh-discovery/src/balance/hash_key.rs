//! What a consistent hash is taken of.
//!
//! Each [`HashPolicy`] of the route may yield a hash: of a header field (all its values, sorted) or a
//! pseudo-header of HTTP/2 (`:authority`, which is `host`, `:method`, `:path`, `:scheme`), a cookie, the client's address, a query parameter. Several are combined as Envoy combines them.
//! If none yields a hash, the endpoint is picked at random.
//!
//! A cookie that is absent is made up, where the policy gives it a lifetime and the connection is known:
//! its value is a hash of the addresses of both ends, and the response has to set it.
//!
//! Source: Envoy's [`RouteAction.HashPolicy`].
//!
//! [`RouteAction.HashPolicy`]: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto#config-route-v3-routeaction-hashpolicy
//!
//! # Example
//!
//! ```
//! use http::Request;
//! use mesh_core::model::retry::HashPolicy;
//! use mesh_discovery::balance::hash::xxhash64;
//! use mesh_discovery::balance::hash_key;
//!
//! let request = Request::get("/cart?user=jason").body(()).unwrap();
//! let policies = [HashPolicy::Header("x-user".into()), HashPolicy::QueryParam("user".into())];
//! let key = hash_key::evaluate(&policies, &request, None).unwrap();
//! assert_eq!(key.hash, xxhash64(b"jason"));
//! ```

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::header::{COOKIE, HOST, HeaderMap, HeaderValue};
use http::{Request, Uri};
use mesh_core::attributes::TargetScheme;
use mesh_core::model::retry::HashPolicy;

use crate::balance::hash::{xxhash64, xxhash64_of};

/// The ends of a client's connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection {
    /// The client's address; port 0 if it is only known by what proxies say.
    pub remote: SocketAddr,
    /// The address that it connected to.
    pub local: SocketAddr,
}

/// The hash of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HashKey {
    /// The hash.
    pub hash: u64,
    /// A cookie that the response has to set.
    pub set_cookie: Option<HeaderValue>,
}

/// Takes the hash of a request. `None` if no policy yields one.
pub fn evaluate<B>(
    policies: &[HashPolicy],
    request: &Request<B>,
    connection: Option<Connection>,
) -> Option<HashKey> {
    let mut key: Option<HashKey> = None;
    for policy in policies {
        let (hash, set_cookie) = match policy {
            HashPolicy::Cookie {
                name,
                path,
                ttl,
                attributes,
            } => match cookie(request.headers(), name) {
                Some(value) => (Some(xxhash64(value)), None),
                None => made_up(connection, *ttl, |value, ttl| {
                    set_cookie(name, value, path, ttl, attributes)
                }),
            },
            HashPolicy::Header(name) => (header(request, name), None),
            HashPolicy::QueryParam(name) => (query_param(request.uri(), name), None),
            HashPolicy::SourceIp => (connection.map(|ends| source_ip(ends.remote.ip())), None),
        };
        let Some(hash) = hash else {
            continue;
        };
        key = Some(match key {
            None => HashKey { hash, set_cookie },
            Some(before) => HashKey {
                // Rotated, so that the same key twice does not cancel itself out.
                hash: before.hash.rotate_left(1) ^ hash,
                set_cookie: before.set_cookie.or(set_cookie),
            },
        });
    }
    key
}

/// The hash of a header, or of a pseudo-header, as Envoy looks both up.
fn header<B>(request: &Request<B>, name: &str) -> Option<u64> {
    let uri = request.uri();
    let written = match name {
        ":authority" | "host" => match uri.authority() {
            Some(authority) => authority.as_str(),
            None => return field(request.headers(), HOST.as_str()),
        },
        ":method" => request.method().as_str(),
        ":path" => uri.path_and_query()?.as_str(),
        ":scheme" => TargetScheme::of(uri, request.extensions()),
        name => return field(request.headers(), name),
    };
    Some(xxhash64(written.as_bytes()))
}

/// The hash of all values, whatever their order.
fn field(headers: &HeaderMap, name: &str) -> Option<u64> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = values.next()?;
    let Some(second) = values.next() else {
        return Some(xxhash64(first));
    };
    let mut all: Vec<&[u8]> = [first, second].into_iter().chain(values).collect();
    all.sort_unstable();
    Some(xxhash64_of(all))
}

/// The hash of the address without its port.
fn source_ip(address: IpAddr) -> u64 {
    // The longest address has 45 characters.
    let mut text = [0; 48];
    let mut rest = &mut text[..];
    let _ = write!(rest, "{address}");
    let left = rest.len();
    xxhash64(&text[..text.len() - left])
}

/// The first value of a parameter, as it was sent.
fn query_param(uri: &Uri, name: &str) -> Option<u64> {
    let mut params = uri.query()?.split('&');
    params.find_map(|param| {
        let (key, value) = param.split_once('=').unwrap_or((param, ""));
        (key == name).then(|| xxhash64(value.as_bytes()))
    })
}

/// The value of a cookie, without quotes around it. Empty ones do not count.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let fields = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let mut pairs = fields.flat_map(|field| field.split(|byte| *byte == b';'));
    let value = pairs.find_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at(equals);
        (key.trim_ascii() == name.as_bytes()).then(|| value[1..].trim_ascii_end())
    })?;
    let unquoted = value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""));
    Some(unquoted.unwrap_or(value)).filter(|value| !value.is_empty())
}

/// The hash of a cookie that is made up of the connection's addresses, and the cookie.
fn made_up(
    connection: Option<Connection>,
    ttl: Option<Duration>,
    set_cookie: impl FnOnce(&str, Duration) -> Option<HeaderValue>,
) -> (Option<u64>, Option<HeaderValue>) {
    let (Some(ttl), Some(Connection { remote, local })) = (ttl, connection) else {
        return (None, None);
    };
    let addresses = format!("{remote}{local}");
    let value = format!("{:016x}", xxhash64(addresses.as_bytes()));
    (Some(xxhash64(value.as_bytes())), set_cookie(&value, ttl))
}

fn set_cookie(
    name: &str,
    value: &str,
    path: &str,
    ttl: Duration,
    attributes: &[(String, String)],
) -> Option<HeaderValue> {
    let mut cookie = format!("{name}=\"{value}\"");
    // Writing to a string does not fail.
    if ttl.as_secs() > 0 {
        let _ = write!(cookie, "; Max-Age={}", ttl.as_secs());
    }
    if !path.is_empty() {
        let _ = write!(cookie, "; Path={path}");
    }
    for (name, value) in attributes {
        let _ = match value.as_str() {
            "" => write!(cookie, "; {name}"),
            value => write!(cookie, "; {name}={value}"),
        };
    }
    cookie.push_str("; HttpOnly");
    HeaderValue::try_from(cookie).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_hashes_its_part_of_the_request() {
        let ip: [u8; 3] = *b"::1";
        let cases: [(&str, HashPolicy, Option<&[u8]>); 8] = [
            (
                "header",
                HashPolicy::Header("x-user".into()),
                Some(b"jason"),
            ),
            (
                "sorted values",
                HashPolicy::Header("x-many".into()),
                Some(b"abc"),
            ),
            ("absent header", HashPolicy::Header("x-none".into()), None),
            ("address", HashPolicy::SourceIp, Some(&ip)),
            (
                "parameter",
                HashPolicy::QueryParam("a".into()),
                Some(b"1%20"),
            ),
            ("absent parameter", HashPolicy::QueryParam("c".into()), None),
            ("cookie", of_cookie("session", None), Some(b"s1")),
            ("absent cookie", of_cookie("other", None), None),
        ];
        for (name, policy, expected) in cases {
            let key = hash(&[policy]);
            assert_eq!(key.map(|key| key.hash), expected.map(xxhash64), "{name}");
        }
    }

    #[test]
    fn several_policies_are_combined() {
        let policies = [
            HashPolicy::Header("x-user".into()),
            HashPolicy::Header("x-user".into()),
        ];
        let once = xxhash64(b"jason");
        assert_eq!(hash(&policies).unwrap().hash, once.rotate_left(1) ^ once);
    }

    #[test]
    fn an_absent_cookie_is_made_up_where_it_has_a_lifetime() {
        let value = format!("{:016x}", xxhash64(b"[::1]:1234[::1]:80"));
        let cases = [
            (
                of_cookie("other", Some(0)),
                format!("other=\"{value}\"; SameSite=Lax; Secure; HttpOnly"),
            ),
            (
                HashPolicy::Cookie {
                    name: "other".into(),
                    path: "/".into(),
                    ttl: Some(Duration::from_secs(60)),
                    attributes: Vec::new(),
                },
                format!("other=\"{value}\"; Max-Age=60; Path=/; HttpOnly"),
            ),
        ];
        for (policy, expected) in cases {
            let key = hash(&[policy]).unwrap();
            assert_eq!(key.set_cookie.unwrap(), expected);
            assert_eq!(key.hash, xxhash64(value.as_bytes()));
        }
        let key = hash(&[of_cookie("session", Some(60))]).unwrap();
        assert_eq!(key.set_cookie, None, "it is there");

        let policies = [of_cookie("other", Some(60))];
        let of_nobody = evaluate(&policies, &Request::new(()), None);
        assert_eq!(
            of_nobody, None,
            "callers that are not known share no endpoint"
        );
    }

    #[test]
    fn the_host_is_hashed_wherever_the_request_names_it_and_by_both_names() {
        let by_uri = Request::get("https://a.example/").body(()).unwrap();
        let by_header = Request::get("/").header("host", "a.example");
        for request in [by_uri, by_header.body(()).unwrap()] {
            for name in ["host", ":authority"] {
                let policies = [HashPolicy::Header(name.into())];
                let key = evaluate(&policies, &request, None).unwrap();
                assert_eq!(key.hash, xxhash64(b"a.example"), "{name} of {request:?}");
            }
        }
    }

    #[test]
    fn pseudo_headers_are_headers() {
        let cases = [
            (":method", Some("GET")),
            (":path", Some("/?b=2&a=1%20&a=3")),
            (":scheme", Some("http")),
            (":authority", None),
            (":status", None),
        ];
        for (name, expected) in cases {
            let key = hash(&[HashPolicy::Header(name.into())]);
            let expected = expected.map(|value| xxhash64(value.as_bytes()));
            assert_eq!(key.map(|key| key.hash), expected, "{name}");
        }
    }

    #[test]
    fn cookies_are_read_as_envoy_reads_them() {
        let cases = [
            ("a=1", Some("1")),
            ("b=2; a=1", Some("1")),
            ("a=\"1\"", Some("1")),
            ("aa=2;a=1;a=3", Some("1")),
            ("a=", None),
            ("b", None),
        ];
        for (field, expected) in cases {
            let headers = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static(field))]);
            assert_eq!(
                cookie(&headers, "a"),
                expected.map(str::as_bytes),
                "{field}"
            );
        }
    }

    fn of_cookie(name: &str, ttl: Option<u64>) -> HashPolicy {
        HashPolicy::Cookie {
            name: name.into(),
            path: String::new(),
            ttl: ttl.map(Duration::from_secs),
            attributes: vec![
                ("SameSite".into(), "Lax".into()),
                ("Secure".into(), String::new()),
            ],
        }
    }

    fn hash(policies: &[HashPolicy]) -> Option<HashKey> {
        let request = Request::get("/?b=2&a=1%20&a=3")
            .header("x-user", "jason")
            .header("x-many", "bc")
            .header("x-many", "a")
            .header("cookie", "session=s1");
        let connection = Connection {
            remote: "[::1]:1234".parse().unwrap(),
            local: "[::1]:80".parse().unwrap(),
        };
        evaluate(policies, &request.body(()).unwrap(), Some(connection))
    }
}
