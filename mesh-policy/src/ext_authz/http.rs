//! Ask an authorizer by HTTP, as Envoy's [ext_authz filter] does with `http_service`.
//!
//! The authorizer gets a request of the same method, whose path is that of the request after the
//! prefix of the provider. Of the headers it gets `host`, `authorization`, and those that the
//! provider names. It answers with
//!
//! - `200` to allow: headers that the provider names are set on the request, to their last value if
//!   they have several, or added to the response with all their values, and
//!   `x-envoy-auth-headers-to-remove` names headers that are removed from the request. Those that
//!   frame a message or name its host stay as they are, whatever the provider names;
//! - `5xx`, or not at all, if it fails;
//! - any other status to deny: status, body and headers go to the client.
//!
//! [ext_authz filter]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/ext_authz_filter
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use mesh_core::resource::istio::mesh_config::EnvoyExternalAuthorizationHttpProvider;
//! use mesh_policy::ext_authz::http::HttpAuthorizer;
//! use mesh_policy::ext_authz::{Provider, Providers, Settings};
//! use tower::service_fn;
//!
//! let provider: EnvoyExternalAuthorizationHttpProvider = serde_json::from_str(
//!     r#"{"service": "authz.shop", "port": 8000, "includeRequestHeadersInCheck": ["x-*"]}"#,
//! )?;
//! // A client that sends requests to the service of the provider.
//! let client = service_fn(|_: Request<Full<Bytes>>| async {
//!     Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
//! });
//! let settings = Settings::of_http(&provider)?;
//! let authorizer = HttpAuthorizer::new(&provider, client)?;
//! let providers = Providers::default().with("authz", Provider::new(authorizer, settings));
//! # let _ = providers;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::future::poll_fn;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HOST, LOCATION, WWW_AUTHENTICATE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use mesh_core::matcher::StringMatch;
use mesh_core::model::filter::AppendAction;
use mesh_core::resource::istio::mesh_config::EnvoyExternalAuthorizationHttpProvider;
use tower_service::Service;

use super::changes::HeaderChange;
use super::check::{Answer, Authorize, AuthorizeError, Changes, Check, CheckFuture, Denial};

/// Names headers that are removed from an allowed request.
const HEADERS_TO_REMOVE: HeaderName = HeaderName::from_static("x-envoy-auth-headers-to-remove");
/// Says whether the body that the authorizer gets is only a part.
const PARTIAL_BODY: HeaderName = HeaderName::from_static("x-envoy-auth-partial-body");
/// The most of an answer's body that is read.
const MAX_ANSWER: usize = 1 << 20;

/// An authorizer that is asked by HTTP.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Debug)]
pub struct HttpAuthorizer<C> {
    client: C,
    authority: Authority,
    path_prefix: String,
    request_headers: Vec<StringMatch>,
    additional_headers: HeaderMap,
    upstream_headers: Vec<StringMatch>,
    denial_headers: Vec<StringMatch>,
    response_headers: Vec<StringMatch>,
}

/// A provider cannot be asked by HTTP.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidProviderError {
    /// `includeAdditionalHeadersInCheck` has a name or value that no header has.
    #[error("`{0}` cannot be sent as a header")]
    Header(String),
    /// `pathPrefix` does not begin with a slash, or cannot be part of a path.
    #[error("`{0}` is no prefix of a path")]
    PathPrefix(String),
    /// The service is not the name of a host.
    #[error("`{0}` is no host")]
    Service(String),
    /// A field has `*` among its names of headers, which Istio does not take.
    #[error("`*` is no name of headers in `{0}`: a prefix or a suffix has to be")]
    Wildcard(&'static str),
}

impl<C> HttpAuthorizer<C> {
    /// Asks by `client`, a service of HTTP that sends requests to the service that the provider
    /// names. It is cloned for each request.
    ///
    /// # Errors
    ///
    /// When the service, the path prefix, an additional header or a name of headers is not valid.
    pub fn new(
        provider: &EnvoyExternalAuthorizationHttpProvider,
        client: C,
    ) -> Result<Self, InvalidProviderError> {
        let EnvoyExternalAuthorizationHttpProvider {
            service,
            port,
            timeout: _,
            path_prefix,
            fail_open: _,
            // Routes are chosen after authorization.
            clear_route_cache: _,
            status_on_error: _,
            include_headers_in_check,
            include_request_headers_in_check,
            include_additional_headers_in_check,
            include_request_body_in_check: _,
            headers_to_upstream_on_allow,
            headers_to_downstream_on_deny,
            headers_to_downstream_on_allow,
        } = provider;
        let host = service
            .rsplit_once('/')
            .map_or(service.as_str(), |(_, host)| host);
        let authority = Authority::try_from(format!("{host}:{port}"));
        let authority = authority.map_err(|_| InvalidProviderError::Service(service.clone()))?;
        if !is_path_prefix(path_prefix) {
            return Err(InvalidProviderError::PathPrefix(path_prefix.clone()));
        }
        let mut additional_headers = HeaderMap::new();
        for (name, value) in include_additional_headers_in_check {
            let invalid = || InvalidProviderError::Header(name.clone());
            let name = HeaderName::try_from(name).map_err(|_| invalid())?;
            let value = HeaderValue::try_from(value).map_err(|_| invalid())?;
            additional_headers.insert(name, value);
        }
        let request_headers = match include_request_headers_in_check.as_slice() {
            [] => include_headers_in_check,
            headers => headers,
        };
        Ok(Self {
            client,
            authority,
            path_prefix: path_prefix.clone(),
            request_headers: matchers("includeRequestHeadersInCheck", request_headers)?,
            additional_headers,
            upstream_headers: matchers("headersToUpstreamOnAllow", headers_to_upstream_on_allow)?,
            denial_headers: matchers("headersToDownstreamOnDeny", headers_to_downstream_on_deny)?,
            response_headers: matchers(
                "headersToDownstreamOnAllow",
                headers_to_downstream_on_allow,
            )?,
        })
    }

    /// The request that the authorizer gets.
    fn request(&self, check: Check) -> Result<Request<Full<Bytes>>, http::Error> {
        let path = check.uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone())
            .path_and_query(format!("{}{path}", self.path_prefix))
            .build()?;
        let asked = check.uri.authority();
        let host = asked.and_then(|asked| HeaderValue::try_from(asked.as_str()).ok());
        let host = host.or_else(|| check.headers.get(HOST).cloned());
        let body = check.body.as_ref();
        let partial = body.map(|body| HeaderValue::from_static(flag(body.is_partial)));
        let bytes = check.body.map(|body| body.bytes).unwrap_or_default();

        let mut headers = HeaderMap::new();
        for (name, value) in &check.headers {
            let is_sent = name == AUTHORIZATION || is_named(&self.request_headers, name);
            // What a client says of the body that is sent is not known to it.
            if is_sent && name != PARTIAL_BODY {
                headers.append(name, value.clone());
            }
        }
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        headers.extend(host.map(|host| (HOST, host)));
        headers.extend(partial.map(|partial| (PARTIAL_BODY, partial)));
        for (name, value) in &self.additional_headers {
            headers.insert(name, value.clone());
        }
        let mut request = Request::new(Full::new(bytes));
        *request.method_mut() = check.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn allow(&self, answer: &HeaderMap) -> Answer {
        let mut changes = Changes::default();
        for value in answer.get_all(HEADERS_TO_REMOVE) {
            let names = value.to_str().unwrap_or_default().split(',');
            let names = names.filter_map(|name| HeaderName::try_from(name.trim()).ok());
            changes.remove.extend(names);
        }
        for name in answer.keys().filter(|name| *name != HEADERS_TO_REMOVE) {
            if is_named(&self.upstream_headers, name) {
                let values = answer.get_all(name).iter();
                let overwrite = AppendAction::OverwriteIfExistsOrAdd;
                let changed = values.map(|value| change(name, value, overwrite));
                changes.request.extend(changed);
            }
            if is_named(&self.response_headers, name) {
                let values = answer.get_all(name).iter();
                let changed = values.map(|value| change(name, value, AppendAction::default()));
                changes.response.extend(changed);
            }
        }
        Answer::Allow(Box::new(changes))
    }

    fn deny(&self, status: StatusCode, answer: &HeaderMap, body: Bytes) -> Answer {
        // These belong to the answer whatever the provider names.
        let always = [LOCATION, WWW_AUTHENTICATE];
        let goes_on = |name: &HeaderName| {
            let is_for_client = self.denial_headers.is_empty()
                || always.contains(name)
                || is_named(&self.denial_headers, name);
            is_for_client && *name != HEADERS_TO_REMOVE
        };
        let mut headers = HeaderMap::new();
        for (name, value) in answer.iter().filter(|(name, _)| goes_on(name)) {
            headers.append(name, value.clone());
        }
        Answer::Deny(Box::new(Denial {
            status,
            headers,
            body,
        }))
    }

    async fn understand<B>(&self, response: Response<B>) -> Result<Answer, AuthorizeError>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = response.into_parts();
        if head.status == StatusCode::OK {
            return Ok(self.allow(&head.headers));
        }
        if head.status.is_server_error() {
            return Err(AuthorizeError::Status(head.status));
        }
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(too_large_or_broken)?.to_bytes();
        Ok(self.deny(head.status, &head.headers, body))
    }
}

impl<C, B> Authorize for HttpAuthorizer<C>
where
    C: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone + Send + Sync,
    C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    C::Future: Send,
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn check(&self, check: Check) -> CheckFuture<'_> {
        Box::pin(async move {
            let request = self.request(check);
            let request = request.map_err(|error| AuthorizeError::Transport(error.into()))?;
            let mut client = self.client.clone();
            let ready = poll_fn(|cx| client.poll_ready(cx)).await;
            ready.map_err(|error| AuthorizeError::Transport(error.into()))?;
            let response = client.call(request).await;
            let response = response.map_err(|error| AuthorizeError::Transport(error.into()))?;
            self.understand(response).await
        })
    }
}

/// Whether a text may stand before a path; nothing may.
fn is_path_prefix(text: &str) -> bool {
    text.is_empty() || (text.starts_with('/') && PathAndQuery::try_from(text).is_ok())
}

const fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn change(name: &HeaderName, value: &HeaderValue, action: AppendAction) -> HeaderChange {
    HeaderChange {
        name: name.clone(),
        value: value.clone(),
        action,
    }
}

fn too_large_or_broken(error: Box<dyn std::error::Error + Send + Sync>) -> AuthorizeError {
    match error.is::<LengthLimitError>() {
        true => AuthorizeError::TooLarge(MAX_ANSWER),
        false => AuthorizeError::Transport(error),
    }
}

/// Names of headers as Istio has them: exact, `abc*` or `*abc`, in any case.
fn matchers(
    field: &'static str,
    names: &[String],
) -> Result<Vec<StringMatch>, InvalidProviderError> {
    if names.iter().any(|name| name == "*") {
        return Err(InvalidProviderError::Wildcard(field));
    }
    let matchers = names.iter().map(|name| match name.strip_prefix('*') {
        Some(suffix) => StringMatch::suffix(suffix),
        None => match name.strip_suffix('*') {
            Some(prefix) => StringMatch::prefix(prefix),
            None => StringMatch::exact(name.as_str()),
        },
    });
    Ok(matchers.map(StringMatch::ignoring_case).collect())
}

fn is_named(matchers: &[StringMatch], name: &HeaderName) -> bool {
    matchers
        .iter()
        .any(|matcher| matcher.is_match(name.as_str()))
}
