//! Cross-origin rules (`TranslateCORSPolicy`).

use crate::matcher;
use crate::model::Notice;
use crate::model::filter::CorsPolicy;
use crate::resolve::place::Place;
use crate::resolve::virtual_service::matches;
use crate::resource::istio::virtual_service::{CorsPolicy as Written, UnmatchedPreflights};

/// The policy of a rule. The deprecated `allowOrigin` counts only without `allowOrigins`.
pub(in crate::resolve) fn translate(
    written: &Written,
    place: &Place<'_>,
) -> Result<CorsPolicy, Notice> {
    let Written {
        allow_origin,
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials,
        unmatched_preflights,
    } = written;
    let mut policy = CorsPolicy::new(place.origin());
    let list = place.field("allowOrigins");
    for (index, origin) in allow_origins.iter().enumerate() {
        // One that says nothing allows no origin.
        if !origin.is_empty() {
            let origin = matches::string_match(origin, &list.index(index))?;
            policy.allow_origins.push(origin);
        }
    }
    if allow_origins.is_empty() {
        policy.allow_origins = allow_origin
            .iter()
            .map(matcher::StringMatch::exact)
            .collect();
    }
    policy.allow_methods = allow_methods.join(",");
    policy.allow_headers = allow_headers.join(",");
    policy.expose_headers = expose_headers.join(",");
    policy.max_age = max_age.map(|age| u64::try_from(age.as_secs()).unwrap_or(0));
    policy.allow_credentials = allow_credentials.unwrap_or(false);
    policy.forward_unmatched_preflights = match unmatched_preflights {
        UnmatchedPreflights::Unspecified | UnmatchedPreflights::Forward => true,
        UnmatchedPreflights::Ignore => false,
    };
    Ok(policy)
}
