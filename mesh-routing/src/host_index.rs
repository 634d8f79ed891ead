//! Which virtual host serves an authority.
//!
//! Envoy's [order]: an exact domain, else the longest suffix wildcard (`*.example`), else the
//! longest prefix wildcard (`shop.*`), else `*`. Case is ignored, and a wildcard stands for at least
//! one character.
//!
//! [order]: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto#config-route-v3-virtualhost

use std::cmp::Reverse;

use crate::radix::Radix;

/// Index of virtual hosts by domain.
#[derive(Clone, Debug)]
pub(crate) struct HostIndex {
    // Exact domains and prefix wildcards.
    forward: Radix<Domains>,
    // Suffix wildcards, spelt backwards.
    backward: Radix<u32>,
    any: Option<u32>,
}

/// The virtual hosts of one text, as an exact domain and as the beginning of others.
#[derive(Clone, Copy, Debug, Default)]
struct Domains {
    exact: Option<u32>,
    prefix: Option<u32>,
}

/// A domain of a virtual host, by how it matches. The kinds are in order of precedence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum DomainPattern<'a> {
    /// The whole host.
    Exact(&'a str),
    /// The end of the host.
    Suffix(&'a str),
    /// The beginning of the host.
    Prefix(&'a str),
    /// Every host.
    Any,
}

impl<'a> DomainPattern<'a> {
    /// Reads a domain as Envoy does: a `*` elsewhere than at an end is an ordinary character.
    pub(crate) fn parse(domain: &'a str) -> Self {
        if domain == "*" {
            Self::Any
        } else if let Some(suffix) = domain.strip_prefix('*') {
            Self::Suffix(suffix)
        } else if let Some(prefix) = domain.strip_suffix('*') {
            Self::Prefix(prefix)
        } else {
            Self::Exact(domain)
        }
    }

    /// Whether `host` matches, compared without regard to case.
    pub(crate) fn is_match(self, host: &str) -> bool {
        let (host, length) = (host.as_bytes(), host.len());
        match self {
            Self::Exact(domain) => host.eq_ignore_ascii_case(domain.as_bytes()),
            Self::Suffix(suffix) => {
                length > suffix.len()
                    && host[length - suffix.len()..].eq_ignore_ascii_case(suffix.as_bytes())
            }
            Self::Prefix(prefix) => {
                length > prefix.len()
                    && host[..prefix.len()].eq_ignore_ascii_case(prefix.as_bytes())
            }
            Self::Any => true,
        }
    }

    /// Orders patterns that match the same host, the one that wins first.
    pub(crate) fn precedence(self) -> (u8, Reverse<usize>) {
        match self {
            Self::Exact(text) => (0, Reverse(text.len())),
            Self::Suffix(text) => (1, Reverse(text.len())),
            Self::Prefix(text) => (2, Reverse(text.len())),
            Self::Any => (3, Reverse(0)),
        }
    }
}

impl HostIndex {
    /// Indexes domains, each with the number of its virtual host. Of equal domains the first
    /// counts.
    pub(crate) fn build<'a>(domains: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let (mut forward, mut backward) = (Vec::new(), Vec::new());
        let mut any = None;
        for (domain, host) in domains {
            let entry = |exact, prefix| Domains { exact, prefix };
            match DomainPattern::parse(domain) {
                DomainPattern::Exact(text) => forward.push((lower(text), entry(Some(host), None))),
                DomainPattern::Prefix(text) => forward.push((lower(text), entry(None, Some(host)))),
                DomainPattern::Suffix(text) => {
                    let reversed = lower(text).into_iter().rev().collect::<Vec<_>>();
                    backward.push((reversed, host));
                }
                DomainPattern::Any => any = any.or(Some(host)),
            }
        }
        // Stable, so that the first of equal domains stays the first.
        forward.sort_by(|a, b| a.0.cmp(&b.0));
        forward.dedup_by(|later, first| {
            let same = later.0 == first.0;
            if same {
                first.1.exact = first.1.exact.or(later.1.exact);
                first.1.prefix = first.1.prefix.or(later.1.prefix);
            }
            same
        });
        backward.sort_by(|a, b| a.0.cmp(&b.0));
        backward.dedup_by(|later, first| later.0 == first.0);
        Self {
            forward: Radix::build(forward),
            backward: Radix::build(backward),
            any,
        }
    }

    /// The virtual host that serves `host`.
    pub(crate) fn lookup(&self, host: &str) -> Option<u32> {
        let (bytes, length) = (host.as_bytes(), host.len());
        let mut longest_prefix = None;
        for (depth, domains) in self
            .forward
            .walk(|at| bytes.get(at).map(u8::to_ascii_lowercase))
        {
            if depth < length {
                longest_prefix = domains.prefix.or(longest_prefix);
            } else if domains.exact.is_some() {
                return domains.exact;
            }
        }
        let from_end = |at: usize| {
            let at = length.checked_sub(at + 1)?;
            Some(bytes[at].to_ascii_lowercase())
        };
        let suffixes = self
            .backward
            .walk(from_end)
            .take_while(|(depth, _)| *depth < length);
        let longest_suffix = suffixes.last().map(|(_, host)| *host);
        longest_suffix.or(longest_prefix).or(self.any)
    }
}

fn lower(text: &str) -> Vec<u8> {
    text.to_ascii_lowercase().into_bytes()
}

/// `authority` without its port. An IPv6 address is in brackets (RFC 3986, section 3.2.2), so that
/// its colons are told from the port's.
pub(crate) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_most_specific_domain_wins_by_envoys_order() {
        let domains = [
            "*",
            "shop.*",
            "shop.example.*",
            "*.com",
            "*.example.com",
            "*-bar.example.com",
            "a.example.com",
        ];
        let cases = [
            ("a.example.com", "a.example.com"),
            ("A.Example.COM", "a.example.com"),
            ("b.example.com", "*.example.com"),
            ("foo-bar.example.com", "*-bar.example.com"),
            ("shop.example.com", "*.example.com"),
            ("shop.example.org", "shop.example.*"),
            ("shop.org", "shop.*"),
            ("shop.", "*"),
            (".example.com", "*.com"),
            ("", "*"),
        ];
        let index = HostIndex::build(domains.iter().copied().zip(0..));
        for (host, expected) in cases {
            let found = index.lookup(host).map(|found| domains[found as usize]);
            assert_eq!(found, Some(expected), "{host}");
        }
    }

    #[test]
    fn a_port_is_told_from_an_address() {
        let cases = [
            ("example:80", "example"),
            ("example", "example"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("10.0.0.1:80", "10.0.0.1"),
            ("example:", "example"),
        ];
        for (authority, host) in cases {
            assert_eq!(without_port(authority), host, "{authority}");
        }
    }

    proptest! {
        #[test]
        fn lookup_agrees_with_trying_every_domain(
            domains in prop::collection::vec("\\*?[ab.]{0,4}\\*?", 0..20),
            host in "[abAB.]{0,6}",
        ) {
            let index = HostIndex::build(domains.iter().map(String::as_str).zip(0..));
            let found = index.lookup(&host).map(|index| domains[index as usize].as_str());
            prop_assert_eq!(found, naive(&domains, &host));
        }
    }

    /// The rule by its definition: exact, longest suffix, longest prefix, any.
    fn naive<'a>(domains: &'a [String], host: &str) -> Option<&'a str> {
        let host = host.to_lowercase();
        let domains = || domains.iter().map(String::as_str);
        let longest = |best: Option<&'a str>, next: &'a str| match best {
            Some(best) if best.len() >= next.len() => Some(best),
            _ => Some(next),
        };
        let wildcard = |domain: &&str| domain.len() > 1 && host.len() > domain.len() - 1;
        let suffix = |domain: &&str| domain.starts_with('*') && host.ends_with(&domain[1..]);
        let prefix = |domain: &&str| {
            !domain.starts_with('*')
                && domain
                    .strip_suffix('*')
                    .is_some_and(|text| host.starts_with(text))
        };
        let exact =
            |domain: &&str| !domain.starts_with('*') && !domain.ends_with('*') && *domain == host;
        domains()
            .find(exact)
            .or_else(|| {
                domains()
                    .filter(wildcard)
                    .filter(suffix)
                    .fold(None, longest)
            })
            .or_else(|| {
                domains()
                    .filter(wildcard)
                    .filter(prefix)
                    .fold(None, longest)
            })
            .or_else(|| domains().find(|domain| *domain == "*"))
    }
}
