//! Answers to requests that do not pass.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{Response, StatusCode};
use mesh_core::attributes::{ResponseDetails, ResponseFlag};
use mesh_core::reply::{self, Caller};

use super::changes::is_protected;
use super::check::Denial;
use crate::authz::layer::Denied;

/// Marks a response as given by [`ExtAuthz`](super::layer::ExtAuthz), and says why.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtAuthzDenied {
    /// The body is longer than the provider takes; answered with `413`.
    #[error("the body is longer than the authorizer takes")]
    BodyTooLarge,
    /// The provider denies; its answer.
    #[error("the authorizer denies with {}", .0.status)]
    Provider(Box<Denial>),
    /// The provider failed, and requests do not pass then; the answer.
    #[error("the authorizer failed")]
    ProviderFailed(Box<Denial>),
    /// Policies deny by themselves.
    #[error(transparent)]
    Policy(Denied),
}

impl ExtAuthzDenied {
    pub(super) fn into_response<ResBody: Default + From<Bytes>>(
        self,
        caller: Caller,
    ) -> Response<ResBody> {
        let mut response = match &self {
            Self::BodyTooLarge => reply::direct(
                caller,
                StatusCode::PAYLOAD_TOO_LARGE,
                Bytes::from_static(b"Payload Too Large"),
            ),
            Self::Provider(denial) | Self::ProviderFailed(denial) => answer(denial, caller),
            Self::Policy(denied) => denied.response(caller),
        };
        let extensions = response.extensions_mut();
        // As in Envoy, only the provider's own answers have a flag.
        if matches!(self, Self::Provider(_) | Self::ProviderFailed(_)) {
            extensions.insert(ResponseFlag::UnauthorizedExternalService);
        }
        if let Some(details) = self.details() {
            extensions.insert(ResponseDetails::new(details));
        }
        extensions.insert(self);
        response
    }

    /// Envoy's response code details, where the flag does not tell them.
    fn details(&self) -> Option<&'static str> {
        match self {
            Self::BodyTooLarge => Some("request_payload_too_large"),
            Self::ProviderFailed(_) => Some("ext_authz_error"),
            Self::Provider(_) | Self::Policy(_) => None,
        }
    }
}

/// The answer of a provider, whose length and framing are ours.
fn answer<B: Default + From<Bytes>>(denial: &Denial, caller: Caller) -> Response<B> {
    let mut response = reply::direct(caller, denial.status, denial.body.clone());
    let headers = response.headers_mut();
    // What a gRPC caller reads has another type than the body that it does not get.
    let is_ours =
        |name: &HeaderName| is_protected(name) || (caller == Caller::Grpc && *name == CONTENT_TYPE);
    for name in denial.headers.keys().filter(|name| !is_ours(name)) {
        headers.remove(name);
    }
    for (name, value) in denial.headers.iter().filter(|(name, _)| !is_ours(name)) {
        headers.append(name, value.clone());
    }
    response
}
