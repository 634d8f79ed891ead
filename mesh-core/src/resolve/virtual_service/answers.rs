//! Rules that the proxy answers itself (`ApplyRedirect`, `ApplyDirectResponse`).

use bytes::Bytes;

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
                format_args!("the rule is left out: Istio does not redirect by `{other}`");
            return Err(place.field("redirectCode").notice(message));
        }
    };
    if !matches!(scheme.as_str(), "" | "http" | "https") {
        let message = format_args!("the rule is left out: `{scheme}` is neither http nor https");
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
                let message = format_args!("the rule is left out: `{port}` is not a port");
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
                format_args!("the rule is left out: the status `{status}` is not from 200 to 599");
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
                    .notice("the rule is left out: not base64")
            };
            decode_base64(text).map(Bytes::from).ok_or_else(refuse)
        }
        (None, None) => Ok(Bytes::new()),
    }
}

/// Bytes in the JSON form of protobuf: base64 of RFC 4648, section 4 or 5, padded or not.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.as_bytes().chunks(4) {
        let mut group: u32 = 0;
        for digit in chunk {
            group = group << 6 | u32::from(base64_digit(*digit)?);
        }
        // Digits that are missing count as zero bits, of which no byte is made.
        group <<= 6 * (4 - chunk.len());
        let [_, decoded @ ..] = group.to_be_bytes();
        bytes.extend_from_slice(&decoded[..chunk.len() - 1]);
    }
    Some(bytes)
}

fn base64_digit(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_base64_with_either_alphabet() {
        // RFC 4648, section 10, and the digits in which the alphabets differ.
        for (text, bytes) in [
            ("", Some(&b""[..])),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9vYg", Some(b"foob")),
            ("+/+/", Some(b"\xfb\xff\xbf")),
            ("-_-_", Some(b"\xfb\xff\xbf")),
            ("Zm9vY", None),
            ("Zm9 v", None),
            ("====", None),
        ] {
            assert_eq!(decode_base64(text).as_deref(), bytes, "{text}");
        }
    }
}
