//! Fields of rules: what they are about, and their values.

use std::str::FromStr;

use http::HeaderName;
use mesh_core::matcher::{Cidr, CidrSet, PathTemplate, StringMatch};

use super::claim::PrincipalMatch;
use super::compile::{Target, Unenforceable};
use super::condition::{PathMatch, Predicate};
use super::peer::{PeerMatch, expand_principal, expand_trust_domain};

/// The values of a field, of which the invalid ones are reported and left out.
pub(super) struct Values<'a> {
    pub(super) field: &'a str,
    pub(super) faults: &'a mut Vec<Unenforceable>,
    pub(super) values: &'a [String],
}

impl Values<'_> {
    /// The values that `parse` takes; nothing if it takes none.
    fn parse<T>(&mut self, mut parse: impl FnMut(&str) -> Option<T>) -> Option<Vec<T>> {
        let mut parsed = Vec::new();
        let mut invalid = Vec::new();
        for value in self.values {
            match parse(value) {
                Some(value) => parsed.push(value),
                None => invalid.push(value),
            }
        }
        let faults = invalid.into_iter().map(|value| Unenforceable::Invalid {
            field: self.field.into(),
            value: value.as_str().into(),
            others: !parsed.is_empty(),
        });
        self.faults.extend(faults);
        (!parsed.is_empty()).then_some(parsed)
    }

    fn texts(&mut self) -> Option<Box<[StringMatch]>> {
        let texts = self.parse(|value| Some(StringMatch::from_policy_value(value)))?;
        Some(texts.into())
    }

    /// The values of a header, where `*` is any value, even an empty one.
    fn header_texts(&mut self) -> Option<Box<[StringMatch]>> {
        let texts = self.parse(|value| {
            Some(match value {
                "*" => StringMatch::Present,
                value => StringMatch::from_policy_value(value),
            })
        })?;
        Some(texts.into())
    }

    fn cidrs(&mut self) -> Option<CidrSet> {
        let cidrs = self.parse(|value| Cidr::from_str(value).ok())?;
        Some(cidrs.into_iter().collect())
    }

    fn peers(&self, read: impl Fn(&str) -> Vec<PeerMatch>) -> Option<Box<[PeerMatch]>> {
        let peers: Box<[PeerMatch]> = self.values.iter().flat_map(|value| read(value)).collect();
        (!peers.is_empty()).then_some(peers)
    }
}

/// What a field is about.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// The host, whose case counts, as that of a header.
    Authority,
    Claim(Box<[Box<str>]>),
    DestinationIp,
    Header(HeaderName),
    Host,
    Method,
    Namespace,
    Path,
    PathAndQuery,
    Port,
    Principal,
    RemoteIp,
    RequestPrincipal,
    Scheme,
    ServerName,
    ServiceAccount,
    SourceIp,
    TrustDomain,
}

impl Kind {
    /// The attribute that the key of a condition names.
    pub(super) fn of_key(key: &str) -> Result<Self, Unenforceable> {
        let claim = |name: &str| Self::Claim([name.into()].into());
        let nested = |prefix| key.strip_prefix(prefix).and_then(in_brackets);
        let kind = match key {
            "connection.sni" => Some(Self::ServerName),
            "destination.ip" => Some(Self::DestinationIp),
            "destination.port" => Some(Self::Port),
            "remote.ip" => Some(Self::RemoteIp),
            "request.auth.audiences" => Some(claim("aud")),
            "request.auth.presenter" => Some(claim("azp")),
            "request.auth.principal" => Some(Self::RequestPrincipal),
            "source.ip" => Some(Self::SourceIp),
            "source.namespace" => Some(Self::Namespace),
            "source.principal" => Some(Self::Principal),
            "source.serviceAccount" => Some(Self::ServiceAccount),
            "source.trustDomain" => Some(Self::TrustDomain),
            _ if key.starts_with("request.headers") => {
                nested("request.headers").and_then(Self::of_header)
            }
            // `[a][b]` is the claim `b` of `a`.
            _ => nested("request.auth.claims")
                .map(|path| Self::Claim(path.split("][").map(Box::from).collect())),
        };
        kind.ok_or_else(|| Unenforceable::UnknownKey(key.into()))
    }

    /// A header. What HTTP/2 puts into pseudo-headers is looked for where it is, also under the name
    /// `host`, which Envoy takes for `:authority`.
    fn of_header(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            ":authority" | "host" => Self::Authority,
            ":method" => Self::Method,
            ":path" => Self::PathAndQuery,
            ":scheme" => Self::Scheme,
            name => Self::Header(HeaderName::from_str(name).ok()?),
        })
    }

    pub(super) fn is_http_only(&self) -> bool {
        match self {
            Self::Authority
            | Self::Claim(_)
            | Self::Header(_)
            | Self::Host
            | Self::Method
            | Self::Path
            | Self::PathAndQuery
            | Self::RequestPrincipal
            | Self::Scheme => true,
            Self::DestinationIp
            | Self::Namespace
            | Self::Port
            | Self::Principal
            | Self::RemoteIp
            | Self::ServerName
            | Self::ServiceAccount
            | Self::SourceIp
            | Self::TrustDomain => false,
        }
    }
}

fn in_brackets(text: &str) -> Option<&str> {
    let name = text.strip_prefix('[')?.strip_suffix(']')?;
    (!name.is_empty()).then_some(name)
}

pub(super) fn predicate(
    kind: &Kind,
    values: &mut Values<'_>,
    target: Target<'_>,
) -> Option<Predicate> {
    let Target {
        domains, namespace, ..
    } = target;
    Some(match kind {
        Kind::Authority => Predicate::Host(values.header_texts()?),
        Kind::Claim(path) => Predicate::Claim {
            path: path.clone(),
            texts: values.texts()?,
        },
        Kind::DestinationIp => Predicate::DestinationIp(values.cidrs()?),
        Kind::Header(name) => Predicate::Header {
            name: name.clone(),
            texts: values.header_texts()?,
        },
        Kind::Host => {
            let texts = values.header_texts()?;
            Predicate::Host(texts.into_iter().map(StringMatch::ignoring_case).collect())
        }
        Kind::Method => Predicate::Method(values.header_texts()?),
        Kind::Namespace => {
            Predicate::Peer(values.peers(|value| vec![PeerMatch::namespace(value)])?)
        }
        Kind::Path => Predicate::Path(values.parse(path)?.into()),
        Kind::PathAndQuery => Predicate::PathAndQuery(values.header_texts()?),
        Kind::Port => Predicate::DestinationPort(values.parse(port)?.into()),
        Kind::Principal => Predicate::Peer(values.peers(|value| {
            let principals = expand_principal(value, domains);
            let matches = principals.iter().map(|value| PeerMatch::principal(value));
            matches.collect()
        })?),
        Kind::RemoteIp => Predicate::RemoteIp(values.cidrs()?),
        Kind::RequestPrincipal => Predicate::RequestPrincipal(
            values
                .parse(|value| Some(PrincipalMatch::new(value)))?
                .into(),
        ),
        Kind::Scheme => Predicate::Scheme(values.header_texts()?),
        Kind::ServerName => Predicate::ServerName(values.texts()?),
        Kind::ServiceAccount => Predicate::Peer(
            values.peers(|value| vec![PeerMatch::service_account(namespace, value)])?,
        ),
        Kind::SourceIp => Predicate::SourceIp(values.cidrs()?),
        Kind::TrustDomain => Predicate::Peer(values.peers(|value| {
            let names = expand_trust_domain(value, domains);
            let matches = names.iter().map(|name| PeerMatch::trust_domain(name));
            matches.collect()
        })?),
    })
}

fn path(value: &str) -> Option<PathMatch> {
    if PathTemplate::is_template(value) {
        let template = PathTemplate::parse(value).ok()?;
        return Some(PathMatch::Template(template));
    }
    Some(PathMatch::Text(StringMatch::from_policy_value(value)))
}

/// A port as Go's `ParseUint` reads it: digits only.
fn port(value: &str) -> Option<u16> {
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| value.parse().ok()).flatten()
}
