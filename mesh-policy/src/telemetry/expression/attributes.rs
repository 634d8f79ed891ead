//! Envoy's attributes of an exchange, as values.

use std::collections::HashMap;
use std::net::SocketAddr;

use cel::Value;
use cel::objects::Key;
use http::header::{HOST, REFERER, USER_AGENT};
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, Method, StatusCode, Uri, Version, request};
use mesh_core::attributes::{
    ClientAddress, ConnectionInfo, MatchedRoute, PeerIdentity, Progress, ResponseFlag,
    ResponseFlags, SelectedEndpoint,
};
use mesh_core::model::cluster::EndpointAddress;
use mesh_core::service::ClusterName;

/// What is known of an exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// `None` if there are no requests.
    request: Option<Head<'a>>,
    extensions: &'a Extensions,
    answer: Option<&'a Answer<'a>>,
}

/// The head of a request.
#[derive(Clone, Copy, Debug)]
struct Head<'a> {
    method: &'a Method,
    uri: &'a Uri,
    version: Version,
    headers: &'a HeaderMap,
}

/// What is known of the answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answer<'a> {
    /// The status, if there is a response.
    pub(crate) status: Option<StatusCode>,
    /// Why it is as it is.
    pub(crate) details: Option<&'a str>,
    /// The flags.
    pub(crate) flags: ResponseFlags,
    /// The headers, if there is a response.
    pub(crate) headers: Option<&'a HeaderMap>,
    /// The trailers, if there are any.
    pub(crate) trailers: Option<&'a HeaderMap>,
    /// The endpoint, if one was picked.
    pub(crate) endpoint: Option<&'a SelectedEndpoint>,
    /// The bytes of both bodies, that of the request first.
    pub(crate) sizes: (u64, u64),
}

impl<'a> Facts<'a> {
    /// What is known when a request comes.
    pub(crate) fn of_request(request: &'a request::Parts) -> Self {
        let head = Head {
            method: &request.method,
            uri: &request.uri,
            version: request.version,
            headers: &request.headers,
        };
        Self {
            request: Some(head),
            extensions: &request.extensions,
            answer: None,
        }
    }

    /// What is known when a request comes.
    pub(crate) fn of<B>(request: &'a http::Request<B>) -> Self {
        let head = Head {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
        };
        Self {
            request: Some(head),
            extensions: request.extensions(),
            answer: None,
        }
    }

    /// What is known of a connection that carries no requests.
    pub(crate) fn of_connection(extensions: &'a Extensions) -> Self {
        Self {
            request: None,
            extensions,
            answer: None,
        }
    }

    /// Adds what is known at the end.
    pub(crate) fn with_answer(self, answer: &'a Answer<'a>) -> Self {
        let answer = Some(answer);
        Self { answer, ..self }
    }
}

impl Head<'_> {
    fn text(&self, name: http::HeaderName) -> Option<Value> {
        let value = self.headers.get(name)?.as_bytes();
        Some((&*String::from_utf8_lossy(value)).into())
    }

    fn host(&self) -> Option<Value> {
        match self.uri.authority() {
            Some(authority) => Some(authority.as_str().into()),
            None => self.text(HOST),
        }
    }
}

/// A variable.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Root {
    Connection,
    Destination,
    Request,
    Response,
    Source,
    Upstream,
    Xds,
}

impl Root {
    const ALL: [Self; 7] = [
        Self::Connection,
        Self::Destination,
        Self::Request,
        Self::Response,
        Self::Source,
        Self::Upstream,
        Self::Xds,
    ];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|root| root.name() == name)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Destination => "destination",
            Self::Request => "request",
            Self::Response => "response",
            Self::Source => "source",
            Self::Upstream => "upstream",
            Self::Xds => "xds",
        }
    }

    /// Its value for an exchange: the attributes that there are.
    pub(super) fn of(self, facts: &Facts<'_>) -> Value {
        let connection = facts.extensions.get::<ConnectionInfo>();
        let of_answer = facts.answer.and_then(|answer| answer.endpoint);
        let endpoint = of_answer.or_else(|| Progress::endpoint_in(facts.extensions));
        match self {
            Self::Connection => of_connection(facts, connection),
            Self::Destination => address(connection.map(|connection| connection.local)),
            Self::Request => {
                let request = facts.request.as_ref();
                request.map_or_else(|| map([]), |head| of_request(head, facts))
            }
            Self::Response => facts.answer.map_or_else(|| map([]), of_response),
            Self::Source => address(ClientAddress::of(facts.extensions)),
            Self::Upstream => {
                address(
                    endpoint.and_then(|SelectedEndpoint(endpoint)| match endpoint.address {
                        EndpointAddress::Ip(address) => Some(address),
                        EndpointAddress::Dns { .. } | EndpointAddress::Unix(_) => None,
                    }),
                )
            }
            Self::Xds => of_route(Progress::route_in(facts.extensions)),
        }
    }
}

/// The attributes among `all` that there are.
fn map<const N: usize>(all: [(&'static str, Option<Value>); N]) -> Value {
    let there = all.into_iter();
    let there = there.filter_map(|(name, value)| Some((Key::from(name), value?)));
    Value::from(there.collect::<HashMap<Key, Value>>())
}

fn of_request(head: &Head<'_>, facts: &Facts<'_>) -> Value {
    let path = head.uri.path_and_query().map(PathAndQuery::as_str);
    let connection = facts.extensions.get::<ConnectionInfo>();
    let is_tls = connection.is_some_and(|connection| connection.tls.is_some());
    let scheme = head.uri.scheme_str();
    let size = facts.answer.map(|answer| answer.sizes.0);
    map([
        ("path", path.map(Value::from)),
        ("url_path", Some(head.uri.path().into())),
        ("query", Some(head.uri.query().unwrap_or_default().into())),
        ("host", head.host()),
        (
            "scheme",
            Some(
                scheme
                    .unwrap_or(if is_tls { "https" } else { "http" })
                    .into(),
            ),
        ),
        ("method", Some(head.method.as_str().into())),
        ("headers", Some(fields(head.headers))),
        ("referer", head.text(REFERER)),
        ("useragent", head.text(USER_AGENT)),
        (
            "id",
            head.text(http::HeaderName::from_static("x-request-id")),
        ),
        ("protocol", Some(format!("{:?}", head.version).into())),
        ("size", size.map(number)),
    ])
}

fn of_response(answer: &Answer<'_>) -> Value {
    let grpc = [answer.trailers, answer.headers].into_iter().flatten();
    let mut grpc = grpc.filter_map(|headers| headers.get("grpc-status")?.to_str().ok());
    let grpc = grpc.next().and_then(|status| status.parse::<u64>().ok());
    map([
        (
            "code",
            answer.status.map(|status| number(status.as_u16().into())),
        ),
        ("code_details", answer.details.map(Value::from)),
        ("flags", Some(number(bits(answer.flags)))),
        ("grpc_status", grpc.map(number)),
        ("headers", answer.headers.map(fields)),
        ("trailers", answer.trailers.map(fields)),
        ("size", Some(number(answer.sizes.1))),
    ])
}

fn of_connection(facts: &Facts<'_>, connection: Option<&ConnectionInfo>) -> Value {
    let peer = facts.extensions.get::<PeerIdentity>();
    let tls = connection.and_then(|connection| connection.tls.as_ref());
    let server_name = tls.and_then(|tls| tls.server_name.as_deref());
    map([
        ("mtls", Some(Value::Bool(peer.is_some()))),
        ("requested_server_name", server_name.map(Value::from)),
        (
            "tls_version",
            tls.and_then(|tls| tls.version).map(Value::from),
        ),
        (
            "uri_san_peer_certificate",
            peer.map(|PeerIdentity(id)| id.to_string().into()),
        ),
    ])
}

fn of_route(matched: Option<&MatchedRoute>) -> Value {
    let cluster = matched.and_then(MatchedRoute::cluster);
    map([
        (
            "route_name",
            matched.map(|matched| Value::from(matched.name())),
        ),
        (
            "cluster_name",
            cluster.map(ClusterName::as_str).map(Value::from),
        ),
    ])
}

fn address(address: Option<SocketAddr>) -> Value {
    map([
        ("address", address.map(|address| address.to_string().into())),
        ("port", address.map(|address| number(address.port().into()))),
    ])
}

fn fields(headers: &HeaderMap) -> Value {
    let mut texts: HashMap<String, String> = HashMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        let joined = texts.entry(name.as_str().to_owned()).or_default();
        if !joined.is_empty() {
            joined.push(',');
        }
        joined.push_str(&value);
    }
    Value::from(texts)
}

fn number(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The flags as Envoy numbers them (`envoy/stream_info/stream_info.h`).
fn bits(flags: ResponseFlags) -> u64 {
    flags.iter().map(|flag| 1_u64 << bit(flag)).sum()
}

fn bit(flag: ResponseFlag) -> u32 {
    match flag {
        ResponseFlag::NoHealthyUpstream => 1,
        ResponseFlag::UpstreamRequestTimeout => 2,
        ResponseFlag::UpstreamRemoteReset => 4,
        ResponseFlag::UpstreamConnectionFailure => 5,
        ResponseFlag::UpstreamConnectionTermination => 6,
        ResponseFlag::UpstreamOverflow => 7,
        ResponseFlag::NoRouteFound => 8,
        ResponseFlag::DelayInjected => 9,
        ResponseFlag::FaultInjected => 10,
        ResponseFlag::RateLimited => 11,
        ResponseFlag::UnauthorizedExternalService => 12,
        ResponseFlag::RateLimitServiceError => 13,
        ResponseFlag::DownstreamConnectionTermination => 14,
        ResponseFlag::UpstreamRetryLimitExceeded => 15,
        ResponseFlag::StreamIdleTimeout => 16,
        ResponseFlag::DownstreamProtocolError => 18,
        ResponseFlag::DurationTimeout => 22,
        ResponseFlag::UpstreamProtocolError => 23,
        ResponseFlag::NoClusterFound => 24,
        ResponseFlag::OverloadManager => 25,
        ResponseFlag::DnsResolutionFailed => 26,
    }
}
