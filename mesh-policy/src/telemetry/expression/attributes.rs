//! Envoy's attributes of an exchange, as values.

use std::collections::HashMap;
use std::net::SocketAddr;

use cel::Value;
use cel::objects::Key;
use http::header::{HOST, REFERER, USER_AGENT};
use http::{HeaderMap, HeaderName};
use mesh_core::attributes::{
    ClientAddress, ConnectionInfo, MatchedRoute, PeerIdentity, Progress, SelectedEndpoint,
};
use mesh_core::format_string::protocol;
use mesh_core::model::cluster::EndpointAddress;
use mesh_core::service::ClusterName;

use super::durations;
use super::facts::{Answer, Facts, bytes, head_bytes};
use super::flags::bits;
use crate::telemetry::grpc_status;
use crate::telemetry::head::{Field, Head};
use crate::telemetry::mutual_tls::is_mutual;

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

    /// The attributes that it may have.
    pub(super) fn attributes(self) -> &'static [&'static str] {
        match self {
            Self::Connection => &[
                "mtls",
                "requested_server_name",
                "termination_details",
                "tls_version",
                "uri_san_peer_certificate",
            ],
            Self::Destination | Self::Source => &["address", "port"],
            Self::Request => &[
                "duration",
                "headers",
                "host",
                "id",
                "method",
                "path",
                "protocol",
                "query",
                "referer",
                "scheme",
                "size",
                "total_size",
                "url_path",
                "useragent",
            ],
            Self::Response => &[
                "code",
                "code_details",
                "flags",
                "grpc_status",
                "headers",
                "size",
                "total_size",
                "trailers",
            ],
            Self::Upstream => &[
                "address",
                "local_address",
                "port",
                "transport_failure_reason",
            ],
            Self::Xds => &["cluster_name", "route_name"],
        }
    }

    /// Its value for an exchange: the attributes that there are.
    pub(super) fn of(self, facts: &Facts<'_>) -> Value {
        let connection = facts.extensions.get::<ConnectionInfo>();
        match self {
            Self::Connection => of_connection(facts, connection),
            Self::Destination => map(address(connection.map(|connection| connection.local))),
            Self::Request => of_request(facts),
            Self::Response => facts.answer.map_or_else(|| map([]), of_response),
            Self::Source => map(address(ClientAddress::of(facts.extensions))),
            Self::Upstream => of_upstream(facts),
            Self::Xds => of_route(facts),
        }
    }
}

/// The attributes among `all` that there are.
fn map<const N: usize>(all: [(&'static str, Option<Value>); N]) -> Value {
    let there = all.into_iter();
    let there = there.filter_map(|(name, value)| Some((Key::from(name), value?)));
    Value::from(there.collect::<HashMap<Key, Value>>())
}

fn of_request(facts: &Facts<'_>) -> Value {
    let duration = facts.answer.and_then(|answer| answer.duration);
    let duration = duration.map(|duration| Value::Int(durations::nanoseconds(duration)));
    let size = facts.answer.map(|answer| answer.sizes.0);
    let Some(head) = facts.request else {
        let size = size.map(number);
        return map([
            ("duration", duration),
            ("size", size.clone()),
            ("total_size", size),
        ]);
    };
    let total = size.map(|size| size.saturating_add(head_bytes(head)));
    let text = |name| head.value(&Field::Header(name)).map(|value| text(&value));
    map([
        ("path", head.path().map(Value::from)),
        ("url_path", Some(head.uri.path().into())),
        ("query", Some(head.uri.query().unwrap_or_default().into())),
        ("host", head.host().map(|host| (&*host).into())),
        ("scheme", Some(head.scheme().into())),
        ("method", Some(head.method.as_str().into())),
        ("headers", Some(fields_of_request(head))),
        ("referer", text(REFERER)),
        ("useragent", text(USER_AGENT)),
        ("id", text(HeaderName::from_static("x-request-id"))),
        ("protocol", Some(protocol(head.version).into())),
        ("size", size.map(number)),
        ("total_size", total.map(number)),
        ("duration", duration),
    ])
}

fn of_response(answer: &Answer<'_>) -> Value {
    let grpc = grpc_status::of(answer.trailers, answer.headers, answer.status);
    // With the status, as HTTP/2 has it.
    let head = answer.status.map_or(0, |_| ":status".len() + 3) as u64;
    let fields_of = [answer.headers, answer.trailers].into_iter().flatten();
    let total = fields_of.map(bytes).fold(head, u64::saturating_add);
    let status = answer.status.iter();
    let status = status.map(|status| (":status", status.as_str()));
    map([
        (
            "code",
            answer.status.map(|status| number(status.as_u16().into())),
        ),
        ("code_details", answer.details.map(Value::from)),
        ("flags", Some(number(bits(answer.flags)))),
        ("grpc_status", grpc.map(Value::Int)),
        (
            "headers",
            answer.headers.map(|headers| fields(status, headers)),
        ),
        (
            "trailers",
            answer.trailers.map(|trailers| fields([], trailers)),
        ),
        ("size", Some(number(answer.sizes.1))),
        (
            "total_size",
            Some(number(answer.sizes.1.saturating_add(total))),
        ),
    ])
}

fn of_connection(facts: &Facts<'_>, connection: Option<&ConnectionInfo>) -> Value {
    let peer = facts.extensions.get::<PeerIdentity>();
    let tls = connection.and_then(|connection| connection.tls.as_ref());
    let server_name = tls.and_then(|tls| tls.server_name.as_deref());
    map([
        ("mtls", Some(Value::Bool(is_mutual(facts.extensions)))),
        ("requested_server_name", server_name.map(Value::from)),
        (
            "tls_version",
            tls.and_then(|tls| tls.version).map(Value::from),
        ),
        (
            "uri_san_peer_certificate",
            peer.map(|PeerIdentity(id)| id.to_string().into()),
        ),
        (
            "termination_details",
            facts
                .answer
                .and_then(|answer| answer.termination)
                .map(Value::from),
        ),
    ])
}

fn of_route(facts: &Facts<'_>) -> Value {
    let matched = Progress::route_in(facts.extensions);
    let cluster = matched.and_then(MatchedRoute::cluster).or(facts.cluster);
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

fn of_upstream(facts: &Facts<'_>) -> Value {
    let answer = facts.answer;
    let of_answer = answer.and_then(|answer| answer.endpoint);
    let endpoint = of_answer.or_else(|| Progress::endpoint_in(facts.extensions));
    let known = endpoint.and_then(|SelectedEndpoint(endpoint)| match endpoint.address {
        EndpointAddress::Ip(address) => Some(address),
        EndpointAddress::Dns { .. } | EndpointAddress::Unix(_) => None,
    });
    let local = answer.and_then(|answer| answer.upstream_local);
    let failure = answer.and_then(|answer| answer.transport_failure);
    let [address, port] = address(known);
    map([
        address,
        port,
        ("local_address", local.map(Value::from)),
        ("transport_failure_reason", failure.map(Value::from)),
    ])
}

fn address(address: Option<SocketAddr>) -> [(&'static str, Option<Value>); 2] {
    [
        ("address", address.map(|address| address.to_string().into())),
        ("port", address.map(|address| number(address.port().into()))),
    ]
}

/// The fields of a request, with those that HTTP/2 has for the first line.
fn fields_of_request(head: Head<'_>) -> Value {
    let host = head.host();
    let host = host.as_deref().map(|host| (":authority", host));
    let path = head.path().map(|path| (":path", path));
    let line = [
        (":method", head.method.as_str()),
        (":scheme", head.scheme()),
    ];
    fields(line.into_iter().chain(host).chain(path), head.headers)
}

/// The fields `line` and `headers`; `host` is among the first.
fn fields<'a>(line: impl IntoIterator<Item = (&'a str, &'a str)>, headers: &HeaderMap) -> Value {
    let line = line.into_iter();
    let mut texts: HashMap<String, String> = line
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let has_host = texts.contains_key(":authority");
    for (name, value) in headers
        .iter()
        .filter(|(name, _)| !has_host || **name != HOST)
    {
        let value = String::from_utf8_lossy(value.as_bytes());
        match texts.get_mut(name.as_str()) {
            Some(joined) => {
                joined.push(',');
                joined.push_str(&value);
            }
            None => {
                texts.insert(name.as_str().to_owned(), value.into_owned());
            }
        }
    }
    Value::from(texts)
}

fn text(bytes: &[u8]) -> Value {
    (&*String::from_utf8_lossy(bytes)).into()
}

fn number(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}
