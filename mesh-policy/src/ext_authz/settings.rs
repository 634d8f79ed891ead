//! How an authorizer is asked: what providers of the mesh have in common.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use mesh_core::resource::istio::mesh_config::{
    EnvoyExternalAuthorizationGrpcProvider, EnvoyExternalAuthorizationHttpProvider,
    EnvoyExternalAuthorizationRequestBody,
};

use super::check::Authorize;

/// Istio's default, which stands for none.
const TIMEOUT: Duration = Duration::from_secs(600);

/// An authorizer, and how it is asked.
#[derive(Clone, Debug)]
pub struct Provider {
    pub(super) authorizer: Arc<dyn Authorize>,
    pub(super) settings: Settings,
}

impl Provider {
    /// Asks `authorizer` as `settings` say.
    pub fn new(authorizer: impl Authorize + 'static, settings: Settings) -> Self {
        Self {
            authorizer: Arc::new(authorizer),
            settings,
        }
    }
}

/// Authorizers by the names that policies call them.
///
/// Requests for a provider that is not here are denied.
#[derive(Clone, Debug, Default)]
pub struct Providers {
    by_name: BTreeMap<String, Provider>,
}

impl Providers {
    /// Adds a provider.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, provider: Provider) -> Self {
        self.by_name.insert(name.into(), provider);
        self
    }

    pub(super) fn get(&self, name: &str) -> Option<&Provider> {
        self.by_name.get(name)
    }
}

/// How an authorizer is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// How long it may take to answer. Default: 600 s, as in Istio.
    pub timeout: Duration,
    /// Whether requests pass when it fails. Default: no.
    pub fail_open: bool,
    /// The status of the answer when it fails, and requests do not pass. Default: 403.
    pub status_on_error: StatusCode,
    /// How much of a body it gets. Default: nothing.
    pub body: Option<BodySettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: TIMEOUT,
            fail_open: false,
            status_on_error: StatusCode::FORBIDDEN,
            body: None,
        }
    }
}

/// How much of a body an authorizer gets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BodySettings {
    /// The most bytes.
    pub max_bytes: usize,
    /// Whether the beginning of a longer body is enough; else it is answered with `413`.
    pub allow_partial: bool,
}

/// A setting of a provider is not valid.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{status}` is no HTTP status")]
#[non_exhaustive]
pub struct InvalidStatusError {
    /// The `statusOnError` as written.
    pub status: String,
}

impl Settings {
    /// Those of a provider that is asked by HTTP.
    ///
    /// # Errors
    ///
    /// When `statusOnError` is no HTTP status.
    pub fn of_http(
        provider: &EnvoyExternalAuthorizationHttpProvider,
    ) -> Result<Self, InvalidStatusError> {
        let timeout = provider.timeout.and_then(|timeout| timeout.as_std());
        Ok(Self {
            timeout: timeout.unwrap_or(TIMEOUT),
            fail_open: provider.fail_open,
            status_on_error: status(&provider.status_on_error)?,
            body: provider.include_request_body_in_check.as_ref().map(body),
        })
    }

    /// Those of a provider that is asked by gRPC.
    ///
    /// # Errors
    ///
    /// When `statusOnError` is no HTTP status.
    pub fn of_grpc(
        provider: &EnvoyExternalAuthorizationGrpcProvider,
    ) -> Result<Self, InvalidStatusError> {
        let timeout = provider.timeout.and_then(|timeout| timeout.as_std());
        Ok(Self {
            timeout: timeout.unwrap_or(TIMEOUT),
            fail_open: provider.fail_open,
            status_on_error: status(&provider.status_on_error)?,
            body: provider.include_request_body_in_check.as_ref().map(body),
        })
    }
}

fn status(text: &str) -> Result<StatusCode, InvalidStatusError> {
    if text.is_empty() {
        return Ok(StatusCode::FORBIDDEN);
    }
    text.parse().map_err(|_| InvalidStatusError {
        status: text.to_owned(),
    })
}

fn body(body: &EnvoyExternalAuthorizationRequestBody) -> BodySettings {
    let EnvoyExternalAuthorizationRequestBody {
        max_request_bytes,
        allow_partial_message,
        // Only gRPC tells text from bytes.
        pack_as_bytes: _,
    } = body;
    BodySettings {
        max_bytes: usize::try_from(*max_request_bytes).unwrap_or(usize::MAX),
        allow_partial: *allow_partial_message,
    }
}
