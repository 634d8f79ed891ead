//! Headers that concern one connection, and are not forwarded (RFC 9110 §7.6.1).
//!
//! They are `Connection` and what it names, `Keep-Alive`, `Proxy-Connection`,
//! `Transfer-Encoding`, `Upgrade`, and `TE` but for `trailers`, which gRPC asks for. As with
//! Envoy, `Trailer` and `Proxy-Authorization` are forwarded. Unlike Envoy, what the `Connection`
//! header of a *response* names is removed as well, and `Expect` of HTTP/2 clients is not forwarded:
//! they would wait for a `100 Continue` that hyper's server has no way to send, and the upstream for
//! them.
//!
//! # Example
//!
//! ```
//! use examples::headers::hop_by_hop::{Upgrades, remove_from_request};
//! use http::{HeaderMap, HeaderValue, Version};
//!
//! let mut headers = HeaderMap::new();
//! headers.insert("connection", HeaderValue::from_static("keep-alive, x-session"));
//! headers.insert("x-session", HeaderValue::from_static("7"));
//! headers.insert("te", HeaderValue::from_static("gzip, trailers"));
//! remove_from_request(&mut headers, Version::HTTP_11, &Upgrades::Any)?;
//! assert_eq!(headers.len(), 1);
//! assert_eq!(headers["te"], "trailers");
//! # Ok::<(), examples::headers::Refusal>(())
//! ```

use http::header::{CONNECTION, EXPECT, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::refusal::Refusal;

/// To which protocols a client may switch by `Upgrade`, or by extended `CONNECT` (RFC 8441).
///
/// A client may offer several; each has to be allowed. An upgrade to `h2c` is never made, and the
/// offer is removed, alone or among others: a server may ignore it (RFC 9110 §7.8).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Upgrades {
    /// To any that the upstream agrees to. Nothing judges what is said after the switch.
    Any,
    /// To these, in whatever case; others are refused.
    Only(Vec<String>),
}

/// To `websocket`, the only one that Istio allows.
impl Default for Upgrades {
    fn default() -> Self {
        Self::Only(vec!["websocket".to_owned()])
    }
}

impl Upgrades {
    /// What of the protocols that a client offers may be offered to the upstream, as one list; `None` if
    /// nothing is left.
    ///
    /// # Errors
    ///
    /// [`Refusal::Upgrade`] if one is not allowed.
    pub(super) fn offer<'a>(
        &self,
        protocols: impl Iterator<Item = &'a str>,
    ) -> Result<Option<HeaderValue>, Refusal> {
        let offered: Vec<&str> = protocols
            .map(str::trim)
            .filter(|protocol| !protocol.is_empty() && !protocol.eq_ignore_ascii_case("h2c"))
            .collect();
        if offered.is_empty() {
            return Ok(None);
        }
        if !offered.iter().all(|protocol| self.allows(protocol)) {
            return Err(Refusal::Upgrade);
        }
        let list = HeaderValue::try_from(offered.join(", "));
        list.map(Some).map_err(|_| Refusal::Upgrade)
    }

    /// Whether a client may switch to `protocol`.
    fn allows(&self, protocol: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(allowed) => allowed
                .iter()
                .any(|name| name.eq_ignore_ascii_case(protocol)),
        }
    }
}

/// Removes the headers of the client's connection, by which `version` is spoken. An offer to upgrade that
/// is allowed stays.
///
/// # Errors
///
/// - [`Refusal::TransferEncoding`] if the body is in another transfer coding than `chunked` alone: it is
///   forwarded as it is sent, and nobody would be told of the other.
/// - [`Refusal::Upgrade`] if the upgrade is not allowed.
pub fn remove_from_request(
    headers: &mut HeaderMap,
    version: Version,
    upgrades: &Upgrades,
) -> Result<(), Refusal> {
    let concerns_us = |name: &HeaderName| is_hop_by_hop(name) || *name == EXPECT;
    if !headers.keys().any(concerns_us) {
        return Ok(());
    }
    if version >= Version::HTTP_2 {
        headers.remove(EXPECT);
    }
    if !is_chunked_at_most(headers) {
        return Err(Refusal::TransferEncoding);
    }
    let upgrade = offered_upgrade(headers, upgrades)?;
    let takes_trailers = names(headers, &TE).any(|coding| coding.eq_ignore_ascii_case("trailers"));
    remove(headers);
    if takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    } else {
        headers.remove(TE);
    }
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
    Ok(())
}

/// Removes the headers of the upstream's connection, unless both ends `switch` protocols.
pub fn remove_from_response(headers: &mut HeaderMap, switch: bool) {
    if !headers.keys().any(is_hop_by_hop) {
        return;
    }
    let upgrade = headers.get(UPGRADE).filter(|_| switch).cloned();
    remove(headers);
    if let Some(upgrade) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "http2-settings"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// Whether there is no transfer coding, or `chunked` once.
fn is_chunked_at_most(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(is_chunked) && codings.next().is_none()
}

/// What is offered and may be accepted, as one list.
fn offered_upgrade(
    headers: &HeaderMap,
    upgrades: &Upgrades,
) -> Result<Option<HeaderValue>, Refusal> {
    let is_offered = names(headers, &CONNECTION).any(|name| name.eq_ignore_ascii_case("upgrade"));
    if !is_offered || !headers.contains_key(UPGRADE) {
        return Ok(None);
    }
    let mut lines = headers.get_all(UPGRADE).iter();
    if lines.any(|line| line.to_str().is_err()) {
        return Err(Refusal::Upgrade);
    }
    upgrades.offer(names(headers, &UPGRADE))
}

/// Removes all of them but `TE`, and what `Connection` nominates.
fn remove(headers: &mut HeaderMap) {
    let says_all = |line: &HeaderValue| [&b"close"[..], b"keep-alive"].contains(&line.as_bytes());
    let mut nominated = Vec::new();
    // Nearly always there is nothing else.
    if !headers.get_all(CONNECTION).iter().all(says_all) {
        let names = names(headers, &CONNECTION).filter_map(|name| name.parse().ok());
        // The host is no matter of a connection; nor is `TE` more than its name says.
        nominated.extend(names.filter(|name: &HeaderName| ![HOST, TE].contains(name)));
    }
    let always = [
        CONNECTION,
        HeaderName::from_static("http2-settings"),
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    // To look at all names once is less than to look up each of these.
    let mut is_there = [false; 6];
    for name in headers.keys() {
        if let Some(index) = always.iter().position(|one| one == name) {
            is_there[index] = true;
        }
    }
    let there = always.into_iter().zip(is_there);
    let there = there.filter_map(|(name, is_there)| is_there.then_some(name));
    for name in there.chain(nominated) {
        headers.remove(name);
    }
}

/// The members of the lists that the lines of a header are.
fn names<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_lose_what_concerns_the_connection() {
        for (case, before, after) in [
            ("nothing", "a: 1", "a: 1"),
            (
                "all names",
                "connection: close, keep-alive: x, a: 1",
                "a: 1",
            ),
            (
                "proxy",
                "proxy-connection: x, proxy-authorization: y",
                "proxy-authorization: y",
            ),
            ("nominated", "connection: B; c, b: 1, c: 2", ""),
            ("two lines", "connection: b, connection: c, b: 1, c: 2", ""),
            ("host", "connection: host, host: a", "host: a"),
            (
                "length",
                "transfer-encoding: chunked, trailer: t",
                "trailer: t",
            ),
            ("te", "te: gzip", ""),
            (
                "te trailers",
                "te: trailers; gzip, connection: te",
                "te: trailers",
            ),
            ("upgrade without connection", "upgrade: foo", ""),
            (
                "h2c",
                "connection: upgrade; http2-settings, upgrade: h2c, http2-settings: x",
                "",
            ),
            (
                "upgrade",
                "connection: keep-alive; Upgrade, upgrade: WebSocket",
                "connection: upgrade, upgrade: WebSocket",
            ),
        ] {
            let mut headers = map(before);
            remove_from_request(&mut headers, Version::HTTP_11, &Upgrades::Any).unwrap();
            assert_eq!(headers, map(after), "{case}");
        }
    }

    #[test]
    fn a_body_in_another_coding_than_chunked_is_refused() {
        for (codings, expected) in [
            ("transfer-encoding: chunked", Ok(())),
            ("transfer-encoding: Chunked", Ok(())),
            (
                "transfer-encoding: gzip; chunked",
                Err(Refusal::TransferEncoding),
            ),
            (
                "transfer-encoding: chunked; chunked",
                Err(Refusal::TransferEncoding),
            ),
            (
                "transfer-encoding: gzip, transfer-encoding: chunked",
                Err(Refusal::TransferEncoding),
            ),
            (
                "transfer-encoding: identity",
                Err(Refusal::TransferEncoding),
            ),
        ] {
            let mut headers = map(codings);
            let removed = remove_from_request(&mut headers, Version::HTTP_11, &Upgrades::Any);
            assert_eq!(removed, expected, "{codings}");
        }
    }

    #[test]
    fn only_http1_clients_are_told_to_continue() {
        for (version, after) in [
            (Version::HTTP_11, "expect: 100-continue, a: 1"),
            (Version::HTTP_2, "a: 1"),
        ] {
            let mut headers = map("expect: 100-continue, a: 1");
            remove_from_request(&mut headers, version, &Upgrades::Any).unwrap();
            assert_eq!(headers, map(after), "{version:?}");
        }
    }

    #[test]
    fn only_allowed_upgrades_pass() {
        for (protocols, left) in [
            ("WebSocket", Ok(Some("WebSocket"))),
            ("foo", Err(Refusal::Upgrade)),
            ("websocket; foo", Err(Refusal::Upgrade)),
            ("websocket, upgrade: foo", Err(Refusal::Upgrade)),
            ("h2c; foo", Err(Refusal::Upgrade)),
            ("h2c", Ok(None)),
            ("H2C;", Ok(None)),
            ("h2c; websocket", Ok(Some("websocket"))),
            ("websocket;h2c", Ok(Some("websocket"))),
            ("h2c, upgrade: websocket", Ok(Some("websocket"))),
        ] {
            let mut headers = map(&format!("connection: upgrade, upgrade: {protocols}"));
            let removed = remove_from_request(&mut headers, Version::HTTP_11, &Upgrades::default());
            let upgrade = removed.map(|()| headers.get(UPGRADE).cloned());
            let left = left.map(|left| left.map(HeaderValue::from_static));
            assert_eq!(upgrade, left, "{protocols}");
        }
    }

    #[test]
    fn an_upgrade_to_h2c_is_never_offered_whatever_is_allowed() {
        let mut headers = map("connection: upgrade, upgrade: h2c; x");
        remove_from_request(&mut headers, Version::HTTP_11, &Upgrades::Any).unwrap();
        assert_eq!(headers, map("connection: upgrade, upgrade: x"));
    }

    #[test]
    fn responses_lose_what_concerns_the_connection() {
        let all = "connection: upgrade; x, x: 1, upgrade: foo, trailer: t";
        let mut headers = map(all);
        remove_from_response(&mut headers, false);
        assert_eq!(headers, map("trailer: t"));

        let mut headers = map(all);
        remove_from_response(&mut headers, true);
        assert_eq!(
            headers,
            map("connection: upgrade, upgrade: foo, trailer: t")
        );
    }

    /// Headers separated by commas; a semicolon stands for a comma in a value.
    fn map(lines: &str) -> HeaderMap {
        let lines = lines.split(", ").filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let (name, value) = line.split_once(": ").unwrap();
                let value = value.replace(';', ",");
                (name.parse().unwrap(), value.parse().unwrap())
            })
            .fold(
                HeaderMap::new(),
                |mut map, (name, value): (HeaderName, HeaderValue)| {
                    map.append(name, value);
                    map
                },
            )
    }
}
