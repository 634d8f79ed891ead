//! Names that a certificate has to have.

use std::net::IpAddr;
use std::sync::Arc;

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

/// Whether the name of a certificate is `expected`.
fn is_name(name: &SubjectAltName, expected: &str) -> bool {
    match name {
        SubjectAltName::Dns(name) => is_dns_name(name, expected),
        SubjectAltName::Email(text) | SubjectAltName::Uri(text) => text == expected,
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
            (SubjectAltName::Other, "", false),
        ];
        for (name, expected, matches) in cases {
            assert_eq!(is_name(&name, expected), matches, "{name} {expected}");
        }
    }
}
