//! Whether resources are refused: Istio's webhook, the schemas of the custom resource definitions,
//! and those of the Gateway API. Only that is compared, not the wording.

mod fragments;
mod scalars;

use std::path::Path;

use mesh_core::validate::validate;
use serde_json::{Value, json};

use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::configuration::{joined, parse_value};

/// Cases of Istio's validation: whole resources, parts of them, and scalars.
pub(crate) fn run(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let line = case.get("line").map(Value::to_string).unwrap_or_default();
        let name = id(&[
            text(case, "test"),
            text(case, "name"),
            text(case, "validator"),
            &line,
        ]);
        cases.push(name, outcome(case));
    }
    cases.into_vec()
}

fn outcome(case: &Value) -> Outcome {
    let whole = case.get("resource").or_else(|| case.get("wrapped"));
    if let Some(resource) = whole {
        let mut resource = resource.clone();
        annotate(text(case, "test"), &mut resource);
        return compare(case, &resource);
    }
    let verdict = match text(case, "kind") {
        "scalar" => scalars::verdict(text(case, "validator"), list(case, "args")),
        _ => match fragments::wrap(case) {
            Some(resource) => return compare(case, &resource),
            None => fragments::verdict(case),
        },
    };
    match verdict {
        Some(verdict) => Outcome::refusal(expects_error(case), &verdict),
        None => Outcome::Unsupported(format!("not mapped: {}", text(case, "validator"))),
    }
}

/// Adds the annotation that all resources of a test have, and the corpus lacks: in this one they
/// were converted from the Gateway API.
fn annotate(test: &str, resource: &mut Value) {
    if test == "TestValidateK8sGateway"
        && let Some(Value::Object(metadata)) = resource.get_mut("metadata")
    {
        let semantics = json!({"internal.istio.io/gateway-semantics": "gateway"});
        metadata.insert("annotations".into(), semantics);
    }
}

/// Documents of Istio's kinds, by the schema of their definition.
pub(crate) fn crd(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let index = case.get("index").map(Value::to_string).unwrap_or_default();
        let name = id(&[&text(case, "source").replace(' ', "/"), &index]);
        cases.push(
            name,
            compare(case, case.get("resource").unwrap_or(&Value::Null)),
        );
    }
    cases.into_vec()
}

/// Objects of the Gateway API, by the rules of its definitions.
pub(crate) fn cel(document: &Value, _: &Path) -> Vec<Case> {
    let all = list(document, "cases");
    let mut cases = Cases::default();
    for case in all {
        let name = id(&[text(case, "test"), text(case, "name")]);
        let outcome = match text(case, "op") {
            "create" if is_refused(case) && is_accepted_elsewhere(case, all) => {
                Outcome::unsupported(
                    "the object is the one that another case has accepted: the corpus lacks what \
                     the test changes in it",
                )
            }
            "create" => created(case),
            op => Outcome::Unsupported(format!("the operation `{op}` is not checked")),
        };
        cases.push(name, outcome);
    }
    cases.into_vec()
}

fn is_refused(case: &Value) -> bool {
    !list(case, "expect_errors").is_empty()
}

/// Whether a case that has the same object expects it to be accepted.
fn is_accepted_elsewhere(case: &Value, all: &[Value]) -> bool {
    let (object, channel) = (case.get("object"), case.get("channel"));
    all.iter().any(|other| {
        other.get("object") == object && other.get("channel") == channel && !is_refused(other)
    })
}

fn created(case: &Value) -> Outcome {
    let object = case.get("object").unwrap_or(&Value::Null);
    match text(object, "kind") {
        // No resource of the library's yet, but a part that it checks.
        "XBackendTrafficPolicy" => {
            let spec = object.get("spec").unwrap_or(&Value::Null);
            Outcome::refusal(is_refused(case), &fragments::backend_traffic_policy(spec))
        }
        _ => judge(is_refused(case), object),
    }
}

fn expects_error(case: &Value) -> bool {
    let expect = case.get("expect").and_then(|expect| expect.get("error"));
    expect.and_then(Value::as_bool).unwrap_or_default()
}

fn compare(case: &Value, resource: &Value) -> Outcome {
    judge(expects_error(case), resource)
}

/// Whether a resource is refused as expected.
pub(crate) fn judge(expects_error: bool, resource: &Value) -> Outcome {
    match refusal(resource) {
        Ok(verdict) => Outcome::refusal(expects_error, &verdict),
        Err(why) => Outcome::Unsupported(why),
    }
}

/// Whether a resource is refused, and why. The outer error is a kind that is not read.
fn refusal(resource: &Value) -> Result<Result<(), String>, String> {
    let mut resource = resource.clone();
    expand(&mut resource, false);
    let parsed = match parse_value(&resource) {
        Ok(parsed) => parsed,
        Err(why) => return Ok(Err(why)),
    };
    if let Some(unknown) = parsed.unknown.first() {
        return Err(format!(
            "`{}` is not read: {}",
            unknown.origin, unknown.api_version
        ));
    }
    if !parsed.problems.is_empty() {
        return Ok(Err(joined(&parsed.problems)));
    }
    let violations = parsed.objects.iter().flat_map(validate);
    let errors: Vec<_> = violations
        .filter(|violation| violation.is_error())
        .collect();
    Ok(if errors.is_empty() {
        Ok(())
    } else {
        Err(joined(&errors))
    })
}

/// Writes out texts that the corpus abbreviates, `{"$repeat": [text, times]}`. Those of `bytes` are
/// base64 in a resource.
fn expand(value: &mut Value, is_bytes: bool) {
    let times = |value: &Value| usize::try_from(value.as_u64()?).ok();
    if let Some([Value::String(text), count]) = value
        .get("$repeat")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        let text = text.repeat(times(count).unwrap_or_default());
        *value = Value::String(if is_bytes {
            base64(text.as_bytes())
        } else {
            text
        });
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| expand(item, false)),
        Value::Object(fields) => {
            fields
                .iter_mut()
                .for_each(|(name, value)| expand(value, name == "bytes"));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(group);
        for place in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or_default();
            text.push(if place <= chunk.len() {
                char::from(ALPHABET[digit])
            } else {
                '='
            });
        }
    }
    text
}
