use std::io::Write;

use http::{HeaderMap, HeaderName, Version};

use super::exchange::Exchange;
use super::time::TimeFormat;
use crate::attributes::{ConnectionInfo, PeerIdentity};
use crate::service::ClusterName;

const ORIGINAL_PATH: &str = "x-envoy-original-path";

/// An operator and its argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operator {
    Address { end: End, part: Part },
    Path { source: PathSource, query: bool },
    PeerUriSan,
    Protocol,
    Request(Vec<Field>),
    RequestedServerName,
    Response(Vec<HeaderName>),
    ResponseCode,
    ResponseFlags,
    RouteName,
    StartTime(TimeFormat),
    UpstreamCluster,
}

/// An end of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    Local,
    Remote,
}

/// A part of an address.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Part {
    Both,
    Ip,
    Port,
}

/// Which path a `PATH` operator means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PathSource {
    Current,
    Original,
    OriginalOrCurrent,
}

/// A field of a request, or a pseudo-header field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field {
    Authority,
    Method,
    Named(HeaderName),
    Path,
    Scheme,
}

impl Operator {
    /// Whether the value is known from the response alone.
    pub(super) fn is_of_response(&self) -> bool {
        matches!(
            self,
            Self::Response(_) | Self::ResponseCode | Self::ResponseFlags
        )
    }

    /// Appends the value to `out`, or returns `false` if there is none.
    pub(super) fn write(&self, exchange: &Exchange<'_>, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Address { end, part } => address(exchange.connection(), *end, *part, out),
            Self::Path { source, query } => put(out, path(exchange, *source, *query)),
            Self::PeerUriSan => {
                let identity = exchange.request.extensions.get::<PeerIdentity>();
                put(out, identity.map(|PeerIdentity(id)| id.to_string()))
            }
            Self::Protocol => put(out, Some(protocol(exchange.request.version))),
            Self::Request(fields) => put(out, fields.iter().find_map(|field| field.of(exchange))),
            Self::RequestedServerName => {
                let tls = exchange
                    .connection()
                    .and_then(|connection| connection.tls.as_ref());
                put(out, tls.and_then(|tls| tls.server_name.as_deref()))
            }
            Self::Response(names) => {
                let headers = exchange.response.map(|response| response.headers);
                put(out, headers.and_then(|headers| first(headers, names)))
            }
            Self::ResponseCode => {
                let status = exchange.response.map(|response| response.status);
                put(
                    out,
                    Some(status.as_ref().map_or("0", http::StatusCode::as_str)),
                )
            }
            Self::ResponseFlags => {
                let flag = exchange.response.and_then(|response| response.flag);
                put(out, Some(flag.map_or("-", |flag| flag.as_str())))
            }
            Self::RouteName => put(out, exchange.route().map(|route| route.name())),
            Self::StartTime(format) => {
                format.write(exchange.start, out);
                true
            }
            Self::UpstreamCluster => {
                let cluster = exchange.route().and_then(|route| route.cluster());
                put(out, cluster.map(ClusterName::as_str))
            }
        }
    }
}

impl Field {
    fn of<'a>(&self, exchange: &Exchange<'a>) -> Option<&'a [u8]> {
        match self {
            Self::Authority => exchange.authority(),
            Self::Method => Some(exchange.request.method.as_str().as_bytes()),
            Self::Named(name) => Some(exchange.request.headers.get(name)?.as_bytes()),
            Self::Path => Some(exchange.path_and_query().as_bytes()),
            Self::Scheme => Some(exchange.scheme().as_bytes()),
        }
    }
}

/// Appends `value`, and returns whether there is one.
fn put(out: &mut Vec<u8>, value: Option<impl AsRef<[u8]>>) -> bool {
    let Some(value) = value else {
        return false;
    };
    out.extend(value.as_ref());
    true
}

fn first<'a>(headers: &'a HeaderMap, names: &[HeaderName]) -> Option<&'a [u8]> {
    let value = names.iter().find_map(|name| headers.get(name))?;
    Some(value.as_bytes())
}

fn address(connection: Option<&ConnectionInfo>, end: End, part: Part, out: &mut Vec<u8>) -> bool {
    let Some(connection) = connection else {
        return false;
    };
    let address = match end {
        End::Local => connection.local,
        End::Remote => connection.peer,
    };
    match part {
        Part::Both => write!(out, "{address}"),
        Part::Ip => write!(out, "{}", address.ip()),
        Part::Port => write!(out, "{}", address.port()),
    }
    .is_ok()
}

fn path<'a>(exchange: &Exchange<'a>, source: PathSource, query: bool) -> Option<&'a [u8]> {
    let original = || Some(exchange.request.headers.get(ORIGINAL_PATH)?.as_bytes());
    let current = || Some(exchange.path_and_query().as_bytes());
    let path = match source {
        PathSource::Current => current(),
        PathSource::Original => original(),
        PathSource::OriginalOrCurrent => original().or_else(current),
    }?;
    let end = path.iter().position(|&byte| byte == b'?' && !query);
    Some(&path[..end.unwrap_or(path.len())])
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}
