//! Ask an authorizer by gRPC: `envoy.service.auth.v3.Authorization/Check`.
//!
//! The authorizer gets all headers of the request, its method, host, path and protocol, the
//! addresses and identities of both ends, and what was read of the body. See Envoy's
//! [`CheckRequest`] for the meaning of each field.
//!
//! [`CheckRequest`]: https://www.envoyproxy.io/docs/envoy/latest/api-v3/service/auth/v3/external_auth.proto
//!
//! # Example
//!
//! ```
//! use mesh_policy::ext_authz::grpc::GrpcAuthorizer;
//! use mesh_policy::ext_authz::{Provider, Providers, Settings};
//! use tonic::transport::Endpoint;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let channel = Endpoint::from_static("http://127.0.0.1:9000").connect_lazy();
//! let provider = Provider::new(GrpcAuthorizer::new(channel), Settings::default());
//! let providers = Providers::default().with("authz", provider);
//! # let _ = providers;
//! # Ok(())
//! # }
//! ```

use std::collections::HashMap;
use std::net::SocketAddr;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::socket_address::PortSpecifier;
use envoy_types::pb::envoy::config::core::v3::{Address, HeaderValueOption, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{
    self, HttpRequest, Peer, TlsSession,
};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use mesh_core::attributes::{ConnectionInfo, PeerIdentity};
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::StdError;

use super::check::{Answer, Authorize, AuthorizeError, Changes, Check, CheckFuture, Denial};

/// An authorizer that is asked by gRPC.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct GrpcAuthorizer<T> {
    client: AuthorizationClient<T>,
    pack_as_bytes: bool,
}

impl<T> GrpcAuthorizer<T>
where
    T: GrpcService<Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    /// Asks over `channel`, which is cloned for each request.
    pub fn new(channel: T) -> Self {
        Self {
            client: AuthorizationClient::new(channel),
            pack_as_bytes: false,
        }
    }

    /// Sends the body as bytes rather than as text: `packAsBytes`. Default: no.
    #[must_use]
    pub fn with_body_as_bytes(mut self, pack_as_bytes: bool) -> Self {
        self.pack_as_bytes = pack_as_bytes;
        self
    }

    /// Asks about a connection that is not HTTP, when
    /// [`evaluate_connection`](crate::authz::CustomPolicies::evaluate_connection) says so. Timeout
    /// and failing open are up to the caller.
    ///
    /// # Errors
    ///
    /// When the authorizer is not reached or fails.
    pub async fn check_connection(
        &self,
        connection: &ConnectionInfo,
        peer: Option<&PeerIdentity>,
    ) -> Result<bool, AuthorizeError>
    where
        T: Clone,
    {
        let request = CheckRequest {
            attributes: Some(attributes(Some(connection), peer)),
        };
        let response = self.client.clone().check(request).await;
        let response = response.map_err(|status| AuthorizeError::Transport(status.into()))?;
        let answer = answer(response.into_inner())?;
        Ok(matches!(answer, Answer::Allow(_)))
    }
}

impl<T> Authorize for GrpcAuthorizer<T>
where
    T: GrpcService<Body> + Clone + Send + Sync,
    T::Future: Send,
    T::Error: Into<StdError>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    fn check(&self, check: Check) -> CheckFuture<'_> {
        Box::pin(async move {
            let request = request(check, self.pack_as_bytes);
            let mut client = self.client.clone();
            let response = client.check(request).await;
            let response = response.map_err(|status| AuthorizeError::Transport(status.into()))?;
            answer(response.into_inner())
        })
    }
}

fn request(check: Check, pack_as_bytes: bool) -> CheckRequest {
    let mut attributes = attributes(check.connection.as_ref(), check.peer.as_ref());
    let is_tls = attributes.tls_session.is_some();
    attributes.request = Some(attribute_context::Request {
        http: Some(http_request(check, is_tls, pack_as_bytes)),
        ..attribute_context::Request::default()
    });
    CheckRequest {
        attributes: Some(attributes),
    }
}

/// What is known of a connection.
fn attributes(
    connection: Option<&ConnectionInfo>,
    peer: Option<&PeerIdentity>,
) -> AttributeContext {
    let principal = peer.map(|peer| peer.0.to_string());
    let source = connection.map(|connection| Peer {
        address: Some(address(connection.peer)),
        principal: principal.unwrap_or_default(),
        ..Peer::default()
    });
    let destination = connection.map(|connection| Peer {
        address: Some(address(connection.local)),
        ..Peer::default()
    });
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

fn http_request(check: Check, is_tls: bool, pack_as_bytes: bool) -> HttpRequest {
    let path = check.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let authority = check.uri.authority().map(|authority| authority.to_string());
    let host = authority.or_else(|| text(check.headers.get(HOST)?));
    let scheme = check
        .uri
        .scheme_str()
        .unwrap_or(if is_tls { "https" } else { "http" });
    let length = check.headers.get(http::header::CONTENT_LENGTH);
    let size = length
        .and_then(|length| text(length)?.parse().ok())
        .unwrap_or(-1);
    let mut headers = header_texts(&check.headers);
    if let Some(body) = &check.body {
        let partial = body.is_partial.to_string();
        headers.insert("x-envoy-auth-partial-body".to_owned(), partial);
    }
    let bytes = check.body.map(|body| body.bytes).unwrap_or_default();
    let (body, raw_body) = if pack_as_bytes {
        (String::new(), bytes.to_vec())
    } else {
        // Text in a message of protobuf has to be UTF-8.
        (String::from_utf8_lossy(&bytes).into_owned(), Vec::new())
    };
    HttpRequest {
        id: headers.get("x-request-id").cloned().unwrap_or_default(),
        method: check.method.to_string(),
        path: path.to_owned(),
        host: host.unwrap_or_default(),
        scheme: scheme.to_owned(),
        protocol: protocol(check.version).to_owned(),
        size,
        headers,
        body,
        raw_body,
        ..HttpRequest::default()
    }
}

/// Headers by name, the values of one name joined by commas.
fn header_texts(headers: &HeaderMap) -> HashMap<String, String> {
    let mut texts: HashMap<String, String> = HashMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        texts
            .entry(name.as_str().to_owned())
            .and_modify(|joined| {
                joined.push(',');
                joined.push_str(&value);
            })
            .or_insert_with(|| value.clone().into_owned());
    }
    texts
}

fn text(value: &HeaderValue) -> Option<String> {
    value.to_str().ok().map(str::to_owned)
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
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

fn answer(response: CheckResponse) -> Result<Answer, AuthorizeError> {
    let code = response.status.map_or(0, |status| status.code);
    match (code, response.http_response) {
        (_, Some(HttpResponse::ErrorResponse(error))) => Err(AuthorizeError::Status(status(
            &error,
            StatusCode::FORBIDDEN,
        ))),
        (0, Some(HttpResponse::OkResponse(changes))) => {
            Ok(Answer::Allow(Box::new(changes_of(&changes))))
        }
        (0, None) => Ok(Answer::allow()),
        (_, Some(HttpResponse::DeniedResponse(denial))) => {
            Ok(Answer::Deny(Box::new(denial_of(denial))))
        }
        (_, Some(HttpResponse::OkResponse(_)) | None) => Ok(Answer::deny(StatusCode::FORBIDDEN)),
    }
}

fn status(response: &DeniedHttpResponse, default: StatusCode) -> StatusCode {
    let code = response.status.as_ref().map(|status| status.code);
    let code = code
        .and_then(|code| u16::try_from(code).ok())
        .filter(|code| *code != 0);
    code.and_then(|code| StatusCode::from_u16(code).ok())
        .unwrap_or(default)
}

fn changes_of(allowed: &OkHttpResponse) -> Changes {
    let mut changes = Changes::default();
    let remove = allowed.headers_to_remove.iter();
    changes
        .remove
        .extend(remove.filter_map(|name| HeaderName::try_from(name.as_str()).ok()));
    for option in &allowed.headers {
        let Some((name, value)) = header(option) else {
            continue;
        };
        if is_append(option) {
            changes.append.append(name, value);
        } else {
            changes.set.insert(name, value);
        }
    }
    let response = allowed.response_headers_to_add.iter();
    for (name, value) in response.filter_map(header) {
        changes.response.append(name, value);
    }
    changes
}

fn denial_of(denied: DeniedHttpResponse) -> Denial {
    let mut headers = HeaderMap::new();
    for (name, value) in denied.headers.iter().filter_map(header) {
        headers.append(name, value);
    }
    Denial {
        status: status(&denied, StatusCode::FORBIDDEN),
        headers,
        body: denied.body.into(),
    }
}

/// The header, unless no header has such a name and value.
fn header(option: &HeaderValueOption) -> Option<(HeaderName, HeaderValue)> {
    let header = option.header.as_ref()?;
    let name = HeaderName::try_from(header.key.as_str()).ok()?;
    let value = if header.raw_value.is_empty() {
        HeaderValue::try_from(header.value.as_str())
    } else {
        HeaderValue::from_bytes(&header.raw_value)
    };
    Some((name, value.ok()?))
}

/// Whether a header is added to those of its name. `append` decides, as in Envoy, and is false if
/// it is not there.
#[expect(deprecated, reason = "it is what authorizers send and Envoy reads")]
fn is_append(option: &HeaderValueOption) -> bool {
    option.append.as_ref().is_some_and(|append| append.value)
}
