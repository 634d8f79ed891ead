//! Match blocks of HTTP rules (`TranslateRouteMatch`).

use std::collections::BTreeMap;

use crate::header::{self, RoutingClaim};
use crate::matcher::{self, Regex};
use crate::model::Notice;
use crate::model::route::{ClaimMatch, HeaderMatch, PathMatch, QueryParamMatch, RouteMatch};
use crate::resolve::place::Place;
use crate::resource::istio::string_match::StringMatch;
use crate::resource::istio::virtual_service::HttpMatchRequest;

/// The condition of a match block on requests.
pub(in crate::resolve) fn translate(
    block: &HttpMatchRequest,
    place: &Place<'_>,
) -> Result<RouteMatch, Notice> {
    let mut matches = RouteMatch {
        ignore_path_case: block.ignore_uri_case,
        method: optional(block.method.as_ref(), &place.field("method"))?,
        scheme: optional(block.scheme.as_ref(), &place.field("scheme"))?,
        authority: optional(block.authority.as_ref(), &place.field("authority"))?,
        ..RouteMatch::default()
    };
    if let Some(uri) = &block.uri {
        matches.path = path_match(uri, false, &place.field("uri"))?;
    }
    header_matches(&block.headers, &place.field("headers"), false, &mut matches)?;
    let without = place.field("withoutHeaders");
    header_matches(&block.without_headers, &without, true, &mut matches)?;
    matches.headers.sort_by(|a, b| a.name.cmp(&b.name));
    let params = place.field("queryParams");
    for (name, written) in &block.query_params {
        let value = string_match(written, &params.key(name))?;
        let name = name.clone();
        matches.query_params.push(QueryParamMatch { name, value });
    }
    Ok(matches)
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
            return Err(place.notice("the rule is left out: an empty prefix is refused here"));
        }
        (_, Some(prefix), _) => matcher::StringMatch::prefix(prefix),
        (.., Some("*") | None) => matcher::StringMatch::Present,
        (.., Some(pattern)) => regex(pattern, place)?.into(),
    })
}

/// An expression of a rule.
pub(in crate::resolve) fn regex(pattern: &str, place: &Place<'_>) -> Result<Regex, Notice> {
    if pattern.is_empty() {
        return Err(place.notice("the rule is left out: the expression is empty"));
    }
    let refuse = |error| place.notice(format_args!("the rule is left out: {error}"));
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
        let message = "the rule is left out: only one of exact, prefix and regex may be set";
        return Err(place.notice(message));
    }
    Ok(())
}

fn header_matches(
    written: &BTreeMap<String, StringMatch>,
    place: &Place<'_>,
    invert: bool,
    matches: &mut RouteMatch,
) -> Result<(), Notice> {
    for (name, condition) in written {
        let place = place.key(name);
        let value = string_match(condition, &place)?;
        if let Some(claim) = RoutingClaim::parse(name) {
            matches.claims.push(ClaimMatch {
                path: claim.path().to_vec(),
                value,
                invert,
            });
            continue;
        }
        header::validate_match_name(name)
            .map_err(|error| place.notice(format_args!("the rule is left out: {error}")))?;
        matches.headers.push(HeaderMatch {
            name: name.to_ascii_lowercase(),
            missing_as_empty: invert && value != matcher::StringMatch::Present,
            value,
            invert,
        });
    }
    Ok(())
}
