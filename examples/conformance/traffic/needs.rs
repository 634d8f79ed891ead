//! What a case needs beside routing of plaintext HTTP.

use serde_json::Value;

use super::{check, shares};
use crate::case::{list, text};

/// What configuration needs a part of the mesh that is not built yet: a text in it, and the reason.
const CONFIGURATION: [(&str, &str); 10] = [
    (
        "kind: RequestAuthentication",
        "mesh-policy: token verification is not built yet",
    ),
    (
        "kind: AuthorizationPolicy",
        "mesh-policy: authorization is not built yet",
    ),
    ("kind: PeerAuthentication", "needs TLS"),
    ("kind: EnvoyFilter", "EnvoyFilter is not supported"),
    ("mode: ISTIO_MUTUAL", "needs TLS"),
    ("mode: SIMPLE", "needs TLS"),
    ("mode: MUTUAL", "needs TLS"),
    ("mode: AUTO_PASSTHROUGH", "needs TLS"),
    ("ingress:", "needs the sidecar of the called workload"),
    (
        "consistentHash:",
        "mesh-discovery: consistent hashing is not built yet",
    ),
];

/// The first thing that a case needs and that there is not; `None` if it needs only routing.
pub(super) fn more_than_routing(case: &Value) -> Option<String> {
    if case.get("config_error").is_some() {
        return Some("the corpus does not have the configuration".into());
    }
    if list(case, "calls").is_empty() {
        return Some("the corpus does not have the calls".into());
    }
    let config = text(case, "config");
    let needed = CONFIGURATION.iter().find(|(part, _)| config.contains(part));
    if let Some((_, why)) = needed {
        return Some((*why).to_owned());
    }
    let shifts = shares::are_compared(case);
    list(case, "calls")
        .iter()
        .find_map(|call| of_call(call, shifts))
}

fn of_call(call: &Value, shifts: bool) -> Option<String> {
    let request = call.get("request")?;
    let port = request.get("port").unwrap_or(&Value::Null);
    let protocol = text(port, "protocol");
    let is_code = |name: &str| {
        request
            .get(name)
            .is_some_and(|value| value.get("$call").is_some())
    };
    let headers = request.get("headers").and_then(Value::as_object);
    let mut values = headers.into_iter().flat_map(|headers| headers.values());
    let scheme = text(request, "scheme");
    if matches!(text(port, "name"), "http-instance" | "http-localhost") {
        return Some("needs the sidecar of the called workload".into());
    }
    if request.get("tls").is_some() || matches!(protocol, "HTTPS" | "TLS") {
        return Some("needs TLS".into());
    }
    if !matches!(scheme, "" | "http" | "grpc") {
        return Some(format!("the scheme `{scheme}` is not called"));
    }
    if is_code("address") || values.any(Value::is_object) {
        return Some("the call is Go code".into());
    }
    check::unsupported(call.get("check").unwrap_or(&Value::Null)).filter(|_| !shifts)
}
