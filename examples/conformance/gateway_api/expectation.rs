//! What a step says of the answer to its request.

use http::Uri;
use http::uri::Scheme;
use serde_json::Value;

use crate::case::{Outcome, list, text};
use crate::stage::client::Reply;
use crate::stage::echo::Seen;

/// Judges the answer to an HTTP request.
pub(super) fn judge(step: &Value, answer: &Result<Reply, String>) -> Outcome {
    judge_by(step, answer, Compared::All)
}

/// Judges the answer to a request of a workload of the mesh. The suite's client there compares
/// neither the host nor the path nor the method that the backend saw.
pub(super) fn judge_of_mesh(step: &Value, answer: &Result<Reply, String>) -> Outcome {
    judge_by(step, answer, Compared::Headers)
}

/// What is compared of the request that a backend saw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Compared {
    All,
    Headers,
}

fn judge_by(step: &Value, answer: &Result<Reply, String>, compared: Compared) -> Outcome {
    let expects_failure = matches!(
        text(step, "expect"),
        "failure_not_200" | "tls_or_http_failure"
    );
    let reply = match answer {
        Ok(reply) => reply,
        Err(_) if expects_failure => return Outcome::Passed,
        Err(why) => return Outcome::Failed(format!("no answer: {why}")),
    };
    if expects_failure {
        return Outcome::equal(&true, &(reply.status != 200));
    }
    match status(step, reply).or_else(|| rest(step, reply, compared)) {
        Some(why) => Outcome::Failed(why),
        None => Outcome::Passed,
    }
}

fn status(step: &Value, reply: &Reply) -> Option<String> {
    let expected = list(step, "expect_status");
    let matches = |status: &Value| status.as_u64() == Some(u64::from(reply.status));
    let is_expected = expected.is_empty() || expected.iter().any(matches);
    (!is_expected).then(|| format!("status: expected {expected:?}, got {}", reply.status))
}

fn rest(step: &Value, reply: &Reply, compared: Compared) -> Option<String> {
    if let Some(expected) = step.get("redirect").filter(|value| value.is_object()) {
        return redirect(step, expected, reply).or_else(|| headers(step, reply));
    }
    if reply.status == 200 && step.get("backend_request").is_some() {
        let is_preflight = reply.seen().is_none() && text(step, "backend").is_empty();
        if !is_preflight && let Some(why) = backend(step, reply, compared) {
            return Some(why);
        }
    }
    headers(step, reply)
}

/// Which service answered, and what it was asked.
fn backend(step: &Value, reply: &Reply, compared: Compared) -> Option<String> {
    let Some(seen) = reply.seen() else {
        return Some("the answer is not of a backend".into());
    };
    let (name, namespace) = (text(step, "backend"), text(step, "namespace"));
    if !name.is_empty() && seen.service.name != name {
        return differ("backend", &name, &seen.service.name.as_str());
    }
    if !name.is_empty() && !namespace.is_empty() && seen.service.namespace != namespace {
        return differ("namespace", &namespace, &seen.service.namespace.as_str());
    }
    let expected = step.get("backend_request").unwrap_or(&Value::Null);
    let line = (compared == Compared::All).then(|| request_line(expected, &seen));
    line.flatten().or_else(|| request_headers(expected, &seen))
}

fn request_line(expected: &Value, seen: &Seen) -> Option<String> {
    let parts = [
        ("path", &seen.path),
        ("host", &seen.host),
        ("method", &seen.method),
    ];
    for (name, found) in parts {
        let expected = text(expected, name);
        if !expected.is_empty() && expected != found {
            return differ(name, &expected, &found.as_str());
        }
    }
    None
}

fn request_headers(expected: &Value, seen: &Seen) -> Option<String> {
    let headers = expected.get("headers").and_then(Value::as_object);
    for (name, value) in headers.into_iter().flatten() {
        let lower = name.to_ascii_lowercase();
        let found = if lower == "host" {
            Some(&seen.host)
        } else {
            seen.headers.get(&lower)
        };
        let value = value.as_str().unwrap_or_default();
        if found.map(String::as_str) != Some(value) {
            return differ(name, &Some(value), &found.map(String::as_str));
        }
    }
    let mut absent = list(expected, "absent_headers")
        .iter()
        .filter_map(Value::as_str);
    absent.find_map(|name| {
        let found = seen.headers.get(&name.to_ascii_lowercase())?;
        Some(format!(
            "{name}: expected no such field, the backend got {found:?}"
        ))
    })
}

/// The headers of the response.
fn headers(step: &Value, reply: &Reply) -> Option<String> {
    let ignore_whitespace = step.get("ignore_whitespace").is_some();
    let normal = |value: &str| {
        if ignore_whitespace {
            value.split_whitespace().collect()
        } else {
            value.to_owned()
        }
    };
    let exact = step.get("response_headers").and_then(Value::as_object);
    for (name, value) in exact.into_iter().flatten() {
        let (found, value) = (reply.field(name), value.as_str().unwrap_or_default());
        if found.as_deref().map(&normal) != Some(normal(value)) {
            return differ(name, &Some(value), &found.as_deref());
        }
    }
    let one_of = step
        .get("response_headers_one_of")
        .and_then(Value::as_object);
    for (name, values) in one_of.into_iter().flatten() {
        let found = reply.field(name).map(|found| normal(&found));
        let mut values = values
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        if !values.any(|value| found == Some(normal(value))) {
            return Some(format!("{name}: {found:?} is none of those expected"));
        }
    }
    let mut absent = list(step, "response_absent_headers")
        .iter()
        .filter_map(Value::as_str);
    absent.find_map(|name| {
        let found = reply.field(name)?;
        Some(format!("{name}: expected no such field, got {found:?}"))
    })
}

/// The location. What the step leaves out is as in the request; a port may be left out if it is the
/// scheme's.
fn redirect(step: &Value, expected: &Value, reply: &Reply) -> Option<String> {
    let request = step.get("request").unwrap_or(&Value::Null);
    let location = reply.field("location").unwrap_or_default();
    let Ok(uri) = location.parse::<Uri>() else {
        return Some(format!("location: {location:?} is no URI"));
    };
    let or = |name, otherwise| match text(expected, name) {
        "" => otherwise,
        text => text,
    };
    let scheme = uri.scheme_str().unwrap_or_default();
    let port = uri
        .port_u16()
        .map(|port| port.to_string())
        .unwrap_or_default();
    let default_port = if uri.scheme() == Some(&Scheme::HTTPS) {
        "443"
    } else {
        "80"
    };
    let expected_port = text(expected, "port");
    let host = text(expected, "host");
    let path = or("path", text(request, "path"));
    differ("scheme", &or("scheme", "http"), &scheme)
        .filter(|_| !location.is_empty())
        .or_else(|| location.is_empty().then(|| "location: absent".to_owned()))
        .or_else(|| {
            (!host.is_empty())
                .then(|| differ("host", &Some(host), &uri.host()))
                .flatten()
        })
        .or_else(|| differ("path", &path, &uri.path()))
        .or_else(|| match expected_port {
            "" if port.is_empty() || port == default_port => None,
            expected => differ("port", &expected, &port.as_str()),
        })
}

fn differ<T: std::fmt::Debug + PartialEq>(what: &str, expected: &T, found: &T) -> Option<String> {
    (expected != found).then(|| format!("{what}: expected {expected:?}, got {found:?}"))
}
