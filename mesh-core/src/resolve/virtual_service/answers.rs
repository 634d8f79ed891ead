//! Rules that the proxy answers itself (`ApplyRedirect`, `ApplyDirectResponse`).

use bytes::Bytes;

use crate::base64;
use crate::model::Notice;
use crate::model::route::{DirectResponse, PathRewrite, Redirect};
use crate::resolve::place::Place;
use crate::resolve::virtual_service::context::RouteContext;
use crate::resource::istio::virtual_service::{
    HttpBody, HttpDirectResponse, HttpRedirect, RedirectPortSelection,
};

/// The redirect of a rule. A port that is the scheme's default is left out of it.
pub(super) fn redirect(
    context: &RouteContext<'_>,
    written: &HttpRedirect,
    place: &Place<'_>,
) -> Result<Redirect, Notice> {
    let HttpRedirect {
        uri,
        authority,
        port: _,
        derive_port: _,
        scheme,
        redirect_code,
        prefix_rewrite,
    } = written;
    let status = match redirect_code {
        0 => 301,
        301 | 302 | 303 | 307 | 308 => u16::try_from(*redirect_code).unwrap_or(301),
        other => {
            let message =
                format_args!("the rule answers 500: Istio does not redirect by `{other}`");
            return Err(place.field("redirectCode").notice(message));
        }
    };
    if !matches!(scheme.as_str(), "" | "http" | "https") {
        let message = format_args!("the rule answers 500: `{scheme}` is neither http nor https");
        return Err(place.field("scheme").notice(message));
    }
    let written_text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let prefix = written_text(prefix_rewrite).map(PathRewrite::Prefix);
    Ok(Redirect {
        status,
        scheme: written_text(scheme),
        host: written_text(authority),
        port: redirect_port(context, written, place)?,
        path: written_text(uri).map(PathRewrite::Full).or(prefix),
        strip_query: false,
    })
}

fn redirect_port(
    context: &RouteContext<'_>,
    written: &HttpRedirect,
    place: &Place<'_>,
) -> Result<Option<u16>, Notice> {
    let port = match (written.port, written.derive_port) {
        (Some(port), _) => {
            let refuse = |_| {
                let message = format_args!("the rule answers 500: `{port}` is not a port");
                place.field("port").notice(message)
            };
            Some(u16::try_from(port).map_err(refuse)?).filter(|port| *port != 0)
        }
        (None, Some(RedirectPortSelection::FromRequestPort)) => Some(context.port),
        (None, Some(RedirectPortSelection::FromProtocolDefault) | None) => None,
    };
    let is_tls = match written.scheme.as_str() {
        "" => context.tls,
        scheme => scheme == "https",
    };
    let default = if is_tls { 443 } else { 80 };
    Ok(port.filter(|port| *port != default))
}

/// The answer of a rule.
pub(super) fn direct_response(
    written: &HttpDirectResponse,
    place: &Place<'_>,
) -> Result<DirectResponse, Notice> {
    let status = u16::try_from(written.status).ok();
    let status = status
        .filter(|status| (200..600).contains(status))
        .ok_or_else(|| {
            let status = written.status;
            let message =
                format_args!("the rule answers 500: the status `{status}` is not from 200 to 599");
            place.field("status").notice(message)
        })?;
    let body = written.body.as_ref();
    let body = body
        .map(|body| self::body(body, &place.field("body")))
        .transpose()?;
    Ok(DirectResponse {
        status,
        body: body.filter(|body| !body.is_empty()),
    })
}

fn body(written: &HttpBody, place: &Place<'_>) -> Result<Bytes, Notice> {
    match (&written.string, &written.bytes) {
        (Some(text), _) => Ok(Bytes::from(text.clone())),
        (None, Some(text)) => {
            let refuse = || {
                place
                    .field("bytes")
                    .notice("the rule answers 500: not base64")
            };
            base64::decode(text).map(Bytes::from).ok_or_else(refuse)
        }
        (None, None) => Ok(Bytes::new()),
    }
}
