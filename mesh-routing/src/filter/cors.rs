//! Cross-origin requests, as Envoy's `cors` filter answers them.
//!
//! - A request without `origin` is not looked at.
//! - `OPTIONS` with `origin` and `access-control-request-method` is a *preflight*. It is answered
//!   with `200`, unless its origin is not allowed and the policy forwards such preflights. The
//!   answer to an origin that is not allowed lacks `access-control-allow-origin`, which is what
//!   makes browsers refuse; the other fields are sent.
//! - Any other request is forwarded. If its origin is allowed, the fields of the response are
//!   overwritten by those of the policy; fields that a policy does not set are left to the
//!   application.
//!
//! An origin matcher that matches `*` allows every origin. In methods and headers, `*` stands for
//! what the preflight asks for. `vary` is not written, as in Envoy.
//!
//! # Example
//!
//! ```
//! use http::Request;
//! use mesh_core::matcher::StringMatch;
//! use mesh_core::model::filter::CorsPolicy;
//! use mesh_core::origin::Origin;
//! use mesh_routing::filter::cors::{self, Verdict};
//! use mesh_routing::request::RequestHead;
//!
//! let policy = CorsPolicy {
//!     allow_origins: vec![StringMatch::exact("https://shop.example")],
//!     allow_methods: "GET,PUT".into(),
//!     ..CorsPolicy::new(Origin::synthetic("cors"))
//! };
//! let preflight = Request::options("/cart")
//!     .header("origin", "https://shop.example")
//!     .header("access-control-request-method", "PUT")
//!     .body(())?;
//! let Verdict::Answer(fields) = cors::evaluate(&policy, &RequestHead::from(&preflight)) else {
//!     panic!("a preflight is answered");
//! };
//! assert_eq!(fields["access-control-allow-origin"], "https://shop.example");
//! assert_eq!(fields["access-control-allow-methods"], "GET,PUT");
//! # Ok::<(), http::Error>(())
//! ```

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
    HeaderValue, ORIGIN,
};
use mesh_core::model::filter::CorsPolicy;

use crate::request::RequestHead;

/// What a policy says about a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is answered with `200`, these fields and no body.
    Answer(HeaderMap),
    /// It is forwarded. If its origin is allowed, [`write_response`] completes the response.
    Forward(Option<AllowedOrigin>),
}

/// The origin of a request, which its policy allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AllowedOrigin(HeaderValue);

impl AllowedOrigin {
    /// The request's `origin` field.
    pub fn as_header(&self) -> &HeaderValue {
        &self.0
    }
}

/// Applies `policy` to a request.
pub fn evaluate(policy: &CorsPolicy, request: &RequestHead<'_>) -> Verdict {
    let Some(origin) = non_empty(request.headers(), &ORIGIN) else {
        return Verdict::Forward(None);
    };
    let origin = is_allowed(policy, origin).then(|| AllowedOrigin(origin.clone()));
    let asked = non_empty(request.headers(), &ACCESS_CONTROL_REQUEST_METHOD);
    match asked {
        Some(asked) if request.method() == "OPTIONS" => match origin {
            None if policy.forward_unmatched_preflights => Verdict::Forward(None),
            origin => Verdict::Answer(preflight(policy, request.headers(), asked, origin)),
        },
        _ => Verdict::Forward(origin),
    }
}

/// Writes the fields of a response to `origin`.
pub fn write_response(policy: &CorsPolicy, origin: &AllowedOrigin, headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.0.clone());
    write_credentials(policy, headers);
    write(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        &policy.expose_headers,
        headers,
    );
}

fn preflight(
    policy: &CorsPolicy,
    request: &HeaderMap,
    asked: &HeaderValue,
    origin: Option<AllowedOrigin>,
) -> HeaderMap {
    let mut headers = HeaderMap::new();
    match origin {
        Some(origin) => write_response(policy, &origin, &mut headers),
        None => write_credentials(policy, &mut headers),
    }
    if policy.allow_methods == "*" {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, asked.clone());
    } else {
        write(
            ACCESS_CONTROL_ALLOW_METHODS,
            &policy.allow_methods,
            &mut headers,
        );
    }
    if policy.allow_headers != "*" {
        write(
            ACCESS_CONTROL_ALLOW_HEADERS,
            &policy.allow_headers,
            &mut headers,
        );
    } else if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    if let Some(seconds) = policy.max_age {
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(seconds));
    }
    headers
}

fn is_allowed(policy: &CorsPolicy, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let mut allowed = policy.allow_origins.iter();
    allowed.any(|allowed| allowed.is_match("*") || allowed.is_match(origin))
}

fn write_credentials(policy: &CorsPolicy, headers: &mut HeaderMap) {
    if policy.allow_credentials {
        headers.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
}

/// Writes a field of the policy, unless it is empty.
fn write(name: HeaderName, value: &str, headers: &mut HeaderMap) {
    // A value that no header can hold is refused when the route is validated.
    if !value.is_empty()
        && let Ok(value) = HeaderValue::from_str(value)
    {
        headers.insert(name, value);
    }
}

fn non_empty<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    headers.get(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use http::Request;
    use mesh_core::matcher::StringMatch;
    use mesh_core::origin::Origin;

    use super::*;

    const ALLOWED: &str = "https://a.example";
    const OTHER: &str = "https://other.example";

    fn policy() -> CorsPolicy {
        CorsPolicy {
            allow_origins: vec![StringMatch::exact(ALLOWED)],
            allow_methods: "GET".into(),
            allow_headers: "x-a".into(),
            expose_headers: "x-e".into(),
            max_age: Some(60),
            allow_credentials: true,
            forward_unmatched_preflights: false,
            ..CorsPolicy::new(Origin::synthetic("cors"))
        }
    }

    type Fields<'a> = &'a [(&'a str, &'a str)];

    fn ask(policy: &CorsPolicy, method: &str, fields: Fields<'_>) -> Verdict {
        let mut request = Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        evaluate(policy, &RequestHead::from(&request.body(()).unwrap()))
    }

    fn preflight_of(policy: &CorsPolicy, origin: &str) -> Verdict {
        let fields = [
            ("origin", origin),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "x-asked"),
        ];
        ask(policy, "OPTIONS", &fields)
    }

    fn listed(headers: &HeaderMap) -> Vec<(&str, &str)> {
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable();
        pairs
    }

    #[test]
    fn an_allowed_preflight_is_answered() {
        let Verdict::Answer(headers) = preflight_of(&policy(), ALLOWED) else {
            panic!("forwarded");
        };
        // As observed from Envoy 1.40.
        let expected = [
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-headers", "x-a"),
            ("access-control-allow-methods", "GET"),
            ("access-control-allow-origin", ALLOWED),
            ("access-control-expose-headers", "x-e"),
            ("access-control-max-age", "60"),
        ];
        assert_eq!(listed(&headers), expected);
    }

    #[test]
    fn a_preflight_of_another_origin_is_answered_without_the_origin() {
        let Verdict::Answer(headers) = preflight_of(&policy(), OTHER) else {
            panic!("forwarded");
        };
        let expected = [
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-headers", "x-a"),
            ("access-control-allow-methods", "GET"),
            ("access-control-max-age", "60"),
        ];
        assert_eq!(listed(&headers), expected);
    }

    #[test]
    fn a_preflight_of_another_origin_is_forwarded_if_the_policy_says_so() {
        let forwards = CorsPolicy {
            forward_unmatched_preflights: true,
            ..policy()
        };
        assert_eq!(preflight_of(&forwards, OTHER), Verdict::Forward(None));
        assert!(matches!(
            preflight_of(&forwards, ALLOWED),
            Verdict::Answer(_)
        ));
    }

    #[test]
    fn a_star_echoes_what_is_asked_for() {
        let open = CorsPolicy {
            allow_origins: vec![StringMatch::exact("*")],
            allow_methods: "*".into(),
            allow_headers: "*".into(),
            ..CorsPolicy::new(Origin::synthetic("cors"))
        };
        let Verdict::Answer(headers) = preflight_of(&open, OTHER) else {
            panic!("forwarded");
        };
        let expected = [
            ("access-control-allow-headers", "x-asked"),
            ("access-control-allow-methods", "PUT"),
            ("access-control-allow-origin", OTHER),
        ];
        assert_eq!(listed(&headers), expected);
    }

    #[test]
    fn other_requests_are_forwarded_with_their_origin_if_it_is_allowed() {
        let asked = ("access-control-request-method", "PUT");
        let cases: [(&str, Fields<'_>, bool); 7] = [
            ("GET", &[], false),
            ("GET", &[("origin", "")], false),
            ("GET", &[("origin", OTHER)], false),
            ("GET", &[("origin", ALLOWED)], true),
            ("PUT", &[("origin", ALLOWED), asked], true),
            ("OPTIONS", &[("origin", ALLOWED)], true),
            ("OPTIONS", &[asked], false),
        ];
        for (method, fields, allowed) in cases {
            let Verdict::Forward(origin) = ask(&policy(), method, fields) else {
                panic!("answered: {method} {fields:?}");
            };
            assert_eq!(origin.is_some(), allowed, "{method} {fields:?}");
        }
    }

    #[test]
    fn the_policy_overwrites_the_fields_of_the_application() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("app"));
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("app"),
        );
        let origin = AllowedOrigin(HeaderValue::from_static(ALLOWED));
        write_response(&policy(), &origin, &mut headers);
        let expected = [
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-methods", "app"),
            ("access-control-allow-origin", ALLOWED),
            ("access-control-expose-headers", "x-e"),
        ];
        assert_eq!(listed(&headers), expected);
    }
}
