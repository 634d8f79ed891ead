//! What an authorizer is told: Envoy's `CheckRequest` (`check_request_utils.cc`).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{
    self, HttpRequest, Peer, TlsSession,
};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use envoy_types::pb::google::protobuf::Timestamp;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue};
use mesh_core::attributes::{ConnectionInfo, PeerIdentity};
use mesh_core::format_string::protocol;
use mesh_core::identity::SpiffeId;

use crate::ext_authz::check::{Check, ConnectionCheck};

/// Says whether the body that the authorizer gets is only a part.
pub(super) const PARTIAL_BODY: &str = "x-envoy-auth-partial-body";
/// Names the service that calls, if it calls by a proxy that says so.
pub(super) const SERVICE_CLUSTER: HeaderName =
    HeaderName::from_static("x-envoy-downstream-service-cluster");

/// What is asked about a request, where we are `principal` to those who prove who they are.
pub(super) fn of_request(
    check: Check,
    pack_as_bytes: bool,
    principal: Option<&SpiffeId>,
) -> CheckRequest {
    let (connection, peer) = (check.connection.as_ref(), check.peer.as_ref());
    let mut attributes = attributes(connection, peer, principal);
    let service = check.headers.get(SERVICE_CLUSTER);
    if let (Some(source), Some(service)) = (&mut attributes.source, service) {
        source.service = sanitized(service.as_bytes());
    }
    attributes.request = Some(attribute_context::Request {
        time: Some(timestamp(check.time)),
        http: Some(http_request(check, pack_as_bytes)),
    });
    CheckRequest {
        attributes: Some(attributes),
    }
}

/// What is asked about a connection that is not HTTP, where we are `principal`.
pub(super) fn of_connection(check: ConnectionCheck, principal: Option<&SpiffeId>) -> CheckRequest {
    let ConnectionCheck {
        connection,
        peer,
        server_name,
    } = check;
    let mut attributes = attributes(Some(&connection), peer.as_ref(), principal);
    if let (Some(destination), Some(name)) = (&mut attributes.destination, server_name) {
        destination.service = name.to_string();
    }
    CheckRequest {
        attributes: Some(attributes),
    }
}

/// What is known of a connection, where we are `principal` to those who prove who they are.
fn attributes(
    connection: Option<&ConnectionInfo>,
    peer: Option<&PeerIdentity>,
    principal: Option<&SpiffeId>,
) -> AttributeContext {
    let end = |ip, principal: Option<&SpiffeId>| Peer {
        address: Some(address(ip)),
        principal: principal.map(ToString::to_string).unwrap_or_default(),
        ..Peer::default()
    };
    let source = connection.map(|connection| end(connection.peer, peer.map(|peer| &peer.0)));
    let ours = principal.filter(|_| peer.is_some());
    let destination = connection.map(|connection| end(connection.local, ours));
    let tls = connection.and_then(|connection| connection.tls.as_ref());
    let tls_session = tls.map(|tls| TlsSession {
        sni: tls.server_name.as_deref().unwrap_or_default().to_owned(),
    });
    AttributeContext {
        source,
        destination,
        tls_session,
        ..AttributeContext::default()
    }
}

fn http_request(check: Check, pack_as_bytes: bool) -> HttpRequest {
    let path = check.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let authority = check.uri.authority().map(|authority| authority.to_string());
    let host = authority.or_else(|| text(check.headers.get(HOST)?));
    let length = check.headers.get(http::header::CONTENT_LENGTH);
    let size = length
        .and_then(|length| text(length)?.parse().ok())
        .unwrap_or(-1);
    let mut request = HttpRequest {
        id: String::new(),
        method: check.method.to_string(),
        path: path.to_owned(),
        host: host.unwrap_or_default(),
        scheme: check.scheme.to_string(),
        protocol: protocol(check.version).to_owned(),
        size,
        headers: header_texts(&check.headers),
        ..HttpRequest::default()
    };
    let id = request.headers.get("x-request-id");
    request.id = id.cloned().unwrap_or_default();
    add_pseudo_headers(&mut request);
    if let Some(body) = check.body {
        let partial = body.is_partial.to_string();
        request.headers.insert(PARTIAL_BODY.to_owned(), partial);
        match pack_as_bytes {
            true => request.raw_body = body.bytes.to_vec(),
            false => request.body = sanitized(&body.bytes),
        }
    }
    request
}

/// A time as protobuf has it; one before 1970 is 1970.
fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    Timestamp {
        seconds: since.as_secs().try_into().unwrap_or(i64::MAX),
        nanos: since.subsec_nanos().try_into().unwrap_or_default(),
    }
}

/// Adds what Envoy keeps among the headers of all versions of HTTP.
fn add_pseudo_headers(request: &mut HttpRequest) {
    let pseudo = [
        (":authority", &request.host),
        (":method", &request.method),
        (":path", &request.path),
        (":scheme", &request.scheme),
    ];
    let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value.clone()));
    request.headers.extend(pseudo);
}

/// Headers by name, the values of one name joined by commas. The host is `:authority`, and what a
/// client says of the body that is sent is not known to it.
fn header_texts(headers: &HeaderMap) -> HashMap<String, String> {
    let is_sent = |name: &HeaderName| *name != HOST && name.as_str() != PARTIAL_BODY;
    let mut texts: HashMap<String, String> = HashMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| is_sent(name)) {
        let value = sanitized(value.as_bytes());
        match texts.get_mut(name.as_str()) {
            Some(joined) => {
                joined.push(',');
                joined.push_str(&value);
            }
            None => {
                texts.insert(name.as_str().to_owned(), value);
            }
        }
    }
    texts
}

/// Text for a message of protobuf, which has to be UTF-8: other bytes are `!`, as in Envoy.
fn sanitized(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '!'));
    }
    text
}

fn text(value: &HeaderValue) -> Option<String> {
    value.to_str().ok().map(str::to_owned)
}

fn address(address: SocketAddr) -> Address {
    Address {
        address: Some(AddressKind::SocketAddress(SocketAddress {
            address: address.ip().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(address.port().into())),
            ..SocketAddress::default()
        })),
    }
}
