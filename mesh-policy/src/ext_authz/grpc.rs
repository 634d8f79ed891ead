//! Ask an authorizer by gRPC: `envoy.service.auth.v3.Authorization/Check`.
//!
//! The authorizer gets all headers of the request, with `:method`, `:authority`, `:path` and
//! `:scheme` among them, when it arrived, the addresses and identities of both ends, and what was
//! read of the body. See Envoy's [`CheckRequest`] for the meaning of each field.
//!
//! It may write headers, and does as in Envoy:
//!
//! - of an allowed request, a header takes the place of what is there, whatever its `append_action`.
//!   After that, one with the older `append` is added to the value of a header that is there, behind a
//!   comma; where there is none, it is dropped;
//! - of its response, headers are written by their `append_action`, or by `append` if that is there:
//!   first those that are appended, then those that overwrite or add, then those that are added where
//!   they are absent, then those that only overwrite;
//! - of a denial, all headers are there but those with `append`, in the place of ours; of the answer
//!   of one that failed, those with `append` are the last.
//!
//! Those that frame a message or name its host stay as they are.
//!
//! It may also write parameters of the query of an allowed request, over all of their name, and then remove some.
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

mod question;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::HeaderValueOption;
use envoy_types::pb::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use mesh_core::identity::SpiffeId;
use mesh_core::model::filter::AppendAction;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::StdError;

use super::changes::HeaderChange;
use super::check::{
    Answer, Authorize, AuthorizeError, Changes, Check, CheckFuture, ConnectionCheck, Denial,
    FailureAnswer,
};

/// An authorizer that is asked by gRPC.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct GrpcAuthorizer<T> {
    client: AuthorizationClient<T>,
    pack_as_bytes: bool,
    principal: Option<Arc<SpiffeId>>,
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
            principal: None,
        }
    }

    /// Sends the body as bytes rather than as text: `packAsBytes`. Default: no.
    #[must_use]
    pub fn with_body_as_bytes(mut self, pack_as_bytes: bool) -> Self {
        self.pack_as_bytes = pack_as_bytes;
        self
    }

    /// Who we are in the mesh: the principal of the destination, of what comes by mutual TLS.
    /// Default: nobody.
    #[must_use]
    pub fn with_principal(mut self, principal: SpiffeId) -> Self {
        self.principal = Some(Arc::new(principal));
        self
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
        let request = question::of_request(check, self.pack_as_bytes, self.principal.as_deref());
        Box::pin(ask(self.client.clone(), request))
    }

    fn check_connection(&self, check: ConnectionCheck) -> CheckFuture<'_> {
        let request = question::of_connection(check, self.principal.as_deref());
        Box::pin(ask(self.client.clone(), request))
    }
}

async fn ask<T>(
    mut client: AuthorizationClient<T>,
    request: CheckRequest,
) -> Result<Answer, AuthorizeError>
where
    T: GrpcService<Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    let response = client.check(request).await;
    let response = response.map_err(|status| AuthorizeError::Transport(status.into()))?;
    answer(response.into_inner())
}

fn answer(response: CheckResponse) -> Result<Answer, AuthorizeError> {
    let code = response.status.map_or(0, |status| status.code);
    match (code, response.http_response) {
        (_, Some(HttpResponse::ErrorResponse(error))) => {
            Err(AuthorizeError::Answered(Box::new(failure_of(error))))
        }
        (0, Some(HttpResponse::OkResponse(changes))) => {
            Ok(Answer::Allow(Box::new(changes_of(&changes))))
        }
        (0, None) => Ok(Answer::allow()),
        // One that allows by its code and denies by its answer is taken at its worst.
        (_, Some(HttpResponse::DeniedResponse(denial))) => {
            Ok(Answer::Deny(Box::new(denial_of(denial))))
        }
        (_, Some(HttpResponse::OkResponse(_)) | None) => Ok(Answer::deny(StatusCode::FORBIDDEN)),
    }
}

fn changes_of(allowed: &OkHttpResponse) -> Changes {
    let (extend, write) = allowed
        .headers
        .iter()
        .partition::<Vec<_>, _>(|option| extends(option));
    let overwrite = |option| change(option, AppendAction::OverwriteIfExistsOrAdd);
    let named = extend.into_iter().filter_map(overwrite);
    let options = allowed.response_headers_to_add.iter();
    let response = options.filter_map(|option| change(option, of_response(option)));
    let mut response: Vec<_> = response.collect();
    response.sort_by_key(|change| turn(change.action));
    let names = allowed.headers_to_remove.iter();
    let params = allowed.query_parameters_to_set.iter();
    Changes {
        request: write.into_iter().filter_map(overwrite).collect(),
        extend: named.map(|change| (change.name, change.value)).collect(),
        remove: names
            .filter_map(|name| HeaderName::try_from(name.as_str()).ok())
            .collect(),
        set_query: params
            .map(|param| (param.key.clone(), param.value.clone()))
            .collect(),
        remove_query: allowed.query_parameters_to_remove.clone(),
        response,
    }
}

/// When a header of a response is written.
fn turn(action: AppendAction) -> u8 {
    match action {
        AppendAction::AppendIfExistsOrAdd => 0,
        AppendAction::OverwriteIfExistsOrAdd => 1,
        AppendAction::AddIfAbsent => 2,
        AppendAction::OverwriteIfExists => 3,
    }
}

fn denial_of(denied: DeniedHttpResponse) -> Denial {
    let written = denied.headers.into_iter();
    let FailureAnswer {
        status,
        headers,
        body,
    } = failure_of(DeniedHttpResponse {
        headers: written.filter(|option| !extends(option)).collect(),
        ..denied
    });
    Denial {
        status: status.unwrap_or(StatusCode::FORBIDDEN),
        headers,
        body,
    }
}

fn failure_of(mut answer: DeniedHttpResponse) -> FailureAnswer {
    let mut headers = HeaderMap::new();
    let append = |option| change(option, AppendAction::AppendIfExistsOrAdd);
    answer.headers.sort_by_key(extends);
    for change in answer.headers.iter().filter_map(append) {
        change.apply(&mut headers);
    }
    let code = answer.status.map(|status| status.code);
    let code = code.and_then(|code| u16::try_from(code).ok());
    FailureAnswer {
        status: code.and_then(|code| StatusCode::from_u16(code).ok()),
        headers,
        body: answer.body.into(),
    }
}

/// The header that is written, unless no header has such a name and value.
fn change(option: &HeaderValueOption, action: AppendAction) -> Option<HeaderChange> {
    let header = option.header.as_ref()?;
    let name = HeaderName::try_from(header.key.as_str()).ok()?;
    let value = if header.raw_value.is_empty() {
        HeaderValue::try_from(header.value.as_str())
    } else {
        HeaderValue::from_bytes(&header.raw_value)
    };
    Some(HeaderChange {
        name,
        value: value.ok()?,
        action,
    })
}

/// Whether a header is only added to the value of one that is there.
fn extends(option: &HeaderValueOption) -> bool {
    append(option) == Some(true)
}

#[expect(deprecated, reason = "authorizers send it, and Envoy goes by it")]
fn append(option: &HeaderValueOption) -> Option<bool> {
    Some(option.append.as_ref()?.value)
}

/// What becomes of the headers that a response has already. `append` decides if it is there, and an
/// action that is not known overwrites.
fn of_response(option: &HeaderValueOption) -> AppendAction {
    let append = append(option);
    let action = HeaderAppendAction::try_from(option.append_action);
    match (append, action) {
        (Some(true), _) | (None, Ok(HeaderAppendAction::AppendIfExistsOrAdd)) => {
            AppendAction::AppendIfExistsOrAdd
        }
        (None, Ok(HeaderAppendAction::AddIfAbsent)) => AppendAction::AddIfAbsent,
        (None, Ok(HeaderAppendAction::OverwriteIfExists)) => AppendAction::OverwriteIfExists,
        (Some(false), _) | (None, Ok(HeaderAppendAction::OverwriteIfExistsOrAdd) | Err(_)) => {
            AppendAction::OverwriteIfExistsOrAdd
        }
    }
}
