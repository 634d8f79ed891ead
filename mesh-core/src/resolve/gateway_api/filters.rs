//! What happens to requests on the way to a backend, or instead of it.

use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::matcher::{Regex, RegexRewrite, StringMatch};
use crate::model::filter::{CorsPolicy, HeaderMutations, Mirror};
use crate::model::route::{PathMatch, PathRewrite, Redirect};
use crate::percent::Percent;
use crate::resolve::gateway_api::backend::RuleContext;
use crate::resolve::gateway_api::finding::Finding;
use crate::resolve::gateway_api::headers;
use crate::resolve::gateway_api::rule::Filter;
use crate::resolve::place::Place;
use crate::resource::gateway_api::cors_filter::{CorsMethod, HttpCorsFilter};
use crate::resource::gateway_api::http_filter::{
    HttpPathModifier, HttpPathModifierType, HttpRequestMirrorFilter, HttpRequestRedirectFilter,
    RedirectScheme,
};

/// Any origin (RFC 6454, section 7), for `*`.
const ANY_ORIGIN: &str = r"^[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s?#]+$";
/// Seconds for which the answer to a preflight may be remembered.
const CORS_MAX_AGE: u32 = 5;

/// What the filters of a rule amount to.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters<'a> {
    /// Changes to headers.
    pub(super) headers: HeaderMutations,
    /// The authority that replaces the request's.
    pub(super) authority: Option<String>,
    /// Whether there is a URLRewrite among them.
    pub(super) is_rewriting: bool,
    /// An answer instead of the backend's, but for its path.
    pub(super) redirect: Option<Redirect>,
    /// The change to the path, of the redirect if there is one.
    pub(super) path: Option<&'a HttpPathModifier>,
    /// Copies of the request.
    pub(super) mirrors: Vec<Mirror>,
    /// Cross-origin rules.
    pub(super) cors: Option<Box<CorsPolicy>>,
}

/// What `filters`, at `place`, amount to.
///
/// # Errors
///
/// Which of them is not supported: none may be skipped, so that the rule as a whole fails. A mirror
/// whose backend is refused is left out though, with a finding.
pub(super) fn translate<'a>(
    context: &RuleContext<'_>,
    filters: &[Filter<'a>],
    place: &Place<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Filters<'a>, Finding> {
    let mut all = Filters::default();
    for (index, filter) in filters.iter().enumerate() {
        let place = place.index(index);
        match *filter {
            Filter::Mirror(written) => match mirror(context, written, &place) {
                Ok(mirror) => all.mirrors.extend(mirror),
                Err(refusal) => {
                    let place = place.field("requestMirror");
                    findings.push(refusal.at(&place.field("backendRef")));
                }
            },
            ref other => {
                let added = add(context, other, &place, &mut all);
                added.map_err(|refusal| refusal.at(&place))?;
            }
        }
    }
    Ok(all)
}

fn add<'a>(
    context: &RuleContext<'_>,
    filter: &Filter<'a>,
    place: &Place<'_>,
    all: &mut Filters<'a>,
) -> Result<(), Refusal> {
    match *filter {
        Filter::Cors(written) => all.cors = Some(Box::new(cors(written, place)?)),
        Filter::Redirect(written) => {
            all.redirect = Some(redirect(context, written)?);
            all.path = written.path.as_ref();
        }
        Filter::RequestHeaders(written) => {
            let (mutation, authority) = headers::translate(written)?;
            all.headers.request = mutation;
            all.authority = all.authority.take().or(authority);
        }
        Filter::ResponseHeaders(written) => {
            (all.headers.response, _) = headers::translate(written)?;
        }
        Filter::Rewrite(written) => {
            all.is_rewriting = true;
            all.path = written.path.as_ref();
            let hostname = written.hostname.clone();
            all.authority = hostname.or_else(|| all.authority.take());
        }
        Filter::Mirror(_) => {}
        Filter::Unsupported(name) => {
            let message = format!("unsupported filter type \"{name}\"");
            return Err(Refusal::new(Reason::InvalidFilter, message));
        }
    }
    Ok(())
}

fn mirror(
    context: &RuleContext<'_>,
    written: &HttpRequestMirrorFilter,
    place: &Place<'_>,
) -> Result<Option<Mirror>, Refusal> {
    let backend = context.backend(&(&written.backend_ref).into())?;
    let share = match (&written.fraction, written.percent) {
        (Some(fraction), _) => {
            let denominator = fraction.denominator.unwrap_or(100);
            f64::from(fraction.numerator) * 100.0 / f64::from(denominator)
        }
        (None, Some(percent)) => f64::from(percent),
        (None, None) => 100.0,
    };
    let refuse = |error| Refusal::new(Reason::InvalidFilter, format!("{error}"));
    let percent = Percent::new(share).map_err(refuse)?;
    let mirror = Mirror {
        cluster: backend.cluster(),
        percent,
        origin: place.origin(),
    };
    Ok((percent > Percent::ZERO).then_some(mirror))
}

/// The redirect, but for its path. Without a port it is to that of the scheme, if one is written,
/// else to that of the listener.
fn redirect(
    context: &RuleContext<'_>,
    written: &HttpRequestRedirectFilter,
) -> Result<Redirect, Refusal> {
    let HttpRequestRedirectFilter {
        scheme,
        hostname,
        path: _,
        port,
        status_code,
    } = written;
    let status = status_code.unwrap_or(302);
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        let message = format!("`{status}` is no status of a redirect");
        return Err(Refusal::new(Reason::InvalidFilter, message));
    }
    let is_tls = scheme.map_or(context.tls, |scheme| scheme == RedirectScheme::Https);
    let default = if is_tls { 443 } else { 80 };
    let port = port.filter(|port| *port != 0);
    let port = match (port, scheme, hostname) {
        (Some(port), ..) => Some(port).filter(|port| *port != default),
        (None, None, _) => Some(context.port).filter(|port| *port != default),
        // So that the port of the request's host does not stay.
        (None, Some(_), None) => Some(default),
        (None, Some(_), Some(_)) => None,
    };
    let scheme = scheme.map(|scheme| match scheme {
        RedirectScheme::Http => "http".to_owned(),
        RedirectScheme::Https => "https".to_owned(),
    });
    Ok(Redirect {
        status,
        scheme,
        host: hostname.clone(),
        port,
        path: None,
        strip_query: false,
    })
}

/// The change to the path of requests that `matched` took (`createRewriteFilter`).
pub(super) fn path_rewrite(written: &HttpPathModifier, matched: &PathMatch) -> Option<PathRewrite> {
    match written.r#type? {
        HttpPathModifierType::ReplaceFullPath => {
            written.replace_full_path.clone().map(PathRewrite::Full)
        }
        HttpPathModifierType::ReplacePrefixMatch => {
            let prefix = written.replace_prefix_match.as_deref()?;
            Some(replace_prefix(prefix.trim_end_matches('/'), matched))
        }
    }
}

/// Neither two slashes nor none stand where the prefix ended.
fn replace_prefix(prefix: &str, matched: &PathMatch) -> PathRewrite {
    let segments = match matched {
        PathMatch::PathSeparatedPrefix(segments) => segments.as_str(),
        // The prefix `/`, of which the slash has to stay.
        _ => return PathRewrite::Prefix(format!("{prefix}/")),
    };
    if !prefix.is_empty() {
        return PathRewrite::Prefix(prefix.to_owned());
    }
    let pattern = format!("^{}(/?)(.*)", regex::escape(segments));
    match RegexRewrite::parse(&pattern, r"/\2") {
        Ok(rewrite) => PathRewrite::Regex(rewrite),
        // Not reached with a pattern of escaped text.
        Err(_) => PathRewrite::Prefix("/".to_owned()),
    }
}

fn cors(written: &HttpCorsFilter, place: &Place<'_>) -> Result<CorsPolicy, Refusal> {
    let HttpCorsFilter {
        allow_origins,
        allow_credentials,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
    } = written;
    let mut policy = CorsPolicy::new(place.origin());
    for origin in allow_origins.iter().filter(|origin| !origin.is_empty()) {
        policy.allow_origins.push(allowed_origin(origin)?);
    }
    let methods = allow_methods.iter().copied().map(CorsMethod::as_str);
    policy.allow_methods = methods.collect::<Vec<_>>().join(",");
    policy.allow_headers = allow_headers.join(",");
    policy.expose_headers = expose_headers.join(",");
    policy.max_age = Some(max_age.unwrap_or(CORS_MAX_AGE).into());
    policy.allow_credentials = allow_credentials.unwrap_or(false);
    policy.forward_unmatched_preflights = false;
    Ok(policy)
}

fn allowed_origin(origin: &str) -> Result<StringMatch, Refusal> {
    let pattern = match origin {
        "*" => ANY_ORIGIN.to_owned(),
        _ if !origin.contains('*') => return Ok(StringMatch::exact(origin)),
        _ => match origin.strip_suffix('*') {
            Some(prefix) if !prefix.contains('*') => return Ok(StringMatch::prefix(prefix)),
            _ => {
                let parts: Vec<_> = origin.split('*').map(regex::escape).collect();
                format!("^{}$", parts.join(".*"))
            }
        },
    };
    let refuse = |error| Refusal::new(Reason::InvalidFilter, format!("{error}"));
    Ok(Regex::parse(&pattern).map_err(refuse)?.into())
}
