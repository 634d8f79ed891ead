//! Conditions of a route.

use mesh_core::matcher::{Regex, StringMatch, UriTemplate};
use mesh_core::model::route as model;
use serde_json::Value;

use super::config;
use super::refusal::{Refusal, at_most_one_of, header_name, one_of};
use crate::case::text;

/// A condition, and those of its parts that the model has no word for. Without them the condition
/// takes at least the requests that Envoy's takes.
#[derive(Debug, Default)]
pub(super) struct Condition {
    pub(super) matches: model::RouteMatch,
    pub(super) inexpressible: Option<String>,
    /// Whether it asks for what no request has that is replayed.
    pub(super) is_never_met: bool,
}

impl Condition {
    /// Takes every request, since `what` is not understood.
    pub(super) fn anything(what: String) -> Self {
        Self {
            matches: model::RouteMatch::prefix(""),
            inexpressible: Some(what),
            is_never_met: false,
        }
    }

    fn lacks(&mut self, what: &str) {
        let what = format!("the model has no {what}");
        self.inexpressible.get_or_insert(what);
    }

    /// The value of a part, unless the model has no word for it.
    fn keep<T>(&mut self, part: Result<T, Refusal>) -> Result<Option<T>, Refusal> {
        match part {
            Ok(value) => Ok(Some(value)),
            Err(Refusal::Inexpressible(what)) => {
                self.inexpressible.get_or_insert(what);
                Ok(None)
            }
            Err(invalid) => Err(invalid),
        }
    }
}

/// The conditions of a route.
pub(super) fn convert(matches: &config::RouteMatch) -> Result<Condition, Refusal> {
    let mut condition = Condition::default();
    condition.matches.path = model::PathMatch::Prefix(String::new());
    if let Some(path) = condition.keep(path(matches))? {
        condition.matches.path = path;
    }
    condition.matches.ignore_path_case = matches.case_sensitive == Some(false);
    condition.matches.grpc = matches.grpc.is_some();
    for header in &matches.headers {
        if let Some(header) = condition.keep(header_match(header))? {
            condition.matches.headers.push(header);
        }
    }
    for parameter in &matches.query_parameters {
        if let Some(parameter) = condition.keep(query_parameter(parameter))? {
            condition.matches.query_params.push(parameter);
        }
    }
    // Filters of Envoy, and tests that stand in for them, set both; here no request has either.
    let is_plain = |matcher: &Value| matcher.get("invert") != Some(&Value::Bool(true));
    let asks = !matches.filter_state.is_empty() || matches.dynamic_metadata.iter().any(is_plain);
    condition.is_never_met = asks && !matches.is_mocked;
    let unknown = [
        ("matching on cookies", !matches.cookies.is_empty()),
        (
            "matching on dynamic metadata",
            !matches.dynamic_metadata.is_empty(),
        ),
        ("matching on filter state", !matches.filter_state.is_empty()),
        (
            "matching on the client's certificate",
            matches.tls_context.is_some(),
        ),
        ("runtime fractions", matches.runtime_fraction.is_some()),
    ];
    for (what, _) in unknown.iter().filter(|(_, is_set)| *is_set) {
        condition.lacks(what);
    }
    Ok(condition)
}

fn path(matches: &config::RouteMatch) -> Result<model::PathMatch, Refusal> {
    let options = [
        ("prefix", matches.prefix.is_some()),
        ("path", matches.path.is_some()),
        ("safe_regex", matches.safe_regex.is_some()),
        (
            "path_separated_prefix",
            matches.path_separated_prefix.is_some(),
        ),
        ("path_match_policy", matches.path_match_policy.is_some()),
        ("connect_matcher", matches.connect_matcher.is_some()),
    ];
    let set = one_of("path_specifier", &options)?;
    if let Some(prefix) = &matches.prefix {
        return Ok(model::PathMatch::Prefix(prefix.clone()));
    }
    if let Some(path) = &matches.path {
        return Ok(model::PathMatch::Exact(path.clone()));
    }
    if let Some(expression) = &matches.safe_regex {
        return Ok(model::PathMatch::Regex(regex(expression)?));
    }
    if let Some(prefix) = &matches.path_separated_prefix {
        return path_separated_prefix(prefix);
    }
    if let Some(extension) = &matches.path_match_policy {
        return template(extension).map(model::PathMatch::Template);
    }
    Err(Refusal::inexpressible(format_args!("`{set}`")))
}

/// The template of a `path_match_policy`.
pub(super) fn template(extension: &Value) -> Result<UriTemplate, Refusal> {
    const URL: &str = "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.\
                       UriTemplateMatchConfig";
    let template = extension_text(extension, URL, "path_template")?;
    UriTemplate::parse(template).map_err(|error| Refusal::Invalid(error.to_string()))
}

/// The only field of an extension's configuration, a text.
pub(super) fn extension_text<'v>(
    extension: &'v Value,
    url: &str,
    field: &str,
) -> Result<&'v str, Refusal> {
    let config = extension.get("typed_config").unwrap_or(&Value::Null);
    match text(config, "@type") {
        own if own == url => Ok(text(config, field)),
        other => Err(Refusal::inexpressible(format_args!("extension `{other}`"))),
    }
}

/// Envoy demands `^[^?#]+[^?#/]$`.
fn path_separated_prefix(prefix: &str) -> Result<model::PathMatch, Refusal> {
    if prefix.contains(['?', '#']) || prefix.ends_with('/') || prefix.chars().count() < 2 {
        let why = format!("`path_separated_prefix` is not a path without query: `{prefix}`");
        return Err(Refusal::Invalid(why));
    }
    Ok(model::PathMatch::PathSeparatedPrefix(prefix.into()))
}

fn header_match(header: &config::HeaderMatcher) -> Result<model::HeaderMatch, Refusal> {
    if !header.name.starts_with(':') {
        header_name("headers.name", &header.name)?;
    }
    let options = [
        ("exact_match", header.exact_match.is_some()),
        ("safe_regex_match", header.safe_regex_match.is_some()),
        ("range_match", header.range_match.is_some()),
        ("present_match", header.present_match.is_some()),
        ("prefix_match", header.prefix_match.is_some()),
        ("suffix_match", header.suffix_match.is_some()),
        ("contains_match", header.contains_match.is_some()),
        ("string_match", header.string_match.is_some()),
    ];
    at_most_one_of("header_match_specifier", &options)?;
    let value = if let Some(value) = &header.string_match {
        string_match(value)?
    } else if let Some(range) = &header.range_match {
        let end = |name| range.get(name).and_then(Value::as_i64).unwrap_or_default();
        StringMatch::IntegerRange {
            start: end("start"),
            end: end("end"),
        }
    } else {
        deprecated_header_value(header)?
    };
    Ok(model::HeaderMatch {
        name: header.name.to_ascii_lowercase(),
        value,
        invert: header.invert_match != (header.present_match == Some(false)),
        missing_as_empty: header.treat_missing_header_as_empty,
    })
}

fn deprecated_header_value(header: &config::HeaderMatcher) -> Result<StringMatch, Refusal> {
    let text = config::StringMatcher {
        exact: header.exact_match.clone(),
        prefix: header.prefix_match.clone(),
        suffix: header.suffix_match.clone(),
        contains: header.contains_match.clone(),
        ..config::StringMatcher::default()
    };
    if let Some(expression) = &header.safe_regex_match {
        return Ok(StringMatch::Regex(regex(expression)?));
    }
    let is_set = [&text.exact, &text.prefix, &text.suffix, &text.contains];
    if is_set.iter().all(|value| value.is_none()) {
        return Ok(StringMatch::Present);
    }
    string_match(&text)
}

fn query_parameter(
    parameter: &config::QueryParameterMatcher,
) -> Result<model::QueryParamMatch, Refusal> {
    if parameter.name.is_empty() {
        return Err(Refusal::invalid("`query_parameters.name` is empty"));
    }
    if parameter.string_match.is_some() && parameter.present_match.is_some() {
        let why = "`query_parameters` has both `string_match` and `present_match`";
        return Err(Refusal::invalid(why));
    }
    if parameter.present_match == Some(false) {
        return Err(Refusal::inexpressible(
            "matching on absent query parameters",
        ));
    }
    let value = match &parameter.string_match {
        Some(value) => string_match(value)?,
        None => StringMatch::Present,
    };
    let name = parameter.name.clone();
    Ok(model::QueryParamMatch { name, value })
}

fn string_match(value: &config::StringMatcher) -> Result<StringMatch, Refusal> {
    let options = [
        ("exact", value.exact.is_some()),
        ("prefix", value.prefix.is_some()),
        ("suffix", value.suffix.is_some()),
        ("contains", value.contains.is_some()),
        ("safe_regex", value.safe_regex.is_some()),
        ("custom", value.custom.is_some()),
    ];
    one_of("match_pattern", &options)?;
    let compiled = if let Some(text) = &value.exact {
        StringMatch::exact(text)
    } else if let Some(text) = &value.prefix {
        StringMatch::prefix(text)
    } else if let Some(text) = &value.suffix {
        StringMatch::suffix(text)
    } else if let Some(text) = &value.contains {
        StringMatch::contains(text)
    } else if let Some(expression) = &value.safe_regex {
        return Ok(StringMatch::Regex(regex(expression)?));
    } else {
        return Err(Refusal::inexpressible("custom string matchers"));
    };
    Ok(if value.ignore_case {
        compiled.ignoring_case()
    } else {
        compiled
    })
}

/// An RE2 expression.
pub(super) fn regex(expression: &config::RegexMatcher) -> Result<Regex, Refusal> {
    if expression.regex.is_empty() {
        return Err(Refusal::invalid("`regex` is empty"));
    }
    Regex::parse(&expression.regex).map_err(|error| Refusal::Invalid(error.to_string()))
}
