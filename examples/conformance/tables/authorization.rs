//! Authorization: conditions and fields of policies, and what their values match.

use http::HeaderMap;
use mesh_core::identity::{TrustDomain, TrustDomains};
use mesh_core::matcher::{PathTemplate, Regex, StringMatch};
use mesh_core::resolve::resolve;
use mesh_core::resource::Value as ResourceValue;
use mesh_core::workload::Workload;
use mesh_policy::authz::{Connection, HttpRequest, PolicySet};
use serde_json::{Value, json};

use super::world::{NAMESPACE, World};
use super::{Row, Run};
use crate::case::Outcome;
use crate::validation::judge;
use crate::yaml;

const LOCAL: &str = "cluster.local";
const OTHER: &str = "other.example";

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("generator_test.go", "TestGenerator") => Some(generator),
        ("generator_test.go", "TestRequestPrincipal") => Some(request_principal),
        ("generator_test.go", "TestNamespaceMatcherRegex_Match") => Some(namespace),
        ("security_test.go", "TestCheckTrustDomainValues") => Some(trust_domains),
        ("security_test.go", "TestIsValidLiteral") => Some(literal),
        ("string_test.go", "TestStringMatcherPrefix") => Some(|row| matcher(row, "Prefix")),
        ("string_test.go", "TestStringMatcherSuffix") => Some(|row| matcher(row, "Suffix")),
        ("string_test.go", "TestStringMatcherExact") => Some(|row| matcher(row, "Exact")),
        ("string_test.go", "TestStringMatcher") => Some(value),
        ("bundle_test.go", "TestGetTrustDomainFromSpiffeIdentity") => Some(trust_domain),
        ("util_test.go", "TestStringMatch") => Some(either_matches),
        _ => None,
    }
}

/// An AuthorizationPolicy with one rule.
fn policy(rule: &Value) -> Value {
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": {"name": "policy", "namespace": NAMESPACE},
        "spec": {"rules": [rule]},
    })
}

fn compile(rule: &Value, domains: &TrustDomains) -> Result<PolicySet, String> {
    let config = World::default().with_object(policy(rule)).build()?;
    let model = resolve(&config, &Workload::sidecar(NAMESPACE));
    Ok(PolicySet::compile(&model.policies.authorization, domains))
}

fn mesh() -> Option<TrustDomains> {
    Some(TrustDomains::new(LOCAL.parse().ok()?))
}

/// Whether a value is taken, of the field that the row names the generator of. What Istio makes of
/// it is not in the rows.
///
/// A policy that allows by TCP what only requests have would never allow anything, which is a notice
/// and no error.
fn generator(row: &Row<'_>) -> Option<Outcome> {
    let name = row.text("name")?;
    let generator = name.split('-').next()?;
    let value = row.text("value")?;
    let condition = |key: &str| json!({"when": [{"key": key, "values": [value]}]});
    let operation = |field: &str| json!({"to": [{"operation": {field: [value]}}]});
    let rule = match generator {
        "destIPGenerator" => condition("destination.ip"),
        "destPortGenerator" => condition("destination.port"),
        "connSNIGenerator" => condition("connection.sni"),
        "srcIPGenerator" => condition("source.ip"),
        "remoteIPGenerator" => condition("remote.ip"),
        "srcNamespaceGenerator" => condition("source.namespace"),
        "srcTrustDomainGenerator" => condition("source.trustDomain"),
        "hostGenerator" => operation("hosts"),
        "pathGenerator" => operation("paths"),
        "methodGenerator" => operation("methods"),
        // Policies spell the names of filters out.
        "envoyFilterGenerator" => {
            let key = row.text("key")?.strip_prefix("experimental.")?;
            condition(&format!("experimental.envoy.filters.{key}"))
        }
        _ => match row.text("key")? {
            "" => return None,
            key => condition(key),
        },
    };
    Some(judge(row.field("want").is_none(), &policy(&rule)))
}

/// Claims that tell the two conditions of a request principal apart.
fn request_principal(row: &Row<'_>) -> Option<Outcome> {
    let value = row.text("in")?;
    let expected = match yaml::parse(row.text("want")?) {
        Ok(principal) => principal,
        Err(why) => return Some(Outcome::Failed(why)),
    };
    let rule = json!({"from": [{"source": {"requestPrincipals": [value]}}]});
    let set = match compile(&rule, &mesh()?) {
        Ok(set) => set,
        Err(why) => return Some(Outcome::Failed(why)),
    };
    let plain = value.replace('*', "");
    let words = plain.split('/').chain([&*plain, "", "x"]);
    let probes: Vec<String> = words
        .flat_map(|word| [word.to_owned(), format!("{word}y"), format!("y{word}")])
        .collect();
    for issuer in &probes {
        for subject in &probes {
            let claims = json!({"iss": issuer, "sub": subject});
            let outcome = Outcome::equal(
                &(issuer, subject, is_met(&expected, &claims)?),
                &(issuer, subject, allows(&set, None, Some(&claims))?),
            );
            if outcome != Outcome::Passed {
                return Some(outcome);
            }
        }
    }
    Some(Outcome::Passed)
}

/// Whether claims meet a condition, as Envoy's configuration has it.
fn is_met(condition: &Value, claims: &Value) -> Option<bool> {
    let (kind, condition) = condition.as_object()?.iter().next()?;
    match kind.as_str() {
        "and_ids" => {
            let all = condition.get("ids")?.as_array()?.iter();
            let met: Option<Vec<bool>> = all.map(|condition| is_met(condition, claims)).collect();
            Some(met?.into_iter().all(|met| met))
        }
        "metadata" => {
            let claim = condition.get("path")?.as_array()?.last()?;
            let text = claims.get(claim.get("key")?.as_str()?)?.as_str()?;
            let (kind, pattern) = condition
                .pointer("/value/string_match")?
                .as_object()?
                .iter()
                .next()?;
            Some(match kind.as_str() {
                "exact" => text == pattern.as_str()?,
                "prefix" => text.starts_with(pattern.as_str()?),
                "suffix" => text.ends_with(pattern.as_str()?),
                "safe_regex" => {
                    let pattern = pattern.get("regex")?.as_str()?;
                    Regex::parse(pattern).ok()?.is_match(text)
                }
                _ => return None,
            })
        }
        _ => None,
    }
}

fn allows(set: &PolicySet, peer: Option<&str>, claims: Option<&Value>) -> Option<bool> {
    let address = "10.0.0.1:80".parse().ok()?;
    let connection = Connection {
        peer,
        ..Connection::new(address, address)
    };
    let claims: Option<ResourceValue> = match claims {
        None => None,
        Some(claims) => Some(serde_json::from_value(claims.clone()).ok()?),
    };
    let request = HttpRequest {
        connection,
        method: "GET",
        scheme: "http",
        host: None,
        path: "/",
        headers: &HeaderMap::new(),
        claims: claims.as_ref(),
    };
    Some(set.evaluate(&request).is_allowed())
}

fn namespace(row: &Row<'_>) -> Option<Outcome> {
    let rule = json!({"from": [{"source": {"namespaces": [row.text("v")?]}}]});
    Some(match compile(&rule, &mesh()?) {
        Ok(set) => {
            let found = [row.text("match")?, row.text("noMatch")?]
                .map(|peer| allows(&set, Some(peer), None));
            Outcome::equal(&[Some(true), Some(false)], &found)
        }
        Err(why) => Outcome::Failed(why),
    })
}

fn trust_domains(row: &Row<'_>) -> Option<Outcome> {
    let rule = json!({"from": [{"source": {"trustDomains": row.texts("values")?}}]});
    Some(judge(row.flag("wantError")?, &policy(&rule)))
}

/// Whether a text may be a segment of a path with wildcards. One that is itself a wildcard, or more
/// than a segment, is none.
fn literal(row: &Row<'_>) -> Option<Outcome> {
    let text = row.text("glob")?;
    let is_segment = !text.contains('/') && !PathTemplate::is_template(text);
    let template = PathTemplate::validate_policy_path(&format!("/{{*}}/{text}"));
    Some(Outcome::equal(
        &row.flag("expected")?,
        &(is_segment && template.is_ok()),
    ))
}

fn matcher(row: &Row<'_>, kind: &str) -> Option<Outcome> {
    let text = row.text("str")?;
    let mut found = match kind {
        "Prefix" => StringMatch::prefix(text),
        "Suffix" => StringMatch::suffix(text),
        _ => StringMatch::exact(text),
    };
    if row.flag("ignoreCase")? {
        found = found.ignoring_case();
    }
    let want = Row(row.field("want")?);
    let value = Row(want.field("MatchPattern")?).text(kind)?;
    let expected = json!({
        kind.to_ascii_lowercase(): {"value": value, "ignore_case": want.flag("IgnoreCase")?},
    });
    let found = serde_json::to_value(&found).ok()?;
    Some(Outcome::equal(&expected, &found))
}

/// How a value of a policy matches.
fn value(row: &Row<'_>) -> Option<Outcome> {
    let text = row.field("v").or_else(|| row.field("str"))?.as_str()?;
    let pattern = row.field("want")?.get("MatchPattern")?;
    let (kind, pattern) = pattern.as_object()?.iter().next()?;
    let expected = match (kind.as_str(), pattern) {
        ("SafeRegex", pattern) if pattern.get("Regex")? == ".+" => StringMatch::NonEmpty,
        ("Exact", Value::String(text)) => StringMatch::exact(text),
        ("Prefix", Value::String(text)) => StringMatch::prefix(text),
        ("Suffix", Value::String(text)) => StringMatch::suffix(text),
        _ => return None,
    };
    Some(Outcome::equal(
        &expected,
        &StringMatch::from_policy_value(text),
    ))
}

/// A principal of a trust domain counts with that of the mesh's other names; one without does not.
fn trust_domain(row: &Row<'_>) -> Option<Outcome> {
    let principal = row.text("principal")?;
    let without_scheme = principal.strip_prefix("spiffe://").unwrap_or(principal);
    let (own, rest) = without_scheme.split_once('/')?;
    let own: TrustDomain = own.parse().ok()?;
    let expected = row.text("out")?;
    let domains = TrustDomains::new(own.clone()).with_alias(OTHER.parse().ok()?);
    let rule = json!({"from": [{"source": {"principals": [principal]}}]});
    Some(match compile(&rule, &domains) {
        Ok(set) => {
            let peer = format!("spiffe://{OTHER}/{rest}");
            let is_known = allows(&set, Some(&peer), None)?;
            Outcome::equal(&(expected == own.as_str()), &is_known)
        }
        Err(why) => Outcome::Failed(why),
    })
}

/// Whether a text is among others, where either may be a pattern.
fn either_matches(row: &Row<'_>) -> Option<Outcome> {
    let element = row.text("element")?;
    let is_match =
        |pattern: &str, text: &str| StringMatch::from_policy_value(pattern).is_match(text);
    let list = row.texts("list")?;
    let found = list
        .iter()
        .any(|item| is_match(element, item) || is_match(item, element));
    Some(Outcome::equal(&row.flag("expected")?, &found))
}
