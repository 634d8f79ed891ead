//! URI templates: what is a template, what it matches, and what it is rewritten to.

use mesh_core::matcher::{UriRewrite, UriTemplate};
use serde_json::Value;

use crate::case::{Cases, Outcome, id, list, text};

/// Adds a case for each vector.
pub(super) fn run(cases: &mut Cases, vectors: &Value) {
    for (group, expected) in [
        ("match_pattern_valid", false),
        ("match_pattern_invalid", true),
    ] {
        templates(cases, group, &texts(vectors, group), expected);
    }
    for (group, refused) in [
        ("rewrite_pattern_valid", false),
        ("rewrite_pattern_invalid", true),
    ] {
        for (index, path) in texts(vectors, group).iter().enumerate() {
            let outcome = Outcome::refusal(refused, &UriRewrite::validate(path));
            cases.push(name(group, index), outcome);
        }
    }
    for (index, vector) in list(vectors, "match_and_rewrite").iter().enumerate() {
        cases.push(name("match_and_rewrite", index), rewrite(vector));
    }
    for suite in list(vectors, "parameter_suites") {
        let values = texts(suite, "values");
        run_suite(cases, text(suite, "suite"), &values);
    }
}

fn run_suite(cases: &mut Cases, suite: &str, values: &[&str]) {
    match suite {
        // Variables by themselves are segments of a path.
        "ParseVariableSuccess" | "ParseVariableFailure" => {
            let paths: Vec<_> = values.iter().map(|value| format!("/{value}")).collect();
            let paths: Vec<_> = paths.iter().map(String::as_str).collect();
            templates(cases, suite, &paths, suite.ends_with("Failure"));
        }
        "ParsePathPatternSyntaxSuccess" | "ParsePathPatternSyntaxFailure" => {
            let paths = joined(values);
            let paths: Vec<_> = paths.iter().map(String::as_str).collect();
            templates(cases, suite, &paths, suite.ends_with("Failure"));
        }
        "GenPatternRegexWithMatch" => {
            for (index, record) in records(&joined(values)).iter().enumerate() {
                cases.push(name(suite, index), captures(record));
            }
        }
        "GenPatternRegexWithoutMatch" => {
            for (index, pair) in values.chunks(2).enumerate() {
                cases.push(name(suite, index), no_match(pair));
            }
        }
        _ => cases.push(
            id(&["uri_template", suite]),
            Outcome::unsupported("an unknown suite"),
        ),
    }
}

fn templates(cases: &mut Cases, group: &str, paths: &[&str], refused: bool) {
    for (index, path) in paths.iter().enumerate() {
        let outcome = Outcome::refusal(refused, &UriTemplate::parse(path));
        cases.push(name(group, index), outcome);
    }
}

fn rewrite(vector: &Value) -> Outcome {
    let template = UriTemplate::parse(text(vector, "pattern"));
    let rewrite = template.and_then(|template| template.rewrite(text(vector, "rewrite")));
    match rewrite {
        Ok(rewrite) => {
            let path = rewrite.apply(text(vector, "path"));
            Outcome::equal(&Some(text(vector, "out").to_owned()), &path)
        }
        Err(error) => Outcome::failed(error.to_string()),
    }
}

/// A path, a template, and the names and values of the variables.
fn captures(record: &[String]) -> Outcome {
    let [path, template, pairs @ ..] = record else {
        return Outcome::unsupported("the vector has no template");
    };
    let template = match UriTemplate::parse(template) {
        Ok(template) => template,
        Err(error) => return Outcome::failed(error.to_string()),
    };
    let expected = pairs.chunks(2).filter_map(|pair| {
        let [name, value] = pair else { return None };
        Some((name.clone(), value.clone()))
    });
    let found = template.captures(path).map(|found| {
        let owned = found.map(|(name, value)| (name.to_owned(), value.to_owned()));
        owned.collect::<Vec<_>>()
    });
    Outcome::equal(&Some(expected.collect()), &found)
}

fn no_match(pair: &[&str]) -> Outcome {
    let [path, template] = pair else {
        return Outcome::unsupported("the vector has no template");
    };
    match UriTemplate::parse(template) {
        Ok(template) => Outcome::equal(&false, &template.is_match(path)),
        Err(error) => Outcome::failed(error.to_string()),
    }
}

/// The literals of a Go or C++ source that stand next to each other are one text; in these suites
/// nothing else begins with a brace.
fn joined(values: &[&str]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for value in values {
        match texts.last_mut() {
            Some(last) if value.starts_with('{') => last.push_str(value),
            _ => texts.push((*value).to_owned()),
        }
    }
    texts
}

/// Splits a flat list where a path begins: two of them begin a record.
fn records(values: &[String]) -> Vec<&[String]> {
    let mut starts = Vec::new();
    let mut index = 0;
    while index < values.len() {
        starts.push(index);
        let rest = values[index..].iter().skip(2);
        index += 2 + rest.take_while(|value| !value.starts_with('/')).count();
    }
    let ends = starts.iter().skip(1).copied().chain([values.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| &values[*start..end])
        .collect()
}

fn texts<'a>(value: &'a Value, field: &str) -> Vec<&'a str> {
    list(value, field)
        .iter()
        .filter_map(Value::as_str)
        .collect()
}

fn name(group: &str, index: usize) -> String {
    id(&["uri_template", group, &index.to_string()])
}
