//! Hosts, and Istio's wildcard names for them.
//!
//! A [`Host`] is one name or address. A [`HostPattern`] is what configuration writes: a name, or
//! `*` followed by a suffix. Istio's wildcard is the plain suffix test of
//! `pkg/config/host/name.go`: `*.example.com` matches `a.b.example.com` at any depth and not
//! `example.com`, and `*-shop.example.com` is as good a wildcard. Envoy's order among the domains
//! of virtual hosts is another matter and belongs to the route table.
//!
//! Names are compared in lower case, to which both types convert.
//!
//! # Example
//!
//! ```
//! use mesh_core::host::{self, HostPattern};
//!
//! let gateway = [HostPattern::new("*.example.com")];
//! let service = [HostPattern::new("shop.example.com"), HostPattern::new("shop.example.org")];
//!
//! // What a gateway serves of a VirtualService is the narrower name of each pair.
//! let served = host::intersection(&gateway, &service);
//! assert_eq!(served, [HostPattern::new("shop.example.com")]);
//!
//! assert_eq!(
//!     host::resolve_short_name("reviews", "prod", "cluster.local"),
//!     "reviews.prod.svc.cluster.local",
//! );
//! ```

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::dns::MAX_NAME_LEN;

mod resolve;
mod scoped;

pub use resolve::{MESH_GATEWAY, resolve_gateway_name, resolve_short_name};
pub use scoped::{NamespaceScope, ParseScopedHostError, ScopedHost};

/// One domain name in lower case, or one address.
///
/// The characters of a name are those that occur in practice, including the underscore, and not
/// only those of RFC 1123; [`dns`](crate::dns) has the stricter rules of configuration.
///
/// ```
/// use mesh_core::host::Host;
///
/// # fn main() -> Result<(), mesh_core::host::ParseHostError> {
/// let host: Host = "Shop.example.com".parse()?;
/// assert_eq!(host.as_str(), "shop.example.com");
/// assert!("[::1]".parse::<Host>()?.ip().is_some());
/// assert!("*.example.com".parse::<Host>().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Host {
    text: Arc<str>,
    ip: Option<IpAddr>,
}

impl Host {
    /// The name in lower case, or the address without brackets.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address, when this is one.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        self.ip
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self {
            text: ip.to_string().into(),
            ip: Some(ip),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Host {
    type Err = ParseHostError;

    /// Parses a name or an address; an IPv6 address may stand in brackets, as in a URI.
    ///
    /// # Errors
    ///
    /// When the text is empty, longer than 255 bytes, has an empty label before its end or a
    /// character that is not a letter, a digit, `-`, `_` or `.`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'))
            .filter(|text| text.contains(':'))
            .unwrap_or(text);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(ip.into());
        }
        let labels = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| !label.is_empty() && label.bytes().all(is_host_byte);
        if text.len() > MAX_NAME_LEN || !labels.split('.').all(is_label) {
            let text = text.to_owned();
            return Err(ParseHostError { text });
        }
        Ok(Self {
            text: lower(text).into(),
            ip: None,
        })
    }
}

impl TryFrom<String> for Host {
    type Error = ParseHostError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.text.as_ref().to_owned()
    }
}

const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The text is neither a name nor an address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is neither a host name nor an address")]
#[non_exhaustive]
pub struct ParseHostError {
    /// The text as given.
    pub text: String,
}

/// A name as configuration writes it: exact, or a wildcard that begins with `*`.
///
/// Any text makes a pattern, as any text makes a `host.Name` in Istio: what is not a domain name
/// only matches itself. [`dns::validate_wildcard_domain`](crate::dns::validate_wildcard_domain)
/// says which texts are domain names.
///
/// The order of the type is that of the text; [`cmp_specificity`](Self::cmp_specificity) is the
/// order in which patterns are considered.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(from = "String", into = "String")]
pub struct HostPattern(Arc<str>);

impl HostPattern {
    /// Takes a name or a wildcard, in any case.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(lower(text).into())
    }

    /// The pattern in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern begins with `*`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.suffix().is_some()
    }

    /// What follows the `*` of a wildcard.
    #[must_use]
    pub fn suffix(&self) -> Option<&str> {
        self.0.strip_prefix('*')
    }

    /// Whether the pattern covers one host, which has to be in lower case.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        match self.suffix() {
            Some(suffix) => host.ends_with(suffix),
            None => host == self.as_str(),
        }
    }

    /// Whether one of the two patterns covers the other (`Name.Matches`).
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.is_subset_of(other) || other.is_subset_of(self)
    }

    /// Whether `other` covers all that this pattern covers (`Name.SubsetOf`).
    ///
    /// As in Istio, a wildcard is never a subset of a name, and a name may be one of a wildcard
    /// with an equal or shorter suffix.
    #[must_use]
    pub fn is_subset_of(&self, other: &Self) -> bool {
        match (self.suffix(), other.suffix()) {
            (Some(narrow), Some(broad)) => narrow.ends_with(broad),
            (Some(_), None) => false,
            (None, _) => other.covers(self.as_str()),
        }
    }

    /// Orders the more specific pattern first: a name before a wildcard, a longer text before a
    /// shorter one, then by text (`host.Names`, `MoreSpecific`).
    #[must_use]
    pub fn cmp_specificity(&self, other: &Self) -> Ordering {
        self.is_wildcard()
            .cmp(&other.is_wildcard())
            .then_with(|| other.0.len().cmp(&self.0.len()))
            .then_with(|| self.cmp(other))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for HostPattern {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for HostPattern {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.0.as_ref().to_owned()
    }
}

impl From<Host> for HostPattern {
    fn from(host: Host) -> Self {
        Self(host.text)
    }
}

/// The narrower pattern of each pair that match, without repetition, in the order of `left`
/// (`host.Names.Intersection`).
#[must_use]
pub fn intersection(left: &[HostPattern], right: &[HostPattern]) -> Vec<HostPattern> {
    let mut narrower: Vec<HostPattern> = Vec::new();
    for a in left {
        for b in right {
            let pattern = match (a.is_subset_of(b), b.is_subset_of(a)) {
                (true, _) => a,
                (false, true) => b,
                (false, false) => continue,
            };
            if !narrower.contains(pattern) {
                narrower.push(pattern.clone());
            }
        }
    }
    narrower
}

/// The candidate that covers `needle` most narrowly: `needle` itself when it is one, else the
/// wildcard that comes first by specificity (`MostSpecificHostMatch`).
pub fn most_specific_match<'a>(
    needle: &HostPattern,
    candidates: impl IntoIterator<Item = &'a HostPattern>,
) -> Option<&'a HostPattern> {
    candidates
        .into_iter()
        .filter(|candidate| needle.is_subset_of(candidate))
        .min_by(|a, b| a.cmp_specificity(b))
}

fn lower(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests;
