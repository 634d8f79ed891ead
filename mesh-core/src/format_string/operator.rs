use std::borrow::Cow;
use std::io::Write;

use http::{HeaderMap, HeaderName, Version};

use super::completed::Completed;
use super::ending::Ending;
use super::exchange::Exchange;
use super::observed::Observed;
use super::time::TimeFormat;
use super::upstream::Upstream;
use crate::attributes::{ClientAddress, PeerIdentity, ResponseFlag};
use crate::model::cluster::EndpointAddress;
use crate::reply::{self, Caller};
use crate::service::ClusterName;

const ORIGINAL_PATH: &str = "x-envoy-original-path";

/// An operator and its argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operator {
    Address { end: End, part: Part },
    Completed(Completed),
    Ending(Ending),
    GrpcStatus(GrpcStatusForm),
    Observed(Observed),
    Path { source: PathSource, query: bool },
    PeerUriSan,
    Protocol,
    QueryParam(Box<str>),
    Request(Vec<Field>),
    RequestWithoutQuery(Vec<Field>),
    RequestedServerName,
    Response(Vec<HeaderName>),
    ResponseCode,
    ResponseFlags,
    RouteName,
    StartTime(TimeFormat),
    Trailer(Vec<HeaderName>),
    Upstream(Upstream),
    UpstreamCluster,
    UpstreamHost,
}

/// How a gRPC status is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum GrpcStatusForm {
    /// `DeadlineExceeded`
    Camel,
    /// `4`
    Number,
    /// `DEADLINE_EXCEEDED`
    Snake,
}

/// An end of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    /// The other end of the connection, which may be a proxy.
    Direct,
    Local,
    /// The client, wherever it is.
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
            Self::Address { end, part } => address(exchange, *end, *part, out),
            Self::Completed(what) => exchange
                .completion
                .is_some_and(|completion| what.write(completion, out)),
            Self::Ending(what) => what.write(exchange, out),
            Self::GrpcStatus(form) => {
                let status = grpc_status(exchange, *form);
                put(out, status.as_deref())
            }
            Self::Observed(what) => what.write(exchange, out),
            Self::Path { source, query } => put(out, path(exchange, *source, *query)),
            Self::PeerUriSan => {
                let identity = exchange.extensions.get::<PeerIdentity>();
                put(out, identity.map(|PeerIdentity(id)| id.to_string()))
            }
            Self::Protocol => {
                let version = exchange.request.map(|request| request.version);
                put(out, version.map(protocol))
            }
            Self::QueryParam(name) => put(out, exchange.query_param(name)),
            Self::Request(fields) => put(out, field(exchange, fields)),
            Self::RequestWithoutQuery(fields) => {
                put(out, field(exchange, fields).map(without_query))
            }
            Self::RequestedServerName => put(out, server_name(exchange)),
            Self::Response(names) => {
                let headers = exchange.response.map(|response| response.headers);
                put(out, headers.and_then(|headers| first(headers, names)))
            }
            Self::ResponseCode => {
                let status = exchange.response.and_then(|response| response.status);
                put(
                    out,
                    Some(status.as_ref().map_or("0", http::StatusCode::as_str)),
                )
            }
            Self::ResponseFlags => put_flags(out, exchange, ResponseFlag::as_str),
            Self::RouteName => {
                let name = exchange.route().map(|route| route.name());
                put(out, name.filter(|name| !name.is_empty()))
            }
            Self::StartTime(format) => {
                format.write(exchange.start, out);
                true
            }
            Self::Trailer(names) => put(
                out,
                trailers(exchange).and_then(|fields| first(fields, names)),
            ),
            Self::Upstream(what) => what.write(exchange, out),
            Self::UpstreamCluster => {
                let cluster = exchange.cluster();
                put(out, cluster.map(ClusterName::as_str))
            }
            Self::UpstreamHost => upstream_host(exchange, out),
        }
    }

    /// The operator's name, if it has a value only once the exchange is over.
    pub(super) fn needs_completion(&self) -> Option<&'static str> {
        match self {
            Self::Completed(what) => Some(what.name()),
            Self::Ending(what) => Some(what.name()),
            Self::Trailer(_) => Some("TRAILER"),
            Self::Upstream(what) => Some(what.name()),
            _ => None,
        }
    }

    /// Whether the value is a number.
    pub(super) fn is_number(&self) -> bool {
        match self {
            Self::ResponseCode
            | Self::GrpcStatus(GrpcStatusForm::Number)
            | Self::Ending(Ending::CommonDuration(_)) => true,
            Self::Completed(what) => what.is_number(),
            Self::Address { part, .. } => *part == Part::Port,
            Self::Observed(what) => what.is_number(),
            Self::Upstream(what) => what.part == Part::Port,
            _ => false,
        }
    }
}

fn upstream_host(exchange: &Exchange<'_>, out: &mut Vec<u8>) -> bool {
    let endpoint = exchange.endpoint();
    endpoint.is_some_and(|endpoint| match &endpoint.0.address {
        EndpointAddress::Dns { host, port } => write!(out, "{host}:{port}").is_ok(),
        EndpointAddress::Ip(address) => write!(out, "{address}").is_ok(),
        EndpointAddress::Unix(path) => put(out, Some(path)),
    })
}

/// Appends the names of the flags, or `-` if there are none.
pub(super) fn put_flags(
    out: &mut Vec<u8>,
    exchange: &Exchange<'_>,
    name: fn(ResponseFlag) -> &'static str,
) -> bool {
    let start = out.len();
    for flag in exchange.ordered_flags() {
        if out.len() > start {
            out.push(b',');
        }
        out.extend(name(flag).bytes());
    }
    if out.len() == start {
        out.push(b'-');
    }
    true
}

/// Names of the gRPC status codes, from 0 on.
const GRPC_STATUSES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

/// The gRPC status of the answer to a request of gRPC.
fn grpc_status(exchange: &Exchange<'_>, form: GrpcStatusForm) -> Option<Cow<'static, str>> {
    if Caller::of(&exchange.request?.headers) != Caller::Grpc {
        return None;
    }
    let head = exchange.response.map(|response| response.headers);
    let status = exchange.response.and_then(|response| response.status);
    let code = reply::grpc_status_of(trailers(exchange), head, status)?;
    let names = usize::try_from(code).ok();
    let names = names.and_then(|code| GRPC_STATUSES.get(code));
    Some(match (form, names) {
        (GrpcStatusForm::Camel, Some((camel, _))) => (*camel).into(),
        (GrpcStatusForm::Snake, Some((_, snake))) => (*snake).into(),
        (GrpcStatusForm::Number, _) | (_, None) => code.to_string().into(),
    })
}

impl Field {
    fn of<'a>(&self, exchange: &Exchange<'a>) -> Option<&'a [u8]> {
        match self {
            Self::Authority => exchange.authority(),
            Self::Method => Some(exchange.request?.method.as_str().as_bytes()),
            Self::Named(name) => Some(exchange.request?.headers.get(name)?.as_bytes()),
            Self::Path => exchange.path_and_query().map(str::as_bytes),
            Self::Scheme => exchange.scheme().map(str::as_bytes),
        }
    }
}

/// The trailers of the response, once it is over.
fn trailers<'a>(exchange: &Exchange<'a>) -> Option<&'a HeaderMap> {
    exchange.completion?.trailers.as_ref()
}

/// The name that the client's TLS asked for.
fn server_name<'a>(exchange: &Exchange<'a>) -> Option<&'a str> {
    exchange.connection()?.tls.as_ref()?.server_name.as_deref()
}

/// The first of the fields that is there.
fn field<'a>(exchange: &Exchange<'a>, fields: &[Field]) -> Option<&'a [u8]> {
    fields.iter().find_map(|field| field.of(exchange))
}

fn without_query(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'?').next().unwrap_or_default()
}

/// Appends `value`, and returns whether there is one.
pub(super) fn put(out: &mut Vec<u8>, value: Option<impl AsRef<[u8]>>) -> bool {
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

fn address(exchange: &Exchange<'_>, end: End, part: Part, out: &mut Vec<u8>) -> bool {
    let connection = exchange.connection();
    let address = match end {
        End::Direct => connection.map(|connection| connection.peer),
        End::Local => connection.map(|connection| connection.local),
        End::Remote => ClientAddress::of(exchange.extensions),
    };
    address.is_some_and(|address| part.write(address, out))
}

fn path<'a>(exchange: &Exchange<'a>, source: PathSource, query: bool) -> Option<&'a [u8]> {
    let original = || Some(exchange.request?.headers.get(ORIGINAL_PATH)?.as_bytes());
    let current = || exchange.path_and_query().map(str::as_bytes);
    let path = match source {
        PathSource::Current => current(),
        PathSource::Original => original(),
        PathSource::OriginalOrCurrent => original().or_else(current),
    }?;
    Some(if query { path } else { without_query(path) })
}

/// What Envoy calls a version of HTTP: `%PROTOCOL%`, and in attributes, spans and questions to authorizers.
///
/// ```
/// use http::Version;
///
/// assert_eq!(mesh_core::format_string::protocol(Version::HTTP_2), "HTTP/2");
/// ```
pub fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}
