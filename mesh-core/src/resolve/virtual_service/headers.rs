//! Header operations (`TranslateHeadersOperations`).

use std::collections::BTreeMap;

use http::HeaderName;

use crate::format_string::HeaderFormat;
use crate::header;
use crate::model::Notice;
use crate::model::filter::{HeaderMutation, HeaderMutations, HeaderOption};
use crate::resolve::place::Place;
use crate::resource::istio::virtual_service::{HeaderOperations, Headers};

/// The operations of one level, and the authority that they write, if they do.
///
/// All `set` come before all `add`, each by name. `:authority` and `Host` are no header fields to
/// write but a rewrite of the authority, `set` before `add`. A value with an operator that has none
/// here is not written, as Envoy does not write one that is empty.
pub(in crate::resolve) fn translate(
    written: &Headers,
    place: &Place<'_>,
    notices: &mut Vec<Notice>,
) -> Result<(HeaderMutations, Option<String>), Notice> {
    let mut mutations = HeaderMutations::default();
    let mut authority = None;
    if let Some(request) = &written.request {
        mutations.request = mutation(request, &place.field("request"), notices)?;
        let written = find_authority(&request.set).or_else(|| find_authority(&request.add));
        authority = written.map(str::to_owned);
    }
    if let Some(response) = &written.response {
        mutations.response = mutation(response, &place.field("response"), notices)?;
    }
    Ok((mutations, authority))
}

/// Puts the operations of the only destination behind those of the route.
pub(in crate::resolve) fn append(route: &mut HeaderMutations, destination: HeaderMutations) {
    for (route, destination) in [
        (&mut route.request, destination.request),
        (&mut route.response, destination.response),
    ] {
        route.remove.extend(destination.remove);
        route.options.extend(destination.options);
    }
}

fn find_authority(written: &BTreeMap<String, String>) -> Option<&str> {
    let mut authorities = written
        .iter()
        .filter(|(name, _)| header::is_authority(name));
    let (_, authority) = authorities.next()?;
    Some(authority.as_str()).filter(|authority| !authority.is_empty())
}

fn mutation(
    written: &HeaderOperations,
    place: &Place<'_>,
    notices: &mut Vec<Notice>,
) -> Result<HeaderMutation, Notice> {
    let mut mutation = HeaderMutation::default();
    let remove = place.field("remove");
    for (index, name) in written.remove.iter().enumerate() {
        if !header::is_internal(name) {
            mutation
                .remove
                .push(header_name(name, &remove.index(index))?);
        }
    }
    let mut options = |written: &BTreeMap<String, String>, field, option: MakeOption| {
        let place = place.field(field);
        for (name, value) in written
            .iter()
            .filter(|(name, _)| !header::is_internal(name))
        {
            let place = place.key(name);
            let header = header_name(name, &place)?;
            match value.parse::<HeaderFormat>() {
                Ok(value) => mutation.options.push(option(header, value)),
                Err(error) if error.is_without_value() => {
                    notices.push(place.notice(format_args!("the header is not written: {error}")));
                }
                Err(error) => {
                    return Err(place.notice(format_args!("the rule answers 500: {error}")));
                }
            }
        }
        Ok::<(), Notice>(())
    };
    options(&written.set, "set", HeaderOption::overwrite)?;
    options(&written.add, "add", HeaderOption::append)?;
    Ok(mutation)
}

type MakeOption = fn(HeaderName, HeaderFormat) -> HeaderOption;

fn header_name(name: &str, place: &Place<'_>) -> Result<HeaderName, Notice> {
    let refuse = |_| {
        place.notice(format_args!(
            "the rule answers 500: `{name}` is not a header name"
        ))
    };
    HeaderName::from_bytes(name.as_bytes()).map_err(refuse)
}
