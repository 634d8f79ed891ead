//! Conditions on requests, and which of two routes comes first.
//!
//! Of all routes of a host the most specific comes first: by the path, the method, the number of
//! headers and that of query parameters (`sortHTTPRoutes` in
//! `pilot/pkg/config/kube/gateway/conversion.go`).

use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::matcher::{Regex, StringMatch};
use crate::model::route::{HeaderMatch, PathMatch, QueryParamMatch, RouteMatch};
use crate::resolve::gateway_api::finding::Finding;
use crate::resolve::place::Place;
use crate::resource::gateway_api::grpc_route::{GrpcMethodMatch, GrpcRouteMatch};
use crate::resource::gateway_api::http_match::{
    HttpPathMatch, HttpRouteMatch, PathMatchType, ValueMatchType,
};

/// How specific a condition is; the greater comes first.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Precedence {
    path: PathRank,
    path_length: usize,
    has_method: bool,
    headers: usize,
    query_params: usize,
}

#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
enum PathRank {
    /// A rule without conditions.
    #[default]
    Unconditional,
    /// A condition that says nothing of the path.
    Any,
    Regex,
    Prefix,
    Exact,
}

impl Precedence {
    /// Of a condition whose path, if it has one, was written with `path_length` characters.
    fn of(matches: &RouteMatch, path_length: Option<usize>) -> Self {
        let path = match (&matches.path, path_length) {
            (_, None) => PathRank::Any,
            (PathMatch::Exact(_), _) => PathRank::Exact,
            (PathMatch::PathSeparatedPrefix(_) | PathMatch::Prefix(_), _) => PathRank::Prefix,
            (PathMatch::Regex(_) | PathMatch::Template(_), _) => PathRank::Regex,
        };
        Self {
            path,
            path_length: path_length.unwrap_or(0),
            has_method: matches.method.is_some(),
            headers: matches.headers.len(),
            query_params: matches.query_params.len(),
        }
    }
}

/// The condition of an HTTPRoute.
pub(super) fn http(
    written: &HttpRouteMatch,
    place: &Place<'_>,
) -> Result<(Precedence, RouteMatch), Finding> {
    let HttpRouteMatch {
        path,
        headers,
        query_params,
        method,
    } = written;
    let default = HttpPathMatch::default();
    let path = path.as_ref().unwrap_or(&default);
    let mut matches = RouteMatch::path(http_path(path, &place.field("path"))?);
    let list = place.field("headers");
    for (index, header) in headers.iter().enumerate() {
        let value = value(header.r#type, &header.value, &list.index(index))?;
        push_header(&header.name, value, &mut matches);
    }
    let list = place.field("queryParams");
    for (index, param) in query_params.iter().enumerate() {
        let value = value(param.r#type, &param.value, &list.index(index))?;
        let name = param.name.clone();
        // Of several with one name the first counts.
        if !matches.query_params.iter().any(|known| known.name == name) {
            matches.query_params.push(QueryParamMatch { name, value });
        }
    }
    matches.headers.sort_by(|a, b| a.name.cmp(&b.name));
    matches.method = method.map(|method| StringMatch::exact(method.as_str()));
    let length = path_length(&matches.path);
    Ok((Precedence::of(&matches, Some(length)), matches))
}

/// The condition of a GRPCRoute.
pub(super) fn grpc(
    written: &GrpcRouteMatch,
    place: &Place<'_>,
) -> Result<(Precedence, RouteMatch), Finding> {
    let GrpcRouteMatch { method, headers } = written;
    let mut matches = RouteMatch::default();
    if let Some(method) = method {
        matches.path = grpc_path(method, &place.field("method"))?;
    }
    let list = place.field("headers");
    for (index, header) in headers.iter().enumerate() {
        let value = value(header.r#type, &header.value, &list.index(index))?;
        push_header(&header.name, value, &mut matches);
    }
    matches.headers.sort_by(|a, b| a.name.cmp(&b.name));
    // The prefix of a service ends with a slash, which counts.
    let slash = usize::from(matches!(matches.path, PathMatch::PathSeparatedPrefix(_)));
    let length = method.as_ref().map(|_| path_length(&matches.path) + slash);
    Ok((Precedence::of(&matches, length), matches))
}

fn path_length(path: &PathMatch) -> usize {
    match path {
        PathMatch::Exact(path) | PathMatch::PathSeparatedPrefix(path) | PathMatch::Prefix(path) => {
            path.len()
        }
        PathMatch::Regex(regex) => Regex::as_str(regex).len(),
        PathMatch::Template(template) => template.as_str().len(),
    }
}

/// A prefix is one of whole segments, and its trailing slash is ignored.
fn http_path(written: &HttpPathMatch, place: &Place<'_>) -> Result<PathMatch, Finding> {
    let value = written.value.as_deref().unwrap_or("/");
    Ok(match written.r#type {
        Some(PathMatchType::Exact) => PathMatch::Exact(value.to_owned()),
        Some(PathMatchType::RegularExpression) => PathMatch::Regex(regex(value, place)?),
        Some(PathMatchType::PathPrefix) | None => match value.strip_suffix('/').unwrap_or(value) {
            "" => PathMatch::default(),
            // Kept as written, and refused.
            prefix if prefix.ends_with('/') => PathMatch::PathSeparatedPrefix(value.to_owned()),
            prefix => PathMatch::PathSeparatedPrefix(prefix.to_owned()),
        },
    })
}

/// A call of `service.Name/Method` is a request for `/service.Name/Method`.
fn grpc_path(written: &GrpcMethodMatch, place: &Place<'_>) -> Result<PathMatch, Finding> {
    let GrpcMethodMatch {
        r#type,
        service,
        method,
    } = written;
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let is_regex = *r#type == Some(ValueMatchType::RegularExpression);
    let escape = |text: &str| match is_regex {
        true => text.to_owned(),
        false => regex::escape(text),
    };
    Ok(match (filled(service), filled(method)) {
        (None, None) => {
            let message = "either a service or a method is needed; the match is left out";
            return Err(Refusal::new(Reason::UnsupportedValue, message).at(place));
        }
        (Some(service), Some(method)) if !is_regex => {
            PathMatch::Exact(format!("/{service}/{method}"))
        }
        (Some(service), None) if !is_regex => PathMatch::PathSeparatedPrefix(format!("/{service}")),
        (Some(service), None) => PathMatch::Regex(regex(&format!("/{service}/.+"), place)?),
        (None, Some(method)) => {
            PathMatch::Regex(regex(&format!("/[^/]+/{}", escape(&method)), place)?)
        }
        (Some(service), Some(method)) => {
            PathMatch::Regex(regex(&format!("/{service}/{method}"), place)?)
        }
    })
}

/// Of several conditions on one header the first counts.
fn push_header(name: &str, value: StringMatch, matches: &mut RouteMatch) {
    let name = name.to_ascii_lowercase();
    if matches.headers.iter().any(|known| known.name == name) {
        return;
    }
    matches.headers.push(HeaderMatch {
        name,
        value,
        invert: false,
        missing_as_empty: false,
    });
}

/// What is asked of a value that is there. As in a VirtualService, the expression `*` asks no more.
fn value(
    r#type: Option<ValueMatchType>,
    value: &str,
    place: &Place<'_>,
) -> Result<StringMatch, Finding> {
    match r#type {
        Some(ValueMatchType::RegularExpression) if value == "*" => Ok(StringMatch::Present),
        Some(ValueMatchType::RegularExpression) => Ok(regex(value, &place.field("value"))?.into()),
        Some(ValueMatchType::Exact) | None => Ok(StringMatch::exact(value)),
    }
}

fn regex(pattern: &str, place: &Place<'_>) -> Result<Regex, Finding> {
    Regex::parse(pattern).map_err(|error| {
        let message = format!("{error}; the match is left out");
        Refusal::new(Reason::UnsupportedValue, message).at(place)
    })
}
