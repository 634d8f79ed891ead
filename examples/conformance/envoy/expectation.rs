//! What a test says of the answer to its request.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::case::{list, text};

/// What became of a request.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status, if the proxy answered itself.
    pub(super) status: Option<u16>,
    /// The `Location`, if the proxy answered with one.
    pub(super) location: Option<String>,
    /// The headers of the proxy's answer.
    pub(super) headers: HeaderMap,
    /// The name of the virtual host, if a route was found.
    pub(super) virtual_host: Option<String>,
    /// The request as it was forwarded.
    pub(super) upstream: Option<Upstream>,
}

/// A forwarded request.
#[derive(Debug)]
pub(super) struct Upstream {
    /// The cluster.
    pub(super) cluster: String,
    /// The path with its query.
    pub(super) path: String,
    /// The authority.
    pub(super) host: String,
    /// The method.
    pub(super) method: String,
    /// The header fields.
    pub(super) headers: HeaderMap,
}

/// The first of the test's expectations that `answer` does not meet.
///
/// `observed` is what Envoy 1.40 did with the request, `expect` what the test says. Where they
/// disagree, Envoy is right.
pub(super) fn mismatch(test: &Value, answer: &Answer) -> Option<String> {
    if let Some(observed) = test.get("observed").filter(|observed| observed.is_object()) {
        let wrong = observation(observed, answer);
        if wrong.is_some() || test.get("agrees").and_then(Value::as_bool) == Some(false) {
            return wrong;
        }
    }
    expectation(test.get("expect").unwrap_or(&Value::Null), answer)
}

fn observation(observed: &Value, answer: &Answer) -> Option<String> {
    let status = observed
        .get("status")
        .and_then(Value::as_u64)
        .unwrap_or(200);
    let Some(cluster) = observed.get("cluster").and_then(Value::as_str) else {
        let found = answer.status.map(u64::from);
        return differ("status", &Some(status), &found)
            .or_else(|| location(text(observed, "redirect"), answer));
    };
    let Some(upstream) = &answer.upstream else {
        return Some(format!(
            "expected cluster {cluster:?}, got status {:?}",
            answer.status
        ));
    };
    differ("cluster", &cluster, &upstream.cluster.as_str())
        .or_else(|| {
            differ(
                "path",
                &text(observed, "upstream_path"),
                &upstream.path.as_str(),
            )
        })
        .or_else(|| {
            differ(
                "host",
                &text(observed, "upstream_host"),
                &upstream.host.as_str(),
            )
        })
        .or_else(|| fields(observed.get("upstream_headers"), &upstream.headers))
}

fn expectation(expect: &Value, answer: &Answer) -> Option<String> {
    let known = expect.as_object()?;
    known
        .iter()
        .find_map(|(name, value)| part(name, value, answer))
}

/// Whether one of the test's expectations is met. An empty text is expected of what is absent.
fn part(name: &str, value: &Value, answer: &Answer) -> Option<String> {
    let upstream = answer.upstream.as_ref();
    let wanted = value.as_str().unwrap_or_default();
    match name {
        "cluster" => differ(
            name,
            &wanted,
            &upstream.map_or("", |upstream| &upstream.cluster),
        ),
        "upstream_path" => differ(
            name,
            &wanted,
            &upstream.map_or("", |upstream| &upstream.path),
        ),
        "upstream_host" => differ(
            name,
            &wanted,
            &upstream.map_or("", |upstream| &upstream.host),
        ),
        // Envoy's tool names no virtual host where the proxy answers itself.
        "virtual_host" if wanted.is_empty() => None,
        "virtual_host" => differ(name, &Some(wanted), &answer.virtual_host.as_deref()),
        "redirect" => location(wanted, answer),
        "redirect_code" => differ(name, &value.as_u64(), &answer.status.map(u64::from)),
        "is_redirect" => differ(name, &value.as_bool(), &Some(answer.location.is_some())),
        "no_route" => {
            let found = answer.virtual_host.is_none() && answer.status == Some(404);
            differ(name, &value.as_bool(), &Some(found))
        }
        "upstream_headers" => match upstream {
            Some(upstream) => fields(Some(value), &upstream.headers),
            None => Some(format!(
                "expected a forwarded request, got status {:?}",
                answer.status
            )),
        },
        "upstream_header_matches" => matchers(value, |name| upstream_field(upstream?, name)),
        "response_header_matches" => matchers(value, |name| field(&answer.headers, name)),
        // The model has no virtual clusters: they are names for statistics.
        _ => None,
    }
}

fn location(wanted: &str, answer: &Answer) -> Option<String> {
    differ(
        "redirect",
        &wanted,
        &answer.location.as_deref().unwrap_or_default(),
    )
}

fn differ<T: std::fmt::Debug + PartialEq>(what: &str, expected: &T, found: &T) -> Option<String> {
    (expected != found).then(|| format!("{what}: expected {expected:?}, got {found:?}"))
}

/// Whether each field has its value; an empty one is expected to be absent. Of a repeated field,
/// the tests name one value.
fn fields(expected: Option<&Value>, headers: &HeaderMap) -> Option<String> {
    let expected = expected.and_then(Value::as_object)?;
    expected.iter().find_map(|(name, value)| {
        let value = value.as_str().unwrap_or_default();
        if headers.get_all(name).iter().any(|found| found == value) {
            return None;
        }
        differ(
            name,
            &value,
            &field(headers, name).unwrap_or_default().as_str(),
        )
    })
}

/// The values of a field, joined as Envoy joins them.
fn field(headers: &HeaderMap, name: &str) -> Option<String> {
    let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).ok()?;
    let values = headers.get_all(name).iter().map(HeaderValue::to_str);
    let values: Vec<&str> = values.filter_map(Result::ok).collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn upstream_field(upstream: &Upstream, name: &str) -> Option<String> {
    match name {
        ":authority" => Some(upstream.host.clone()),
        ":method" => Some(upstream.method.clone()),
        ":path" => Some(upstream.path.clone()),
        name => field(&upstream.headers, name),
    }
}

/// Whether all of Envoy's header matchers hold.
fn matchers(matchers: &Value, value_of: impl Fn(&str) -> Option<String>) -> Option<String> {
    let matchers = matchers.as_array()?;
    matchers.iter().find_map(|matcher| {
        let name = text(matcher, "name");
        let value = value_of(name);
        let invert = matcher
            .get("invert_match")
            .and_then(Value::as_bool)
            .unwrap_or_default();
        let holds = holds(matcher, value.as_deref())?;
        (holds == invert).then(|| format!("{name}: {value:?} does not meet {matcher}"))
    })
}

/// Whether a header matcher holds; `None` if it is of another kind.
fn holds(matcher: &Value, value: Option<&str>) -> Option<bool> {
    if let Some(string) = matcher.get("string_match") {
        let exact = string.get("exact").and_then(Value::as_str)?;
        return Some(value == Some(exact));
    }
    if let Some(range) = matcher.get("range_match") {
        let bound = |name| range.get(name).and_then(Value::as_i64);
        let number: Option<i64> = value.and_then(|value| value.parse().ok());
        return Some(
            number.is_some_and(|number| {
                Some(number) >= bound("start") && Some(number) < bound("end")
            }),
        );
    }
    Some(value.is_some())
}

/// Whether the test expects only what the model has no word for.
pub(super) fn inexpressible(test: &Value) -> Option<&'static str> {
    let has = |name| test.get(name).is_some_and(|value| !value.is_null());
    let request = test.get("request").unwrap_or(&Value::Null);
    let expect = test.get("expect").and_then(Value::as_object);
    let only_statistics =
        expect.is_some_and(|expect| expect.keys().all(|name| name == "virtual_cluster"));
    if only_statistics && !has("observed") {
        return Some("the model has no virtual clusters");
    }
    (!list(request, "dynamic_metadata").is_empty()).then_some("the model has no dynamic metadata")
}
