//! Single conditions, compiled.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderName;
use mesh_core::matcher::{CidrSet, PathTemplate, StringMatch};
use mesh_core::resource::Value;

use super::attributes::Facts;
use super::claim::{PrincipalMatch, any_text};
use super::peer::PeerMatch;

/// A field of a rule: its values, or the values that it must not have.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// How the field is called in the policy.
    pub(super) field: Box<str>,
    /// Its values as written.
    pub(super) values: Box<[String]>,
    /// Whether none of the values may match.
    pub(super) negated: bool,
    pub(super) predicate: Predicate,
}

impl Condition {
    pub(super) fn holds(&self, facts: &Facts<'_>) -> bool {
        self.predicate.is_match(facts) != self.negated
    }

    /// Why the condition does not hold, as a sentence.
    pub(super) fn failure(&self, facts: &Facts<'_>) -> String {
        let Self { field, values, .. } = self;
        let values = values.join(", ");
        let seen = self.predicate.seen(facts);
        let found = match &seen {
            Some(seen) => format!("`{seen}`"),
            None => "nothing".to_owned(),
        };
        if self.negated {
            format!("{field} excludes {found} by {values}")
        } else {
            format!("{field} is {found}, not one of {values}")
        }
    }
}

/// What one of the values has to match.
#[derive(Clone, Debug)]
pub(super) enum Predicate {
    Claim {
        path: Box<[Box<str>]>,
        texts: Box<[StringMatch]>,
    },
    DestinationIp(CidrSet),
    DestinationPort(Box<[u16]>),
    Header {
        name: HeaderName,
        texts: Box<[StringMatch]>,
    },
    Host(Box<[StringMatch]>),
    Method(Box<[StringMatch]>),
    Path(Box<[PathMatch]>),
    PathAndQuery(Box<[StringMatch]>),
    Peer(Box<[PeerMatch]>),
    RemoteIp(CidrSet),
    RequestPrincipal(Box<[PrincipalMatch]>),
    Scheme(Box<[StringMatch]>),
    ServerName(Box<[StringMatch]>),
    SourceIp(CidrSet),
}

/// What a path has to be.
#[derive(Clone, Debug)]
pub(super) enum PathMatch {
    Template(PathTemplate),
    Text(StringMatch),
}

impl PathMatch {
    fn is_match(&self, path: &str) -> bool {
        match self {
            Self::Template(template) => template.is_match(path),
            Self::Text(text) => text.is_match(path),
        }
    }
}

impl Predicate {
    /// Whether one of the values matches; none matches what is not there.
    fn is_match(&self, facts: &Facts<'_>) -> bool {
        let connection = facts.connection;
        match self {
            Self::Claim { path, texts } => facts
                .claim(path)
                .is_some_and(|claim| any_text(claim, texts)),
            Self::DestinationIp(cidrs) => cidrs.contains(connection.destination.ip()),
            Self::DestinationPort(ports) => ports.contains(&connection.destination.port()),
            Self::Header { name, texts } => {
                header(facts, name).is_some_and(|value| any(texts, &value))
            }
            Self::Host(texts) => facts
                .request
                .and_then(|request| request.host)
                .is_some_and(|host| any(texts, host)),
            Self::Method(texts) => facts
                .request
                .is_some_and(|request| any(texts, request.method.as_bytes())),
            Self::Path(paths) => facts
                .path()
                .is_some_and(|path| paths.iter().any(|matcher| matcher.is_match(path))),
            Self::PathAndQuery(texts) => facts
                .request
                .is_some_and(|request| any(texts, request.path.as_bytes())),
            Self::Peer(peers) => peers.iter().any(|matcher| match connection.peer {
                Some(peer) => matcher.is_match(peer),
                None => connection.has_certificate && matcher.takes_any_certificate(),
            }),
            Self::RemoteIp(cidrs) => cidrs.contains(connection.remote),
            Self::RequestPrincipal(principals) => facts
                .request
                .and_then(|request| request.claims)
                .is_some_and(|claims| principals.iter().any(|matcher| matcher.is_match(claims))),
            Self::Scheme(texts) => facts
                .request
                .is_some_and(|request| any(texts, request.scheme.as_bytes())),
            Self::ServerName(texts) => any(texts, server_name(facts).as_bytes()),
            Self::SourceIp(cidrs) => cidrs.contains(connection.source),
        }
    }

    /// What the condition looked at, for explanations.
    fn seen(&self, facts: &Facts<'_>) -> Option<String> {
        let connection = facts.connection;
        let address = |address: IpAddr| Some(address.to_string());
        let bytes = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::Claim { path, .. } => facts.claim(path).map(render),
            Self::DestinationIp(_) => address(connection.destination.ip()),
            Self::DestinationPort(_) => Some(connection.destination.port().to_string()),
            Self::Header { name, .. } => header(facts, name).map(|value| bytes(&value)),
            Self::Host(_) => facts.request?.host.map(bytes),
            Self::Method(_) => Some(facts.request?.method.to_owned()),
            Self::Path(_) => facts.path().map(str::to_owned),
            Self::PathAndQuery(_) => Some(facts.request?.path.to_owned()),
            Self::Peer(_) => {
                let unnamed = || {
                    let text = "a certificate without an identity";
                    connection.has_certificate.then(|| text.to_owned())
                };
                connection.peer.map(str::to_owned).or_else(unnamed)
            }
            Self::RemoteIp(_) => address(connection.remote),
            Self::RequestPrincipal(_) => facts.request?.claims.and_then(PrincipalMatch::seen),
            Self::Scheme(_) => Some(facts.request?.scheme.to_owned()),
            Self::ServerName(_) => connection.server_name.map(str::to_owned),
            Self::SourceIp(_) => address(connection.source),
        }
    }

    /// Whether the connection is looked at, beyond the identity of the peer.
    pub(super) fn needs_connection(&self) -> bool {
        match self {
            Self::DestinationIp(_)
            | Self::DestinationPort(_)
            | Self::RemoteIp(_)
            // It is that of the connection where nobody names one.
            | Self::Scheme(_)
            | Self::ServerName(_)
            | Self::SourceIp(_) => true,
            Self::Claim { .. }
            | Self::Header { .. }
            | Self::Host(_)
            | Self::Method(_)
            | Self::Path(_)
            | Self::PathAndQuery(_)
            | Self::Peer(_)
            | Self::RequestPrincipal(_) => false,
        }
    }
}

fn any(texts: &[StringMatch], value: &[u8]) -> bool {
    texts.iter().any(|text| text.is_match_bytes(value))
}

/// A connection without a server name has an empty one, as in Envoy.
fn server_name<'a>(facts: &Facts<'a>) -> &'a str {
    facts.connection.server_name.unwrap_or_default()
}

/// The values of a header, joined by commas if there are several.
fn header<'a>(facts: &Facts<'a>, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let headers = facts.request?.headers;
    let mut values = headers.get_all(name).iter();
    let first = values.next()?.as_bytes();
    let mut joined = Cow::Borrowed(first);
    for value in values {
        let joined = joined.to_mut();
        joined.push(b',');
        joined.extend_from_slice(value.as_bytes());
    }
    Some(joined)
}

fn render(claim: &Value) -> String {
    match claim {
        Value::String(text) => text.clone(),
        Value::List(items) => items.iter().map(render).collect::<Vec<_>>().join(", "),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Map(_) => "a map".to_owned(),
        Value::Null => "null".to_owned(),
    }
}
