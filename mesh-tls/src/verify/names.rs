//! Names that a certificate has to have.

use std::net::IpAddr;
use std::sync::Arc;

use mesh_core::identity::SpiffeId;
use rustls_pki_types::ServerName;
use webpki::EndEntityCert;

use super::presented::Presented;
use super::{PeerVerifier, VerifyError};
use crate::certificate::{Certificate, SubjectAltName};

/// Which names the other end has to prove.
#[derive(Clone, Debug)]
pub enum ExpectedNames {
    /// Any, as long as the chain is trusted.
    Any,
    /// One of these.
    OneOf(SanList),
    /// The name of the server that is connected to (RFC 6125). For the server's side only.
    ServerName,
}

/// A list of names, one of which a certificate has to have: `subjectAltNames` of a
/// DestinationRule or a Gateway.
///
/// As in Envoy, an entry is compared with names of every kind: DNS names without regard to case,
/// where the certificate may have a wildcard as its whole first label; addresses by value; URIs
/// and mailboxes exactly. Envoy also accepts certificates with a wildcard inside of the first
/// label (`a*.example.com`), which RFC 6125 section 6.4.3 advises against and which are refused
/// here.
///
/// An entry with `://` is that of a URI, and no name of another kind is compared with it: a CA that may
/// issue DNS names would else speak for every workload. Where trust domains are believed
/// ([`PeerVerifier::spiffe`]), entries are compared with the verified SPIFFE ID alone, as Envoy's
/// validator of SPIFFE has it: a bundle vouches for nothing else of what a certificate says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SanList {
    names: Arc<[String]>,
}

impl SanList {
    /// The names, in the order in which errors list them.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether there is no name, so that no certificate has one of them.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether the identity is one of the names.
    fn contains(&self, id: &SpiffeId) -> bool {
        self.names.iter().any(|name| name == id.as_str())
    }

    /// Whether the certificate has one of the names.
    pub fn matches(&self, certificate: &Certificate) -> bool {
        let mut expected = self.names.iter();
        expected.any(|expected| {
            let mut names = certificate.names().iter();
            names.any(|name| is_name(name, expected))
        })
    }
}

impl<T: Into<String>> FromIterator<T> for SanList {
    fn from_iter<I: IntoIterator<Item = T>>(names: I) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
        }
    }
}

impl PeerVerifier {
    /// Checks the names of a chain that is trusted. `id` is the identity that it was trusted about, if it
    /// was about that alone.
    pub(super) fn verify_names(
        &self,
        presented: &Presented<'_>,
        leaf: &Certificate,
        id: Option<&SpiffeId>,
        server_name: Option<&ServerName<'_>>,
    ) -> Result<(), VerifyError> {
        let of_leaf = || leaf.names().iter().map(ToString::to_string).collect();
        match &self.names {
            ExpectedNames::Any => Ok(()),
            ExpectedNames::OneOf(names) => {
                let is_named = id.map_or_else(|| names.matches(leaf), |id| names.contains(id));
                is_named.then_some(()).ok_or_else(|| VerifyError::Names {
                    got: id.map_or_else(of_leaf, |id| vec![id.to_string()]),
                    wanted: names.names().to_vec(),
                })
            }
            ExpectedNames::ServerName => {
                let certificate = EndEntityCert::try_from(presented.leaf);
                let is_named = server_name
                    .zip(certificate.ok())
                    .is_some_and(|(name, leaf)| {
                        leaf.verify_is_valid_for_subject_name(name).is_ok()
                    });
                let wanted = server_name.map(|name| name.to_str().into_owned());
                is_named.then_some(()).ok_or_else(|| VerifyError::Names {
                    got: of_leaf(),
                    wanted: wanted.into_iter().collect(),
                })
            }
        }
    }
}

/// Whether the name of a certificate is `expected`.
fn is_name(name: &SubjectAltName, expected: &str) -> bool {
    match name {
        SubjectAltName::Uri(text) => text == expected,
        _ if expected.contains("://") => false,
        SubjectAltName::Dns(name) => is_dns_name(name, expected),
        SubjectAltName::Email(text) => text == expected,
        SubjectAltName::Ip(address) => expected.parse() == Ok::<IpAddr, _>(*address),
        SubjectAltName::Other => false,
    }
}

/// Whether the name of a certificate, which may begin with `*.`, covers `expected`.
fn is_dns_name(name: &str, expected: &str) -> bool {
    if name.eq_ignore_ascii_case(expected) {
        return true;
    }
    let suffix = name.strip_prefix("*.");
    suffix
        .zip(expected.split_once('.'))
        .is_some_and(|(suffix, (label, rest))| {
            !label.is_empty() && suffix.contains('.') && suffix.eq_ignore_ascii_case(rest)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names_are_compared_label_by_label() {
        let cases = [
            ("shop.example", "shop.example", true),
            ("Shop.example", "shop.Example", true),
            ("*.shop.example", "a.shop.example", true),
            ("*.Shop.example", "a.shop.example", true),
            ("*.shop.example", "shop.example", false),
            ("*.shop.example", "a.b.shop.example", false),
            ("*.shop.example", ".shop.example", false),
            ("*.shop.example", "*.shop.example", true),
            ("*.example", "shop.example", false),
            ("a*.shop.example", "ab.shop.example", false),
            ("*", "shop", false),
            ("shop.example", "*.example", false),
        ];
        for (name, expected, matches) in cases {
            let name = SubjectAltName::Dns(name.into());
            assert_eq!(is_name(&name, expected), matches, "{name} {expected}");
        }
    }

    #[test]
    fn other_names_are_compared_as_they_are() {
        let ip = |text: &str| SubjectAltName::Ip(text.parse().unwrap());
        let uri = |text: &str| SubjectAltName::Uri(text.into());
        let cases = [
            (uri("spiffe://td/a"), "spiffe://td/a", true),
            (uri("spiffe://td/a"), "spiffe://td/A", false),
            (uri("spiffe://td/a"), "spiffe://td", false),
            (ip("::1"), "0:0::1", true),
            (ip("127.0.0.1"), "127.0.0.1", true),
            (ip("127.0.0.1"), "localhost", false),
            (SubjectAltName::Email("a@b".into()), "a@b", true),
            (
                SubjectAltName::Email("spiffe://td/a".into()),
                "spiffe://td/a",
                false,
            ),
            (
                SubjectAltName::Dns("spiffe://td/a".into()),
                "spiffe://td/a",
                false,
            ),
            (SubjectAltName::Other, "", false),
        ];
        for (name, expected, matches) in cases {
            assert_eq!(is_name(&name, expected), matches, "{name} {expected}");
        }
    }
}
