//! The checks of Istio's traffic tests: a tree of functions over the answers to a call.

use serde_json::Value;

use crate::case::{Outcome, list, text};
use crate::stage::client::Reply;
use crate::stage::proxy::NEEDS;

/// An answer, or why there is none.
pub(super) type Answer = Result<Reply, String>;

/// Why a check cannot be evaluated, if it cannot.
pub(super) fn unsupported(check: &Value) -> Option<String> {
    let name = text(check, "fn");
    match name {
        "And" | "Or" => list(check, "args").iter().find_map(unsupported),
        "OK" | "NotOK" | "Status" | "NoErrorAndStatus" | "Error" | "NoError" | "ErrorOrStatus"
        | "Host" | "URL" | "Protocol" | "RequestHeader" | "RequestHeaders" | "ResponseHeader"
        | "ResponseHeaders" => constant(check),
        "MTLSForHTTP" | "MTLS" | "Alpn" => Some("needs TLS".into()),
        "go-closure" | "Each" => Some("the check is Go code".into()),
        _ => Some(format!("the check `{name}` is not known")),
    }
}

/// Checks whose arguments are Go expressions cannot be evaluated.
fn constant(check: &Value) -> Option<String> {
    let is_code = |value: &Value| value.get("$call").is_some() || value.get("$sym").is_some();
    let argument = list(check, "args").iter().find(|value| is_code(value))?;
    Some(format!("the check's argument is Go code: {argument}"))
}

/// Evaluates a check of all answers.
pub(super) fn evaluate(check: &Value, answers: &[Answer]) -> Outcome {
    let mut replies = answers.iter().filter_map(|answer| answer.as_ref().ok());
    if let Some(what) = replies.find_map(|reply| reply.field(NEEDS.as_str())) {
        return Outcome::Unsupported(what);
    }
    let mismatches = answers.iter().filter_map(|answer| mismatch(check, answer));
    match mismatches.into_iter().next() {
        Some(why) => Outcome::Failed(why),
        None => Outcome::Passed,
    }
}

/// Why an answer does not pass, if it does not.
fn mismatch(check: &Value, answer: &Answer) -> Option<String> {
    let arguments = list(check, "args");
    match (text(check, "fn"), answer) {
        ("And", _) => arguments.iter().find_map(|check| mismatch(check, answer)),
        ("Or", _) => {
            let mut failed: Vec<String> = Vec::new();
            for check in arguments {
                failed.push(mismatch(check, answer)?);
            }
            Some(failed.join(", and "))
        }
        ("Error", Ok(reply)) => Some(format!("expected no answer, got {}", reply.status)),
        ("Error" | "ErrorOrStatus", Err(_)) => None,
        (_, Err(why)) => Some(format!("no answer: {why}")),
        (name, Ok(reply)) => reply_mismatch(name, arguments, reply),
    }
}

fn reply_mismatch(name: &str, arguments: &[Value], reply: &Reply) -> Option<String> {
    let argument = |index: usize| {
        arguments
            .get(index)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let seen = reply.seen();
    let seen = seen.as_ref();
    match name {
        "OK" => differ("status", &200, &reply.status),
        "NotOK" => (reply.status == 200).then(|| "expected a failure, got 200".to_owned()),
        "Status" | "NoErrorAndStatus" | "ErrorOrStatus" => {
            let expected = arguments.first().and_then(Value::as_u64);
            differ("status", &expected, &Some(u64::from(reply.status)))
        }
        "Host" => differ(
            "host",
            &Some(argument(0)),
            &seen.map(|seen| seen.host.as_str()),
        ),
        "URL" => differ(
            "path",
            &Some(argument(0)),
            &seen.map(|seen| seen.path.as_str()),
        ),
        "Protocol" => {
            let found = seen.map(|seen| seen.protocol.as_str());
            differ("protocol", &Some(argument(0)), &found)
        }
        "RequestHeader" => {
            let name = argument(0).to_ascii_lowercase();
            let found = seen
                .and_then(|seen| seen.headers.get(&name))
                .map(String::as_str);
            differ(&name, &argument(1), &found.unwrap_or_default())
        }
        "RequestHeaders" => pairs(arguments, |name| seen?.headers.get(name).cloned()),
        "ResponseHeader" => {
            let found = reply.field(argument(0)).unwrap_or_default();
            differ(argument(0), &argument(1), &found.as_str())
        }
        "ResponseHeaders" => pairs(arguments, |name| reply.field(name)),
        _ => None,
    }
}

/// Whether each named field has its value; an empty one is expected of what is absent.
fn pairs(arguments: &[Value], found: impl Fn(&str) -> Option<String>) -> Option<String> {
    let expected = arguments.first().and_then(Value::as_object)?;
    expected.iter().find_map(|(name, value)| {
        let found = found(&name.to_ascii_lowercase()).unwrap_or_default();
        differ(name, &value.as_str().unwrap_or_default(), &found.as_str())
    })
}

fn differ<T: std::fmt::Debug + PartialEq>(what: &str, expected: &T, found: &T) -> Option<String> {
    (expected != found).then(|| format!("{what}: expected {expected:?}, got {found:?}"))
}
