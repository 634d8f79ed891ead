//! SPIFFE IDs, trust domains and paths: the assertions of go-spiffe's tests, and the files of SVIDs
//! and bundles that lie beside them.
//!
//! An assertion has the arguments of the helper that the test calls. Those of a refusal end in the
//! text of go-spiffe's error, which stands for one of our variants.

mod fixtures;

use std::path::Path;

use mesh_core::identity::{ParseSpiffeIdError, SpiffeId, TrustDomain};
use serde_json::Value;

use crate::case::{Case, Cases, Outcome, id, list, text};

/// The trust domain that the tests use throughout.
const TRUST_DOMAIN: &str = "trustdomain";

type Parsed = Result<String, ParseSpiffeIdError>;

/// Runs all assertions, and reads all files.
pub(crate) fn run(document: &Value, corpora: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let line = case.get("line").map(Value::to_string).unwrap_or_default();
        let name = id(&[text(case, "test"), text(case, "case"), &line]);
        let outcome = assertion(case).unwrap_or_else(|| {
            Outcome::unsupported("an assertion whose arguments are not understood")
        });
        cases.push(name, outcome);
    }
    fixtures::add(&mut cases, corpora);
    cases.into_vec()
}

fn assertion(case: &Value) -> Option<Outcome> {
    let arguments = list(case, "args");
    let is_test = |value: &Value| value.get("$sym").and_then(Value::as_str) == Some("t");
    let arguments = match arguments.split_first() {
        Some((first, rest)) if is_test(first) => rest,
        _ => arguments,
    };
    let test = text(case, "test");
    match text(case, "helper") {
        "assertOK" => accepted(test, arguments),
        "assertFail" => {
            let (error, arguments) = arguments.split_last()?;
            Some(refused(error.as_str()?, &call(test, arguments)?.0))
        }
        "assertBad" => {
            let (error, arguments) = arguments.split_first()?;
            Some(refused(error.as_str()?, &call(test, arguments)?.0))
        }
        _ => None,
    }
}

/// Passed if the call succeeds and gives what follows its own arguments, where anything does.
fn accepted(test: &str, arguments: &[Value]) -> Option<Outcome> {
    // The helper of this test takes the expected path before the segments.
    if test == "TestJoinPathSegments" {
        let (path, segments) = arguments.split_first()?;
        return Some(same(path.as_str()?, &call(test, segments)?.0));
    }
    let (parsed, rest) = call(test, arguments)?;
    let expected = rest.iter().filter_map(Value::as_str).next_back();
    Some(match (expected, parsed) {
        (_, Err(error)) => Outcome::Failed(format!("refused: {error}")),
        (None, Ok(_)) => Outcome::Passed,
        (Some(path), Ok(found)) => same(path, &Ok(found)),
    })
}

fn same(path: &str, parsed: &Parsed) -> Outcome {
    match parsed {
        Ok(found) => Outcome::equal(&path, &found.as_str()),
        Err(error) => Outcome::Failed(format!("refused: {error}")),
    }
}

fn refused(error: &str, parsed: &Parsed) -> Outcome {
    match parsed {
        Ok(_) => Outcome::failed("accepted, expected a refusal"),
        Err(found) => Outcome::equal(&Some(error), &go_text(found)),
    }
}

/// Calls what a test calls. The value is the path of the result; beside it, the arguments that the
/// call did not take.
fn call<'a>(test: &str, arguments: &'a [Value]) -> Option<(Parsed, &'a [Value])> {
    let domain: TrustDomain = TRUST_DOMAIN.parse().ok()?;
    let path = |id: SpiffeId| id.path().to_owned();
    let (first, rest) = arguments.split_first()?;
    Some(match test.trim_end_matches('f') {
        "TestFromString" | "TestFromURI" => (uri(first)?.parse().map(path), rest),
        "TestFromPath" => (SpiffeId::new(&domain, first.as_str()?).map(path), rest),
        "TestFromSegments" => (
            SpiffeId::from_segments(&domain, segments(first)?).map(path),
            rest,
        ),
        "TestJoinPathSegments" => {
            let segments: Option<Vec<&str>> = arguments.iter().map(Value::as_str).collect();
            (SpiffeId::from_segments(&domain, segments?).map(path), &[])
        }
        // What follows is the expected trust domain, which is no text.
        "TestTrustDomainFromString" => {
            let parsed: Result<TrustDomain, _> = first.as_str()?.parse();
            (parsed.map(|domain| domain.to_string()), &[])
        }
        "TestTrustDomainFromURI" => {
            let parsed: Result<SpiffeId, _> = uri(first)?.parse();
            (parsed.map(|id| id.trust_domain().to_string()), &[])
        }
        test => {
            let (second, rest) = rest.split_first()?;
            (
                change(test, &SpiffeId::new(&domain, first.as_str()?).ok()?, second)?,
                rest,
            )
        }
    })
}

/// Changes the path of an ID.
fn change(test: &str, start: &SpiffeId, argument: &Value) -> Option<Parsed> {
    let domain = start.trust_domain();
    let changed = match test {
        "TestIDReplacePath" => start.with_path(argument.as_str()?),
        "TestIDReplaceSegments" => SpiffeId::from_segments(&domain, segments(argument)?),
        "TestIDAppendPath" => start.append_path(argument.as_str()?),
        "TestIDAppendSegments" => start.append_segments(segments(argument)?),
        _ => return None,
    };
    Some(changed.map(|id| id.path().to_owned()))
}

fn segments(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(segments) => segments.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// The text of a Go `url.URL`: a text, the fields of one, or a call that parses one.
fn uri(value: &Value) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    if value.get("$call").is_some() {
        return uri(list(value, "args").first()?);
    }
    value.as_object()?;
    match (
        text(value, "Scheme"),
        text(value, "Host"),
        text(value, "Path"),
    ) {
        ("", "", path) => Some(path.to_owned()),
        (scheme, host, path) => Some(format!("{scheme}://{host}{path}")),
    }
}

/// The text of go-spiffe's error that a variant stands for.
fn go_text(error: &ParseSpiffeIdError) -> Option<&'static str> {
    Some(match error {
        ParseSpiffeIdError::Empty => "cannot be empty",
        ParseSpiffeIdError::WrongScheme => "scheme is missing or invalid",
        ParseSpiffeIdError::MissingTrustDomain => "trust domain is missing",
        ParseSpiffeIdError::TrustDomainCharacter { .. } => {
            "trust domain characters are limited to lowercase letters, numbers, dots, dashes, and \
             underscores"
        }
        ParseSpiffeIdError::NoLeadingSlash => "path must have a leading slash",
        ParseSpiffeIdError::EmptySegment => "path cannot contain empty segments",
        ParseSpiffeIdError::DotSegment => "path cannot contain dot segments",
        ParseSpiffeIdError::TrailingSlash => "path cannot have a trailing slash",
        ParseSpiffeIdError::PathCharacter { .. } => {
            "path segment characters are limited to letters, numbers, dots, dashes, and underscores"
        }
        _ => return None,
    })
}
