//! Matches on the identity of the peer, which is a URI such as
//! `spiffe://cluster.local/ns/shop/sa/cart`.
//!
//! Istio writes most of these as regular expressions, in which the value is quoted but for the `*`.
//! They are matched by hand to the same effect.

use mesh_core::identity::TrustDomains;
use mesh_core::matcher::StringMatch;

const SCHEME: &str = "spiffe://";
const NAMESPACE: &str = "/ns/";

/// What the identity of the peer has to be.
#[derive(Clone, Debug)]
pub(super) enum PeerMatch {
    /// It is any, or the peer has a certificate without one.
    Any,
    /// It has these texts in this order, none overlapping.
    InOrder(Box<[Box<str>]>),
    /// It is that of this account, in any trust domain.
    ServiceAccount {
        /// `/ns/NAMESPACE/`
        namespace: Box<str>,
        /// `sa/ACCOUNT`
        account: Box<str>,
    },
    /// The whole URI.
    Uri(StringMatch),
    /// It begins with the scheme and ends with this.
    UriSuffix(Box<str>),
    /// The trust domain.
    TrustDomain(StringMatch),
}

impl PeerMatch {
    /// A value of `source.principals`, which has no scheme.
    pub(super) fn principal(value: &str) -> Self {
        if value == "*" {
            return Self::Any;
        }
        if let Some(suffix) = value.strip_prefix('*') {
            return Self::UriSuffix(suffix.into());
        }
        let uri = format!("{SCHEME}{value}");
        Self::Uri(StringMatch::from_policy_value(&uri))
    }

    /// A value of `source.namespaces`, in which each `*` is any text.
    pub(super) fn namespace(value: &str) -> Self {
        let segment = format!("{NAMESPACE}{value}/");
        Self::InOrder(segment.split('*').map(Box::from).collect())
    }

    /// A value of `source.serviceAccounts`: `namespace/account`, or `account` of `own` namespace.
    pub(super) fn service_account(own: &str, value: &str) -> Self {
        let (namespace, account) = value.split_once('/').unwrap_or((own, value));
        Self::ServiceAccount {
            namespace: format!("{NAMESPACE}{namespace}/").into(),
            account: format!("sa/{account}").into(),
        }
    }

    /// A value of `source.trustDomains`.
    pub(super) fn trust_domain(value: &str) -> Self {
        Self::TrustDomain(StringMatch::from_policy_value(value))
    }

    /// Whether a certificate without an identity will do: Envoy takes its DNS names or its subject then.
    pub(super) const fn takes_any_certificate(&self) -> bool {
        matches!(self, Self::Any)
    }

    pub(super) fn is_match(&self, peer: &str) -> bool {
        match self {
            Self::Any => !peer.is_empty(),
            Self::InOrder(pieces) => has_in_order(peer, pieces),
            Self::ServiceAccount { namespace, account } => is_account(peer, namespace, account),
            Self::Uri(uri) => uri.is_match(peer),
            Self::UriSuffix(suffix) => {
                let rest = peer.strip_prefix(SCHEME);
                rest.is_some_and(|rest| rest.ends_with(&**suffix))
            }
            Self::TrustDomain(domain) => {
                trust_domain(peer).is_some_and(|name| domain.is_match(name))
            }
        }
    }
}

fn has_in_order(text: &str, pieces: &[Box<str>]) -> bool {
    let mut rest = text;
    pieces.iter().all(|piece| {
        let found = rest.find(&**piece);
        rest = found.map_or("", |start| &rest[start + piece.len()..]);
        found.is_some()
    })
}

/// Whether `peer` has a trust domain, the namespace, perhaps further pairs, and the account.
fn is_account(peer: &str, namespace: &str, account: &str) -> bool {
    let Some(rest) = peer.strip_prefix(SCHEME) else {
        return false;
    };
    occurrences(rest, namespace).any(|start| {
        start > 0 && {
            let after = &rest[start + namespace.len()..];
            is_end(after, account)
                || after
                    .match_indices('/')
                    .any(|(slash, _)| slash > 0 && is_end(&after[slash + 1..], account))
        }
    })
}

/// Whether `text` is the account, or the account and further pairs.
fn is_end(text: &str, account: &str) -> bool {
    match text.strip_prefix(account) {
        Some("") => true,
        Some(rest) => rest.len() > 1 && rest.starts_with('/'),
        None => false,
    }
}

/// The trust domain of an identity.
pub(super) fn trust_domain(peer: &str) -> Option<&str> {
    peer.strip_prefix(SCHEME)?.split('/').next()
}

/// The segments that follow `/ns/` in an identity; one for those that Istio issues.
pub(super) fn namespaces(peer: &str) -> impl Iterator<Item = &str> {
    occurrences(peer, NAMESPACE).filter_map(|start| {
        let (segment, _) = peer[start + NAMESPACE.len()..].split_once('/')?;
        Some(segment)
    })
}

/// Where `piece`, which begins with a slash, stands in `text`, overlapping or not.
fn occurrences<'a>(text: &'a str, piece: &'a str) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text[from..].find(piece)?;
        from = start + 1;
        Some(start)
    })
}

/// The principals that count as `value`: with the other names of its trust domain in the mesh
/// (`Bundle.ReplaceTrustDomainAliases`).
///
/// `cluster.local` stands for the trust domain of the mesh, whatever it is called; and so does the
/// beginning of one of its names and a `*`, while a `*` and an end stands for those that end so. Values of
/// another form than `trust-domain/ns/x/sa/y`, of any trust domain, or of one that the mesh does
/// not know, stay alone.
pub(super) fn expand_principal(value: &str, domains: &TrustDomains) -> Vec<String> {
    let alone = || vec![value.to_owned()];
    let Some((written, rest)) = value.split_once('/') else {
        return alone();
    };
    let is_of_mesh = domains.iter().any(|domain| {
        let prefix = written.strip_suffix('*');
        let begins = prefix.is_some_and(|prefix| domain.as_str().starts_with(prefix));
        begins || is_named(written, domain.as_str())
    });
    let has_form = rest.split('/').count() == 4;
    if !has_form || written == "*" || !(is_of_mesh || written == "cluster.local") {
        return alone();
    }
    let mut expanded = Vec::new();
    for domain in domains.iter() {
        let principal = if is_named(written, domain.as_str()) {
            value.to_owned()
        } else {
            format!("{domain}/{rest}")
        };
        if !expanded.contains(&principal) {
            expanded.push(principal);
        }
    }
    expanded
}

/// The trust domains that count as `value` (`Bundle.ExpandTrustDomainAliases`).
pub(super) fn expand_trust_domain(value: &str, domains: &TrustDomains) -> Vec<String> {
    if domains.iter().any(|domain| domain.as_str() == value) {
        domains.iter().map(ToString::to_string).collect()
    } else {
        vec![value.to_owned()]
    }
}

/// Whether `written`, perhaps a `*` and a suffix, is `domain`.
fn is_named(written: &str, domain: &str) -> bool {
    match written.strip_prefix('*') {
        Some(suffix) => domain.ends_with(suffix),
        None => written == domain,
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::matcher::Regex;
    use proptest::prelude::*;

    use super::*;

    fn domains() -> TrustDomains {
        let local = "new.example".parse().unwrap();
        TrustDomains::new(local).with_alias("old.example".parse().unwrap())
    }

    #[test]
    fn a_principal_is_known_by_all_names_of_its_trust_domain() {
        let cases: [(&str, &[&str]); 9] = [
            (
                "new.example/ns/a/sa/b",
                &["new.example/ns/a/sa/b", "old.example/ns/a/sa/b"],
            ),
            (
                "cluster.local/ns/a/sa/b",
                &["new.example/ns/a/sa/b", "old.example/ns/a/sa/b"],
            ),
            (
                "*w.example/ns/a/sa/b",
                &["*w.example/ns/a/sa/b", "old.example/ns/a/sa/b"],
            ),
            ("*.example/ns/a/sa/b", &["*.example/ns/a/sa/b"]),
            (
                "new.*/ns/a/sa/b",
                &["new.example/ns/a/sa/b", "old.example/ns/a/sa/b"],
            ),
            ("else.*/ns/a/sa/b", &["else.*/ns/a/sa/b"]),
            ("*/ns/a/sa/b", &["*/ns/a/sa/b"]),
            ("else.example/ns/a/sa/b", &["else.example/ns/a/sa/b"]),
            ("new.example/a/b", &["new.example/a/b"]),
        ];
        for (value, expected) in cases {
            assert_eq!(expand_principal(value, &domains()), expected, "{value}");
        }
        assert_eq!(
            expand_trust_domain("old.example", &domains()),
            ["new.example", "old.example"]
        );
        assert_eq!(expand_trust_domain("old.*", &domains()), ["old.*"]);
    }

    #[test]
    fn a_namespace_may_stand_where_another_ends() {
        let account = PeerMatch::service_account("ns", "ns");
        assert!(account.is_match("spiffe:///ns/ns/ns/ns/sa/ns"));
        assert!(
            !account.is_match("spiffe:///ns/ns/sa/ns"),
            "no trust domain"
        );
    }

    #[test]
    fn the_namespaces_of_an_identity_are_found() {
        let of = |peer| namespaces(peer).collect::<Vec<_>>();
        assert_eq!(of("spiffe://td/ns/a/sa/b"), ["a"]);
        assert_eq!(of("spiffe://td/ns/ns/a/sa/b"), ["ns", "a"]);
        assert_eq!(of("spiffe://td/ns/a"), [""; 0]);
    }

    #[test]
    fn a_dot_in_a_namespace_or_account_is_a_dot() {
        let namespace = PeerMatch::namespace("team.*.prod");
        let account = PeerMatch::service_account("a.b", "c.d");
        assert!(namespace.is_match("spiffe://td/ns/team.x.prod/sa/c"));
        assert!(!namespace.is_match("spiffe://td/ns/team-x-prod/sa/c"));
        assert!(account.is_match("spiffe://td/ns/a.b/sa/c.d"));
        assert!(!account.is_match("spiffe://td/ns/a-b/sa/c.d"));
        assert!(!account.is_match("spiffe://td/ns/a.b/sa/c-d"));
    }

    #[test]
    fn a_dot_in_a_suffix_of_principals_is_a_dot() {
        let suffix = PeerMatch::principal("*/sa/a.b");
        assert!(suffix.is_match("spiffe://td/ns/x/sa/a.b"));
        assert!(!suffix.is_match("spiffe://td/ns/x/sa/a-b"));
    }

    proptest! {
        #[test]
        fn matching_by_hand_agrees_with_the_regular_expressions_of_istio(
            peer in "(spiffe://)?(td)?(/ns|/a|/sa|/b|/|-)*",
            value in "\\*?(ns|a|b|-)\\*?",
        ) {
            let naive = |pattern: String| Regex::parse(&pattern).unwrap().is_match(&peer);
            let namespace = PeerMatch::namespace(&value);
            let pattern = format!(".*/ns/{}/.*", value.replace('*', ".*"));
            prop_assert_eq!(namespace.is_match(&peer), naive(pattern));

            let name = value.replace('*', "");
            let account = PeerMatch::service_account("ns", &name);
            let pattern = format!("spiffe://.+/ns/ns/(.+/|)sa/{name}(/.+)?");
            prop_assert_eq!(account.is_match(&peer), naive(pattern));

            let suffix = PeerMatch::principal(&format!("*{name}"));
            prop_assert_eq!(suffix.is_match(&peer), naive(format!("spiffe://.*{name}")));
        }
    }
}
