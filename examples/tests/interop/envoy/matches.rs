//! Conditions on requests, as `config.route.v3.RouteMatch` and `type.matcher.v3.StringMatcher`.

use mesh_core::matcher::StringMatch;
use mesh_core::model::route::{HeaderMatch, PathMatch, QueryParamMatch, RouteMatch};
use serde_json::{Map, Value, json};

pub(super) fn route_match(matches: &RouteMatch) -> Value {
    let RouteMatch {
        path,
        ignore_path_case,
        method,
        scheme,
        authority,
        headers,
        query_params,
        claims,
        grpc,
    } = matches;
    assert!(claims.is_empty(), "claims need a token, which nobody sends");
    let pseudo = [
        (":method", method),
        (":scheme", scheme),
        (":authority", authority),
    ];
    let pseudo = pseudo.into_iter().filter_map(|(name, value)| {
        let condition = value.as_ref()?;
        Some(field(name, condition))
    });
    let headers: Vec<_> = pseudo.chain(headers.iter().map(header)).collect();
    let mut encoded = path_specifier(path);
    encoded.insert("case_sensitive".into(), json!(!ignore_path_case));
    encoded.insert("headers".into(), headers.into());
    let params: Vec<_> = query_params.iter().map(query_param).collect();
    encoded.insert("query_parameters".into(), params.into());
    if *grpc {
        encoded.insert("grpc".into(), json!({}));
    }
    encoded.into()
}

fn path_specifier(path: &PathMatch) -> Map<String, Value> {
    let (name, value) = match path {
        PathMatch::Exact(path) => ("path", json!(path)),
        PathMatch::PathSeparatedPrefix(prefix) => ("path_separated_prefix", json!(prefix)),
        PathMatch::Prefix(prefix) => ("prefix", json!(prefix)),
        PathMatch::Regex(regex) => ("safe_regex", json!({"regex": regex.as_str()})),
        PathMatch::Template(template) => panic!("no VirtualService has the template {template}"),
    };
    Map::from_iter([(name.to_owned(), value)])
}

fn header(condition: &HeaderMatch) -> Value {
    let HeaderMatch {
        name,
        value,
        invert,
        missing_as_empty,
    } = condition;
    let mut encoded = field(name, value);
    encoded["invert_match"] = json!(invert);
    encoded["treat_missing_header_as_empty"] = json!(missing_as_empty);
    encoded
}

fn query_param(condition: &QueryParamMatch) -> Value {
    let QueryParamMatch { name, value } = condition;
    field(name, value)
}

/// A condition on what has the name `name`, which is there.
fn field(name: &str, value: &StringMatch) -> Value {
    match string_matcher(value) {
        Some(matcher) => json!({"name": name, "string_match": matcher}),
        None => json!({"name": name, "present_match": true}),
    }
}

/// `None` is a text that only has to be there.
pub(super) fn string_matcher(condition: &StringMatch) -> Option<Value> {
    let (kind, value, ignore_case) = match condition {
        StringMatch::Contains { value, ignore_case } => ("contains", value, ignore_case),
        StringMatch::Exact { value, ignore_case } => ("exact", value, ignore_case),
        StringMatch::Prefix { value, ignore_case } => ("prefix", value, ignore_case),
        StringMatch::Suffix { value, ignore_case } => ("suffix", value, ignore_case),
        StringMatch::IntegerRange { .. } => panic!("no VirtualService compares numbers"),
        StringMatch::NonEmpty => return Some(json!({"safe_regex": {"regex": ".+"}})),
        StringMatch::Present => return None,
        StringMatch::Regex(regex) => {
            return Some(json!({"safe_regex": {"regex": regex.as_str()}}));
        }
    };
    Some(json!({kind: value, "ignore_case": ignore_case}))
}
