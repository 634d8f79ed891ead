use std::fmt::Write;

use mesh_core::matcher::StringMatch;
use mesh_core::model::route::{
    ClusterSpecifier, PathMatch, RouteAction, RouteMatch, WeightedDestination,
};

/// A condition, in words.
pub(crate) fn condition(rule: &RouteMatch) -> String {
    let mut words = vec![path(&rule.path)];
    if rule.ignore_path_case {
        words.push("in any case".to_owned());
    }
    let pseudo = [
        ("method", &rule.method),
        ("scheme", &rule.scheme),
        ("authority", &rule.authority),
    ];
    for (name, value) in pseudo {
        words.extend(
            value
                .as_ref()
                .map(|value| format!("{name} {}", string(value))),
        );
    }
    for header in &rule.headers {
        let not = if header.invert { "not " } else { "" };
        words.push(format!(
            "{not}header {} {}",
            header.name,
            string(&header.value)
        ));
    }
    for parameter in &rule.query_params {
        words.push(format!(
            "query {} {}",
            parameter.name,
            string(&parameter.value)
        ));
    }
    for claim in &rule.claims {
        let not = if claim.invert { "not " } else { "" };
        words.push(format!(
            "{not}claim {} {}",
            claim.path.join("."),
            string(&claim.value)
        ));
    }
    if rule.grpc {
        words.push("gRPC".to_owned());
    }
    words.join(", ")
}

/// An action, in words.
pub(crate) fn action(action: &RouteAction) -> String {
    match action {
        RouteAction::DirectResponse(direct) => format!("answer {}", direct.status),
        RouteAction::Forward(forward) => destinations(&forward.destinations),
        RouteAction::Redirect(redirect) => format!("redirect {}", redirect.status),
    }
}

fn destinations(destinations: &[WeightedDestination]) -> String {
    let mut words = String::new();
    for destination in destinations {
        if !words.is_empty() {
            words += ", ";
        }
        if destinations.len() > 1 {
            // Writing to a string does not fail.
            let _ = write!(words, "{} × ", destination.weight);
        }
        words += &match &destination.cluster {
            ClusterSpecifier::Header(name) => format!("cluster of header {name}"),
            ClusterSpecifier::Name(name) => name.to_string(),
            ClusterSpecifier::Refused(status) => format!("answer {status}"),
        };
    }
    words
}

fn path(path: &PathMatch) -> String {
    match path {
        PathMatch::Exact(path) => format!("path = {path}"),
        PathMatch::PathSeparatedPrefix(prefix) => format!("path {prefix} and below"),
        PathMatch::Prefix(prefix) => format!("path {prefix}*"),
        PathMatch::Regex(regex) => format!("path ~ {regex}"),
        PathMatch::Template(template) => format!("path = {template}"),
    }
}

fn string(rule: &StringMatch) -> String {
    match rule {
        StringMatch::Contains { value, .. } => format!("has {value}"),
        StringMatch::Exact { value, .. } => format!("= {value}"),
        StringMatch::IntegerRange { start, end } => format!("from {start} to below {end}"),
        StringMatch::NonEmpty => "not empty".to_owned(),
        StringMatch::Prefix { value, .. } => format!("= {value}*"),
        StringMatch::Present => "present".to_owned(),
        StringMatch::Regex(regex) => format!("~ {regex}"),
        StringMatch::Suffix { value, .. } => format!("= *{value}"),
    }
}
