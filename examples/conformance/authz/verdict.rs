//! Policies, and the verdicts of Envoy on requests and connections.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue};
use mesh_core::identity::TrustDomains;
use mesh_core::path::Normalization;
use mesh_core::resolve::resolve;
use mesh_core::resource::Value as ResourceValue;
use mesh_core::workload::Workload;
use mesh_policy::authz::{Connection, Forwarding, HttpRequest, PolicySet};
use serde_json::Value;

use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::configuration::Configuration;

/// Single conditions of a policy, a case a verdict.
pub(crate) fn leaves(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for (index, case) in list(document, "cases").iter().enumerate() {
        let name = format!("{}/{index}", text(case, "attribute"));
        let policy = case.get("policy").map(std::slice::from_ref);
        let set = compile(policy.unwrap_or_default(), &Value::Null);
        verdicts(&mut cases, &name, case, &set);
    }
    cases.into_vec()
}

/// Whole policies. Those without verdicts are one case each.
pub(crate) fn builder(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let name = id(&[text(case, "kind"), text(case, "name")]);
        let domains = case.get("trust_domains").unwrap_or(&Value::Null);
        let set = compile(list(case, "policies"), domains);
        verdicts(&mut cases, &name, case, &set);
        if list(case, "verdicts").is_empty() {
            let why = "the case has no verdicts, and the output that it names is not there";
            cases.push(name, Outcome::unsupported(why));
        }
    }
    cases.into_vec()
}

/// The policies of the workload that the corpora are about.
fn compile(policies: &[Value], domains: &Value) -> Result<PolicySet, String> {
    let mut configuration = Configuration::new("foo");
    for policy in policies {
        configuration.add_value(policy)?;
    }
    let workload = Workload::sidecar("foo")
        .with_label("app", "httpbin")
        .with_label("version", "v1");
    let model = resolve(&configuration.build()?, &workload);
    let parse = |name: &str| name.parse().map_err(|error| format!("`{name}`: {error}"));
    let local = match text(domains, "trust_domain") {
        "" => "cluster.local",
        local => local,
    };
    let mut trust_domains = TrustDomains::new(parse(local)?);
    for alias in list(domains, "aliases").iter().filter_map(Value::as_str) {
        trust_domains = trust_domains.with_alias(parse(alias)?);
    }
    Ok(PolicySet::compile(
        &model.policies.authorization,
        &trust_domains,
    ))
}

fn verdicts(cases: &mut Cases, name: &str, case: &Value, set: &Result<PolicySet, String>) {
    let is_tcp = text(case, "kind") == "tcp";
    for (index, verdict) in list(case, "verdicts").iter().enumerate() {
        let expected = verdict.get("allow").and_then(Value::as_bool);
        let request = verdict.get("request").unwrap_or(&Value::Null);
        let outcome = match (set, expected) {
            (Ok(set), Some(expected)) => match evaluate(set, request, is_tcp) {
                Ok(allowed) => Outcome::equal(&expected, &allowed),
                Err(why) => Outcome::failed(format!("the request is not understood: {why}")),
            },
            (Err(why), _) => Outcome::failed(why),
            (Ok(_), None) => Outcome::failed("the case expects nothing"),
        };
        cases.push(format!("{name}/{index}"), outcome);
    }
}

fn evaluate(set: &PolicySet, request: &Value, is_tcp: bool) -> Result<bool, String> {
    let address = |field| {
        let address: Result<IpAddr, _> = text(request, field).parse();
        address.map_err(|error| format!("`{field}`: {error}"))
    };
    let port = request.get("destination_port").and_then(Value::as_u64);
    let port = port.and_then(|port| u16::try_from(port).ok());
    let destination = SocketAddr::new(address("destination_ip")?, port.unwrap_or_default());
    let source = SocketAddr::new(address("source_ip")?, 0);
    let server_name = text(request, "sni").to_ascii_lowercase();
    let mut connection = Connection {
        peer: request.get("mtls_principal").and_then(Value::as_str),
        server_name: Some(&*server_name).filter(|name| !name.is_empty()),
        ..Connection::new(source, destination)
    };
    if is_tcp {
        return Ok(set.evaluate_connection(&connection).is_allowed());
    }
    let headers = headers(request)?;
    connection.remote = Forwarding::sidecar().client(source.ip(), &headers);
    let path = Normalization::Base.apply(text(request, "path"));
    let path = path.map_err(|error| error.to_string())?;
    let claims: Option<ResourceValue> = match request.get("jwt_claims") {
        None => None,
        Some(claims) => {
            Some(serde_json::from_value(claims.clone()).map_err(|error| error.to_string())?)
        }
    };
    let request = HttpRequest {
        connection,
        method: text(request, "method"),
        scheme: "http",
        host: Some(text(request, "host").as_bytes()),
        path: &path,
        headers: &headers,
        claims: claims.as_ref(),
    };
    Ok(set.evaluate(&request).is_allowed())
}

fn headers(request: &Value) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let fields = request.get("headers").and_then(Value::as_object);
    for (name, value) in fields.into_iter().flatten() {
        let value = match value {
            Value::Array(values) => {
                let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
                values.join(",")
            }
            value => value.as_str().unwrap_or_default().to_owned(),
        };
        add(&mut headers, name, &value)?;
    }
    if let Some(forwarded) = request.get("x_forwarded_for").and_then(Value::as_str) {
        add(&mut headers, "x-forwarded-for", forwarded)?;
    }
    Ok(headers)
}

fn add(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
    let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
    headers.append(name, value);
    Ok(())
}
