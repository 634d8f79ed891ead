//! Compiled policies, held to nested loops.

use std::collections::BTreeMap;

use http::HeaderMap;
use mesh_core::matcher::Regex;
use mesh_core::resource::Value;
use proptest::prelude::*;
use serde_json::json;

use super::attributes::Facts;
use super::tests::{compile, connection};
use super::*;

/// Whether a value of a policy is `text`: written once more, without regard to speed.
fn naive_value(value: &str, text: &str) -> bool {
    match (value.strip_prefix('*'), value.strip_suffix('*')) {
        (Some(""), _) => !text.is_empty(),
        (Some(suffix), _) => text.ends_with(suffix),
        (None, Some(prefix)) => text.starts_with(prefix),
        (None, None) => text == value,
    }
}

/// Fields by name, with their values.
type Fields = BTreeMap<&'static str, Vec<String>>;

/// A rule as sources and operations.
type NaiveRule = (Vec<Fields>, Vec<Fields>);

#[derive(Clone, Debug)]
struct Sample {
    namespace: String,
    method: String,
    host: String,
    path: String,
    subject: Option<String>,
}

impl Sample {
    fn peer(&self) -> String {
        format!("spiffe://td/ns/{}/sa/x", self.namespace)
    }

    fn naive_field(&self, field: &str, values: &[String]) -> bool {
        if let Some(positive) = field.strip_prefix("not") {
            let positive = format!("{}{}", positive[..1].to_lowercase(), &positive[1..]);
            return !self.naive_field(&positive, values);
        }
        values.iter().any(|value| match field {
            "principals" => naive_value(value, self.peer().strip_prefix("spiffe://").unwrap()),
            // A wildcard runs on beyond the namespace, as in Istio's regular expression.
            "namespaces" => {
                let pattern = format!(".*/ns/{}/.*", value.replace('*', ".*"));
                Regex::parse(&pattern).unwrap().is_match(&self.peer())
            }
            "requestPrincipals" => {
                let subject = self.subject.as_ref();
                subject.is_some_and(|subject| naive_value(value, &format!("i/{subject}")))
            }
            "hosts" => {
                value == "*" || naive_value(&value.to_lowercase(), &self.host.to_lowercase())
            }
            "methods" => naive_value(value, &self.method),
            "paths" => naive_value(value, &self.path),
            _ => unreachable!("{field}"),
        })
    }

    fn naive_rule(&self, (sources, operations): &NaiveRule) -> bool {
        [sources, operations].into_iter().all(|alternatives| {
            alternatives.is_empty()
                || alternatives.iter().any(|fields| {
                    fields
                        .iter()
                        .all(|(field, values)| self.naive_field(field, values))
                })
        })
    }
}

fn words() -> impl Strategy<Value = String> {
    "[ab]{1,3}"
}

fn fields(names: &'static [&'static str], value: BoxedStrategy<String>) -> BoxedStrategy<Fields> {
    let name = prop::sample::select(names);
    let values = prop::collection::vec(value, 1..3);
    prop::collection::btree_map(name, values, 1..3).boxed()
}

fn naive_rules() -> impl Strategy<Value = NaiveRule> {
    let wild = || "(\\*?[ab]{1,2}|[ab]{1,2}\\*|\\*)".boxed();
    let source = prop_oneof![
        fields(&["namespaces", "notNamespaces"], wild()),
        fields(
            &["principals", "notPrincipals"],
            "td/ns/[ab]{1,2}(/sa/x|\\*)".boxed()
        ),
        fields(
            &["requestPrincipals", "notRequestPrincipals"],
            "i/([ab]|\\*)".boxed()
        ),
    ];
    let operation = prop_oneof![
        fields(&["methods", "notMethods", "hosts", "notHosts"], wild()),
        fields(
            &["paths", "notPaths"],
            "(/[ab]{1,2}\\*?|/\\*|\\*[ab]{1,2})".boxed()
        ),
    ];
    (
        prop::collection::vec(source, 0..3),
        prop::collection::vec(operation, 0..3),
    )
}

fn samples() -> impl Strategy<Value = Sample> {
    let path = "/[ab]{0,3}";
    (
        words(),
        words(),
        "[abAB]{1,3}",
        path,
        prop::option::of("[ab]"),
    )
        .prop_map(|(namespace, method, host, path, subject)| Sample {
            namespace,
            method,
            host,
            path,
            subject,
        })
}

fn spec(action: &str, rules: &[NaiveRule]) -> serde_json::Value {
    let rules: Vec<_> = rules
        .iter()
        .map(|(sources, operations)| {
            let mut rule = json!({});
            if !sources.is_empty() {
                rule["from"] = sources.iter().map(|one| json!({"source": one})).collect();
            }
            if !operations.is_empty() {
                rule["to"] = operations
                    .iter()
                    .map(|one| json!({"operation": one}))
                    .collect();
            }
            rule
        })
        .collect();
    json!({"action": action, "rules": rules})
}

proptest! {
    #[test]
    fn compiled_policies_agree_with_nested_loops(
        denials in prop::collection::vec(naive_rules(), 1..5),
        permissions in prop::collection::vec(naive_rules(), 1..5),
        samples in prop::collection::vec(samples(), 1..12),
    ) {
        let set = compile(&[spec("DENY", &denials), spec("ALLOW", &permissions)]);
        for sample in samples {
            let peer = sample.peer();
            let claims = sample.subject.as_ref().map(|subject| {
                let text = |text: &str| Value::String(text.to_owned());
                let claims = [("iss".to_owned(), text("i")), ("sub".to_owned(), text(subject))];
                Value::Map(BTreeMap::from(claims))
            });
            let headers = HeaderMap::new();
            let request = HttpRequest {
                connection: Connection { peer: Some(&peer), ..connection() },
                method: &sample.method,
                scheme: "http",
                host: Some(sample.host.as_bytes()),
                path: &sample.path,
                headers: &headers,
                claims: claims.as_ref(),
            };
            let denied = denials.iter().any(|rule| sample.naive_rule(rule));
            let allowed = permissions.iter().any(|rule| sample.naive_rule(rule));
            let verdict = set.evaluate(&request);
            prop_assert_eq!(verdict.is_allowed(), !denied && allowed, "{:?}", sample);

            let facts = Facts::of_request(&request);
            let deny = &set.rules(false).deny;
            let name = |rule: Option<&rule::Rule>| rule.map(|rule| rule.name.to_string());
            prop_assert_eq!(name(deny.find(&facts)), name(deny.scan(&facts)));
            let explained = set.explain(&request).outcome == Outcome::Allow;
            prop_assert_eq!(explained, verdict.is_allowed());
        }
    }
}
