//! SPIFFE IDs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::TrustDomain;
use super::trust_domain::{is_trust_domain_char, validate_name};

const SCHEME: &str = "spiffe://";

/// The longest SPIFFE ID, in bytes (SPIFFE-ID section 2.3).
const MAX_ID_LEN: usize = 2048;

/// A SPIFFE ID: `spiffe://`, a trust domain and a path, which may be empty. Cheap to clone.
///
/// The trust domain is in lower case, the path keeps its case, and nothing is percent-encoded
/// (SPIFFE-ID sections 2.1 and 2.2), so that equal IDs are equal texts.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpiffeId {
    uri: Arc<str>,
    /// Where the path begins in `uri`.
    path: usize,
}

impl SpiffeId {
    /// Joins a trust domain and a path, which is empty or begins with `/`.
    ///
    /// # Errors
    ///
    /// When the path has no leading slash, an empty segment, a segment `.` or `..`, a character
    /// that is not a letter, a digit, `.`, `-` or `_`, or makes the ID longer than 2048 bytes.
    pub fn new(trust_domain: &TrustDomain, path: &str) -> Result<Self, ParseSpiffeIdError> {
        validate_path(path)?;
        let name = trust_domain.as_str();
        let uri = format!("{SCHEME}{name}{path}");
        if uri.len() > MAX_ID_LEN {
            return Err(ParseSpiffeIdError::TooLong { len: uri.len() });
        }
        Ok(Self {
            uri: uri.into(),
            path: SCHEME.len() + name.len(),
        })
    }

    /// Joins a trust domain and the segments of a path, none of which contains a slash.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), for one of the segments.
    pub fn from_segments<'a>(
        trust_domain: &TrustDomain,
        segments: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ParseSpiffeIdError> {
        let path = join_segments("", segments)?;
        Self::new(trust_domain, &path)
    }

    /// Makes Istio's identity of a Kubernetes service account,
    /// `spiffe://trust-domain/ns/namespace/sa/name`.
    ///
    /// # Errors
    ///
    /// Those of [`from_segments`](Self::from_segments).
    pub fn from_service_account(
        trust_domain: &TrustDomain,
        account: ServiceAccount<'_>,
    ) -> Result<Self, ParseSpiffeIdError> {
        Self::from_segments(trust_domain, ["ns", account.namespace, "sa", account.name])
    }

    /// The ID without a path, which is as valid as the trust domain.
    pub(super) fn from_trust_domain(trust_domain: &TrustDomain) -> Self {
        let uri: Arc<str> = format!("{SCHEME}{trust_domain}").into();
        let path = uri.len();
        Self { uri, path }
    }

    /// The same trust domain with another path.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn with_path(&self, path: &str) -> Result<Self, ParseSpiffeIdError> {
        Self::new(&self.trust_domain(), path)
    }

    /// The same path in another trust domain.
    ///
    /// # Errors
    ///
    /// When the ID becomes longer than 2048 bytes.
    pub fn with_trust_domain(
        &self,
        trust_domain: &TrustDomain,
    ) -> Result<Self, ParseSpiffeIdError> {
        Self::new(trust_domain, self.path())
    }

    /// The same ID with `path` after its own, which begins with `/` unless it is empty.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    pub fn append_path(&self, path: &str) -> Result<Self, ParseSpiffeIdError> {
        validate_path(path)?;
        self.with_path(&format!("{}{path}", self.path()))
    }

    /// The same ID with more segments after its own.
    ///
    /// # Errors
    ///
    /// Those of [`from_segments`](Self::from_segments).
    pub fn append_segments<'a>(
        &self,
        segments: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ParseSpiffeIdError> {
        let path = join_segments(self.path(), segments)?;
        self.with_path(&path)
    }

    /// The whole URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.uri
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> TrustDomain {
        TrustDomain::from_valid(&self.uri[SCHEME.len()..self.path])
    }

    /// The path: empty, or with a leading slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.uri[self.path..]
    }

    /// Whether this ID is of the trust domain.
    #[must_use]
    pub fn is_member_of(&self, trust_domain: &TrustDomain) -> bool {
        self.uri[SCHEME.len()..self.path] == *trust_domain.as_str()
    }

    /// The service account that Istio's form of path names, `/ns/namespace/sa/name`.
    #[must_use]
    pub fn service_account(&self) -> Option<ServiceAccount<'_>> {
        let rest = self.path().strip_prefix("/ns/")?;
        // Names are too short for a search that looks at several bytes at once.
        let (namespace, rest) = rest.split_at(rest.bytes().position(|byte| byte == b'/')?);
        let name = rest.strip_prefix("/sa/")?;
        let has_more = name.bytes().any(|byte| byte == b'/');
        (!has_more).then_some(ServiceAccount { namespace, name })
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.uri)
    }
}

impl FromStr for SpiffeId {
    type Err = ParseSpiffeIdError;

    /// Parses a SPIFFE ID.
    ///
    /// # Errors
    ///
    /// When the scheme is not `spiffe`, the trust domain is missing or longer than 255 bytes, the
    /// ID is longer than 2048 bytes, or one of the two parts has a character or a segment that is
    /// not allowed.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(ParseSpiffeIdError::Empty);
        }
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return Err(ParseSpiffeIdError::WrongScheme);
        };
        let (name, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        validate_name(name)?;
        validate_path(path)?;
        if text.len() > MAX_ID_LEN {
            return Err(ParseSpiffeIdError::TooLong { len: text.len() });
        }
        Ok(Self {
            uri: text.into(),
            path: text.len() - path.len(),
        })
    }
}

impl TryFrom<String> for SpiffeId {
    type Error = ParseSpiffeIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SpiffeId> for String {
    fn from(id: SpiffeId) -> Self {
        id.uri.as_ref().to_owned()
    }
}

/// A Kubernetes service account, as it is named in an identity.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ServiceAccount<'a> {
    /// The namespace of the account.
    pub namespace: &'a str,
    /// The name of the account.
    pub name: &'a str,
}

fn validate_path(path: &str) -> Result<(), ParseSpiffeIdError> {
    if path.is_empty() {
        return Ok(());
    }
    let Some(path) = path.strip_prefix('/') else {
        return Err(ParseSpiffeIdError::NoLeadingSlash);
    };
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        match validate_segment(segment) {
            Err(ParseSpiffeIdError::EmptySegment) if segments.peek().is_none() => {
                return Err(ParseSpiffeIdError::TrailingSlash);
            }
            result => result?,
        }
    }
    Ok(())
}

fn validate_segment(segment: &str) -> Result<(), ParseSpiffeIdError> {
    match segment {
        "" => Err(ParseSpiffeIdError::EmptySegment),
        "." | ".." => Err(ParseSpiffeIdError::DotSegment),
        _ => {
            // A segment may have capitals, which a trust domain may not.
            let is_allowed = |c: char| is_trust_domain_char(c) || c.is_ascii_uppercase();
            match segment.chars().find(|c| !is_allowed(*c)) {
                Some(character) => Err(ParseSpiffeIdError::PathCharacter { character }),
                None => Ok(()),
            }
        }
    }
}

fn join_segments<'a>(
    start: &str,
    segments: impl IntoIterator<Item = &'a str>,
) -> Result<String, ParseSpiffeIdError> {
    let mut path = start.to_owned();
    for segment in segments {
        validate_segment(segment)?;
        path.push('/');
        path.push_str(segment);
    }
    Ok(path)
}

/// Why a text is not a SPIFFE ID or not a trust domain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSpiffeIdError {
    /// There is no text.
    #[error("a SPIFFE ID cannot be empty")]
    Empty,
    /// The URI does not begin with `spiffe://`.
    #[error("scheme is missing or not `spiffe`")]
    WrongScheme,
    /// There is nothing where the trust domain should be.
    #[error("trust domain is missing")]
    MissingTrustDomain,
    /// The trust domain has a character other than a lower-case letter, a digit, `.`, `-` and `_`.
    #[error("character `{}` is not allowed in a trust domain", character.escape_debug())]
    TrustDomainCharacter {
        /// The first such character.
        character: char,
    },
    /// The trust domain is longer than 255 bytes.
    #[error("trust domain of `{len}` bytes is longer than 255 bytes")]
    TrustDomainTooLong {
        /// How long it is, in bytes.
        len: usize,
    },
    /// The path does not begin with a slash.
    #[error("path has no leading slash")]
    NoLeadingSlash,
    /// There is nothing between two slashes of the path.
    #[error("path has an empty segment")]
    EmptySegment,
    /// A segment of the path is `.` or `..`.
    #[error("path has a dot segment")]
    DotSegment,
    /// The path ends with a slash.
    #[error("path has a trailing slash")]
    TrailingSlash,
    /// The path has a character other than a letter, a digit, `.`, `-` and `_`.
    #[error("character `{}` is not allowed in a path segment", character.escape_debug())]
    PathCharacter {
        /// The first such character.
        character: char,
    },
    /// The ID is longer than 2048 bytes.
    #[error("SPIFFE ID of `{len}` bytes is longer than 2048 bytes")]
    TooLong {
        /// How long it is, in bytes.
        len: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ParseSpiffeIdError as E;
    use super::*;

    #[test]
    fn each_fault_has_its_error() {
        let cases = [
            ("", E::Empty),
            ("a", E::WrongScheme),
            ("spiffe:/a", E::WrongScheme),
            ("SPIFFE://a", E::WrongScheme),
            ("spiffe://", E::MissingTrustDomain),
            ("spiffe:///a", E::MissingTrustDomain),
            ("spiffe://A", E::TrustDomainCharacter { character: 'A' }),
            ("spiffe://a:80", E::TrustDomainCharacter { character: ':' }),
            ("spiffe://u@a", E::TrustDomainCharacter { character: '@' }),
            ("spiffe://é", E::TrustDomainCharacter { character: 'é' }),
            ("spiffe://a/", E::TrailingSlash),
            ("spiffe://a/b/", E::TrailingSlash),
            ("spiffe://a//", E::EmptySegment),
            ("spiffe://a//b", E::EmptySegment),
            ("spiffe://a/./b", E::DotSegment),
            ("spiffe://a/b/..", E::DotSegment),
            ("spiffe://a/%41", E::PathCharacter { character: '%' }),
            ("spiffe://a/b?c", E::PathCharacter { character: '?' }),
            ("spiffe://a?b", E::TrustDomainCharacter { character: '?' }),
        ];
        for (text, error) in cases {
            assert_eq!(text.parse::<SpiffeId>(), Err(error), "{text}");
        }
    }

    #[test]
    fn the_lengths_are_bounded() {
        let id = |domain: usize, path: usize| {
            format!("spiffe://{}/{}", "a".repeat(domain), "b".repeat(path)).parse::<SpiffeId>()
        };
        assert!(id(255, 2048 - 255 - 10).is_ok());
        assert_eq!(id(256, 1), Err(E::TrustDomainTooLong { len: 256 }));
        assert_eq!(id(1, 2038), Err(E::TooLong { len: 2049 }));
        let domain: TrustDomain = "a".parse().unwrap();
        let long = format!("/{}", "b".repeat(2038));
        assert_eq!(SpiffeId::new(&domain, &long), Err(E::TooLong { len: 2049 }));
    }

    #[test]
    fn paths_are_joined_segment_by_segment() {
        let id: SpiffeId = "spiffe://a/b".parse().unwrap();
        let appended = id.append_segments(["c", "D"]).unwrap();
        assert_eq!(appended.as_str(), "spiffe://a/b/c/D");
        assert_eq!(
            id.append_segments(["/c"]),
            Err(E::PathCharacter { character: '/' })
        );
        assert_eq!(id.append_segments([""]), Err(E::EmptySegment));
        assert_eq!(id.append_path("c"), Err(E::NoLeadingSlash));
        assert_eq!(id.append_path("/c").unwrap().path(), "/b/c");
        assert_eq!(id.append_path(""), Ok(id.clone()));
        assert_eq!(id.with_path("").unwrap().as_str(), "spiffe://a");
        assert_eq!(id.with_path("/"), Err(E::TrailingSlash));
    }

    #[test]
    fn a_service_account_is_a_path_of_istio_s_form() {
        let account = |path: &str| {
            let id: SpiffeId = format!("spiffe://td{path}").parse().unwrap();
            id.service_account()
                .map(|a| (a.namespace.to_owned(), a.name.to_owned()))
        };
        assert_eq!(
            account("/ns/a.b/sa/c.d"),
            Some(("a.b".into(), "c.d".into()))
        );
        assert_eq!(account("/ns/sa/sa/sa"), Some(("sa".into(), "sa".into())));
        let others = [
            "",
            "/ns/a",
            "/ns/a/sa",
            "/ns/a/sa/b/c",
            "/ns/a/b/sa/c",
            "/sa/a/ns/b",
            "/x/ns/a/sa/b",
        ];
        for path in others {
            assert_eq!(account(path), None, "{path}");
        }
        let domain: TrustDomain = "td".parse().unwrap();
        let account = ServiceAccount {
            namespace: "a",
            name: "b",
        };
        let id = SpiffeId::from_service_account(&domain, account).unwrap();
        assert_eq!(id.as_str(), "spiffe://td/ns/a/sa/b");
        assert_eq!(id.service_account(), Some(account));
        assert!(id.is_member_of(&domain));
        assert!(!id.is_member_of(&"t".parse().unwrap()));
    }

    #[test]
    fn an_id_is_a_string_in_json() {
        let id: SpiffeId = serde_json::from_str("\"spiffe://a/b\"").unwrap();
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"spiffe://a/b\"");
        assert!(serde_json::from_str::<SpiffeId>("\"a\"").is_err());
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(
            text in "spiffe://[a-z0-9._-]{1,9}(/[a-zA-Z0-9_-]{1,9}){0,3}",
        ) {
            let id: SpiffeId = text.parse().unwrap();
            prop_assert_eq!(id.as_str(), &text);
            prop_assert_eq!(SpiffeId::new(&id.trust_domain(), id.path()), Ok(id));
        }

        #[test]
        fn what_is_parsed_is_what_its_parts_make(text in "spiffe://[aA.:%]{0,3}[/.a%é]{0,6}") {
            if let Ok(id) = text.parse::<SpiffeId>() {
                prop_assert_eq!(id.with_path(id.path()), Ok(id.clone()));
                prop_assert_eq!(id.as_str(), text);
            }
        }
    }
}
