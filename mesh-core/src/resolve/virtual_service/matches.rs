//! Match blocks of HTTP rules (`TranslateRouteMatch`).

use crate::header::{self, RoutingClaim};
use crate::matcher::{self, Regex};
use crate::model::Notice;
use crate::model::route::{ClaimMatch, HeaderMatch, PathMatch, QueryParamMatch, RouteMatch};
use crate::resolve::place::Place;
use crate::resource::istio::string_match::StringMatch;
use crate::resource::istio::virtual_service::HttpMatchRequest;

/// The condition of a match block on requests.
#[derive(Debug)]
pub(in crate::resolve) struct Condition {
    /// What is asked of a request. It is wider than what is written where something was refused.
    pub(in crate::resolve) matches: RouteMatch,
    /// What cannot be asked.
    pub(in crate::resolve) refused: Vec<Notice>,
}

/// The condition of a match block. A part that is refused asks nothing, so that no request that the
/// block may be meant for is left to later rules.
pub(in crate::resolve) fn translate(block: &HttpMatchRequest, place: &Place<'_>) -> Condition {
    let mut refused = Vec::new();
    let mut text = |written: &Option<StringMatch>, field| {
        let found = optional(written.as_ref(), &place.field(field));
        or_default(found, &mut refused)
    };
    let mut matches = RouteMatch {
        ignore_path_case: block.ignore_uri_case,
        method: text(&block.method, "method"),
        scheme: text(&block.scheme, "scheme"),
        authority: text(&block.authority, "authority"),
        ..RouteMatch::default()
    };
    if let Some(uri) = &block.uri {
        let path = path_match(uri, false, &place.field("uri"));
        matches.path = or_default(path, &mut refused);
    }
    for (field, written, invert) in [
        ("headers", &block.headers, false),
        ("withoutHeaders", &block.without_headers, true),
    ] {
        let place = place.field(field);
        for (name, value) in written {
            let found = header_match((name, value), &place.key(name), invert, &mut matches);
            or_default(found, &mut refused);
        }
    }
    matches.headers.sort_by(|a, b| a.name.cmp(&b.name));
    let params = place.field("queryParams");
    for (name, written) in &block.query_params {
        match string_match(written, &params.key(name)) {
            Ok(value) => matches.query_params.push(QueryParamMatch {
                name: name.clone(),
                value,
            }),
            Err(notice) => refused.push(notice),
        }
    }
    Condition { matches, refused }
}

fn or_default<T: Default>(found: Result<T, Notice>, refused: &mut Vec<Notice>) -> T {
    found.unwrap_or_else(|notice| {
        refused.push(notice);
        T::default()
    })
}

/// The condition of a `uri`. Prefixes are of whole path segments if `segments` says so, as those of
/// Kubernetes Ingresses and the Gateway API are.
pub(in crate::resolve) fn path_match(
    uri: &StringMatch,
    segments: bool,
    place: &Place<'_>,
) -> Result<PathMatch, Notice> {
    only_one_member(uri, place)?;
    if let Some(exact) = &uri.exact {
        return Ok(PathMatch::Exact(exact.clone()));
    }
    if let Some(pattern) = &uri.regex {
        return Ok(PathMatch::Regex(regex(pattern, place)?));
    }
    Ok(match uri.prefix.as_deref() {
        None => PathMatch::default(),
        Some(prefix) if segments && prefix != "/" => {
            let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
            PathMatch::PathSeparatedPrefix(prefix.to_owned())
        }
        Some(prefix) => PathMatch::Prefix(prefix.to_owned()),
    })
}

/// What a StringMatch asks of the value of a header field or query parameter, which is there. An
/// empty one and the expression `*` ask no more.
pub(in crate::resolve) fn string_match(
    written: &StringMatch,
    place: &Place<'_>,
) -> Result<matcher::StringMatch, Notice> {
    only_one_member(written, place)?;
    let StringMatch {
        exact,
        prefix,
        regex: pattern,
    } = written;
    Ok(match (exact, prefix, pattern.as_deref()) {
        (Some(exact), ..) => matcher::StringMatch::exact(exact),
        (_, Some(prefix), _) if prefix.is_empty() => {
            return Err(place.notice("the rule answers 500: an empty prefix is refused here"));
        }
        (_, Some(prefix), _) => matcher::StringMatch::prefix(prefix),
        (.., Some("*") | None) => matcher::StringMatch::Present,
        (.., Some(pattern)) => regex(pattern, place)?.into(),
    })
}

/// An expression of a rule.
pub(in crate::resolve) fn regex(pattern: &str, place: &Place<'_>) -> Result<Regex, Notice> {
    if pattern.is_empty() {
        return Err(place.notice("the rule answers 500: the expression is empty"));
    }
    let refuse = |error| place.notice(format_args!("the rule answers 500: {error}"));
    Regex::parse(pattern).map_err(refuse)
}

fn optional(
    written: Option<&StringMatch>,
    place: &Place<'_>,
) -> Result<Option<matcher::StringMatch>, Notice> {
    written
        .map(|written| string_match(written, place))
        .transpose()
}

fn only_one_member(written: &StringMatch, place: &Place<'_>) -> Result<(), Notice> {
    let StringMatch {
        exact,
        prefix,
        regex,
    } = written;
    let members = [exact, prefix, regex];
    if members.into_iter().flatten().count() > 1 {
        let message = "the rule answers 500: only one of exact, prefix and regex may be set";
        return Err(place.notice(message));
    }
    Ok(())
}

fn header_match(
    (name, condition): (&str, &StringMatch),
    place: &Place<'_>,
    invert: bool,
    matches: &mut RouteMatch,
) -> Result<(), Notice> {
    let value = string_match(condition, place)?;
    if let Some(claim) = RoutingClaim::parse(name) {
        matches.claims.push(ClaimMatch {
            path: claim.path().to_vec(),
            value,
            invert,
        });
        return Ok(());
    }
    header::validate_match_name(name)
        .map_err(|error| place.notice(format_args!("the rule answers 500: {error}")))?;
    matches.headers.push(HeaderMatch {
        name: name.to_ascii_lowercase(),
        missing_as_empty: invert && value != matcher::StringMatch::Present,
        value,
        invert,
    });
    Ok(())
}
