//! Changes to headers (`createHeadersFilter`).

use std::collections::HashSet;

use http::HeaderName;

use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::format_string::HeaderFormat;
use crate::header;
use crate::model::filter::{HeaderMutation, HeaderOption};
use crate::resource::gateway_api::http_filter::{HttpHeader, HttpHeaderFilter};

/// The changes, and the authority that they write, if they do.
///
/// `Host` is no header to write but a rewrite of the authority.
pub(super) fn translate(
    written: &HttpHeaderFilter,
) -> Result<(HeaderMutation, Option<String>), Refusal> {
    let HttpHeaderFilter { set, add, remove } = written;
    let mut mutation = HeaderMutation::default();
    for name in remove.iter().filter(|name| !header::is_internal(name)) {
        mutation.remove.push(header_name(name)?);
    }
    push(set, HeaderOption::overwrite, &mut mutation)?;
    push(add, HeaderOption::append, &mut mutation)?;
    let mut written = set.iter().chain(add);
    let authority = written.find(|found| header::is_authority(&found.name));
    let authority = authority.map(|found| found.value.clone());
    Ok((mutation, authority.filter(|value| !value.is_empty())))
}

/// Of several entries for one header the first counts.
fn push(
    written: &[HttpHeader],
    option: fn(HeaderName, HeaderFormat) -> HeaderOption,
    mutation: &mut HeaderMutation,
) -> Result<(), Refusal> {
    let mut seen = HashSet::new();
    for HttpHeader { name, value } in written {
        if header::is_internal(name) {
            continue;
        }
        let written = name;
        let name = header_name(name)?;
        if !seen.insert(name.clone()) {
            continue;
        }
        if value
            .bytes()
            .any(|byte| byte != b'\t' && byte.is_ascii_control())
        {
            let message = format!("header \"{written}\" value contains invalid characters");
            return Err(Refusal::new(Reason::InvalidFilter, message));
        }
        let refuse = |error| Refusal::new(Reason::InvalidFilter, format!("{error}"));
        let value: HeaderFormat = value.parse().map_err(refuse)?;
        mutation.options.push(option(name, value));
    }
    Ok(())
}

fn header_name(name: &str) -> Result<HeaderName, Refusal> {
    let refuse = |_| Refusal::new(Reason::InvalidFilter, format!("`{name}` is no header name"));
    HeaderName::from_bytes(name.as_bytes()).map_err(refuse)
}
