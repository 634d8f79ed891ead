//! Trust domains.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ParseSpiffeIdError, SpiffeId};
use crate::dns::{DnsNameError, is_label};

/// The longest trust domain, in bytes (SPIFFE-ID section 2.1).
const MAX_NAME_LEN: usize = 255;

/// The name of a trust domain, such as `cluster.local`. Cheap to clone.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustDomain(Arc<str>);

impl TrustDomain {
    /// Takes the name from Istio's `meshConfig.trustDomain`, where `@` stands for `.`
    /// (`spiffe.SetTrustDomain`).
    ///
    /// # Errors
    ///
    /// When the result is not a trust domain of SPIFFE. Istio accepts capitals here
    /// ([`validate_mesh_trust_domain`]) and then issues IDs that are none.
    pub fn from_mesh_config(text: &str) -> Result<Self, ParseSpiffeIdError> {
        text.replace('@', ".").parse()
    }

    /// Takes a name that was checked as part of an ID.
    pub(super) fn from_valid(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The SPIFFE ID of the trust domain itself, which has no path.
    #[must_use]
    pub fn id(&self) -> SpiffeId {
        SpiffeId::from_trust_domain(self)
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TrustDomain {
    type Err = ParseSpiffeIdError;

    /// Parses the name of a trust domain, or takes it from a SPIFFE ID.
    ///
    /// # Errors
    ///
    /// When the name is empty, longer than 255 bytes or has a character other than a lower-case
    /// letter, a digit, `.`, `-` and `_`; or those of [`SpiffeId`] when the text looks like one.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(":/") {
            return Ok(text.parse::<SpiffeId>()?.trust_domain());
        }
        validate_name(text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for TrustDomain {
    type Error = ParseSpiffeIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TrustDomain> for String {
    fn from(domain: TrustDomain) -> Self {
        domain.0.as_ref().to_owned()
    }
}

pub(super) fn validate_name(name: &str) -> Result<(), ParseSpiffeIdError> {
    if name.is_empty() {
        return Err(ParseSpiffeIdError::MissingTrustDomain);
    }
    if let Some(character) = name.chars().find(|c| !is_trust_domain_char(*c)) {
        return Err(ParseSpiffeIdError::TrustDomainCharacter { character });
    }
    if name.len() > MAX_NAME_LEN {
        return Err(ParseSpiffeIdError::TrustDomainTooLong { len: name.len() });
    }
    Ok(())
}

pub(super) const fn is_trust_domain_char(c: char) -> bool {
    matches!(c, 'a'..='z' | '0'..='9' | '.' | '-' | '_')
}

/// Checks a trust domain of the mesh configuration as Istio does: labels of RFC 1123 in any case,
/// with a trailing dot allowed (`ValidateTrustDomain`).
///
/// # Errors
///
/// When there is no text or a label is not one.
pub fn validate_mesh_trust_domain(name: &str) -> Result<(), DnsNameError> {
    if name.is_empty() {
        return Err(DnsNameError::Empty);
    }
    let labels = name.strip_suffix('.').unwrap_or(name);
    match labels.split('.').find(|label| !is_label(label)) {
        Some(label) => Err(DnsNameError::Label {
            name: name.to_owned(),
            label: label.to_owned(),
        }),
        None => Ok(()),
    }
}

/// The trust domain of a mesh and its other names.
///
/// ```
/// use mesh_core::identity::{SpiffeId, TrustDomains};
///
/// # fn main() -> Result<(), mesh_core::identity::ParseSpiffeIdError> {
/// let domains = TrustDomains::new("new.example".parse()?).with_alias("old.example".parse()?);
/// let id: SpiffeId = "spiffe://new.example/ns/prod/sa/reviews".parse()?;
///
/// let accepted: Vec<_> = domains.expand(&id).map(|id| id.to_string()).collect();
/// assert_eq!(accepted, [
///     "spiffe://new.example/ns/prod/sa/reviews",
///     "spiffe://old.example/ns/prod/sa/reviews",
/// ]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TrustDomains {
    // The local one first, none twice.
    domains: Vec<TrustDomain>,
}

impl TrustDomains {
    /// Takes the trust domain that the mesh issues identities in.
    #[must_use]
    pub fn new(local: TrustDomain) -> Self {
        Self {
            domains: vec![local],
        }
    }

    /// Adds another name of the same trust domain (`meshConfig.trustDomainAliases`).
    #[must_use]
    pub fn with_alias(mut self, alias: TrustDomain) -> Self {
        if !self.contains(&alias) {
            self.domains.push(alias);
        }
        self
    }

    /// The trust domain that the mesh issues identities in.
    #[must_use]
    pub fn local(&self) -> &TrustDomain {
        &self.domains[0]
    }

    /// The local trust domain, then the aliases, none twice.
    pub fn iter(&self) -> impl Iterator<Item = &TrustDomain> {
        self.domains.iter()
    }

    /// Whether the trust domain is the local one or an alias.
    #[must_use]
    pub fn contains(&self, domain: &TrustDomain) -> bool {
        self.domains.contains(domain)
    }

    /// The identities that count as `id`: itself, and when it is that of a service account the same
    /// account in each of these trust domains (`ExpandWithTrustDomains`).
    pub fn expand(&self, id: &SpiffeId) -> impl Iterator<Item = SpiffeId> {
        let is_account = id.service_account().is_some();
        let others = self
            .iter()
            .filter(move |domain| is_account && !id.is_member_of(domain));
        // An identity that becomes too long in another trust domain cannot be presented either.
        let others = others.filter_map(|domain| id.with_trust_domain(domain).ok());
        std::iter::once(id.clone()).chain(others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trust_domain_may_be_taken_from_an_id() {
        for text in ["td", "spiffe://td", "spiffe://td/path"] {
            let domain: TrustDomain = text.parse().unwrap();
            assert_eq!(domain.as_str(), "td", "{text}");
            assert_eq!(domain.id().as_str(), "spiffe://td", "{text}");
        }
        for text in [
            "",
            "TD",
            "a/b",
            "a:80",
            "spiffe:/td",
            "spiffe://td/",
            "spiffe://",
        ] {
            assert!(text.parse::<TrustDomain>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_at_sign_stands_for_a_dot_in_mesh_config() {
        let domain = TrustDomain::from_mesh_config("td@example").unwrap();
        assert_eq!(domain.as_str(), "td.example");
        assert!("td@example".parse::<TrustDomain>().is_err());
    }

    #[test]
    fn mesh_config_takes_labels_in_any_case() {
        for name in ["cluster.local", "Cluster", "a.b.", "1"] {
            assert!(validate_mesh_trust_domain(name).is_ok(), "{name}");
        }
        for name in ["", ".", "a/b", "a..b", "a_b", "-a"] {
            assert!(validate_mesh_trust_domain(name).is_err(), "{name}");
        }
    }

    #[test]
    fn only_service_accounts_have_aliases() {
        let domains = TrustDomains::new("a".parse().unwrap())
            .with_alias("b".parse().unwrap())
            .with_alias("a".parse().unwrap());
        let expand = |id: &str| {
            let id: SpiffeId = id.parse().unwrap();
            domains
                .expand(&id)
                .map(|id| id.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            expand("spiffe://b/ns/x/sa/y"),
            ["spiffe://b/ns/x/sa/y", "spiffe://a/ns/x/sa/y"],
        );
        assert_eq!(expand("spiffe://a/other"), ["spiffe://a/other"]);
        assert_eq!(expand("spiffe://c/ns/x/sa/y").len(), 3);
    }
}
