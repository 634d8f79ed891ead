//! What an authorizer is asked, and what it answers.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, Version};
use mesh_core::attributes::{ConnectionInfo, PeerIdentity};

use crate::authz::RuleName;

/// Decides about requests, somewhere else.
///
/// [`HttpAuthorizer`](super::http::HttpAuthorizer) and
/// [`GrpcAuthorizer`](super::grpc::GrpcAuthorizer) ask servers.
pub trait Authorize: Send + Sync {
    /// Decides about a request.
    ///
    /// The future may be dropped at any time: the client went away, or time is up.
    fn check(&self, check: Check) -> CheckFuture<'_>;
}

/// The future of [`Authorize::check`].
pub type CheckFuture<'a> =
    Pin<Box<dyn Future<Output = Result<Answer, AuthorizeError>> + Send + 'a>>;

/// A request that is to be decided about.
#[derive(Clone, Debug)]
pub struct Check {
    /// Its method.
    pub method: Method,
    /// Its URI, as it arrived.
    pub uri: Uri,
    /// Its version.
    pub version: Version,
    /// Its headers.
    pub headers: HeaderMap,
    /// What was read of its body: nothing, unless the provider wants it.
    pub body: Option<CheckBody>,
    /// The connection that it came by.
    pub connection: Option<ConnectionInfo>,
    /// The identity that the peer has proven.
    pub peer: Option<PeerIdentity>,
    /// The rule because of which is asked.
    pub rule: Arc<RuleName>,
}

/// The beginning of a body, or all of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CheckBody {
    /// The bytes.
    pub bytes: Bytes,
    /// Whether there are more.
    pub is_partial: bool,
}

/// What an authorizer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The request may pass, with these changes.
    Allow(Box<Changes>),
    /// It may not, and this is the answer.
    Deny(Box<Denial>),
}

impl Answer {
    /// The request may pass as it is.
    pub fn allow() -> Self {
        Self::Allow(Box::default())
    }

    /// It may not; an answer with `status` alone.
    pub fn deny(status: StatusCode) -> Self {
        Self::Deny(Box::new(Denial {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }))
    }
}

/// What changes on a request that is allowed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Headers that are removed, before others are set.
    pub remove: Vec<HeaderName>,
    /// Headers that take the place of those of the same name.
    pub set: HeaderMap,
    /// Headers that are added to those of the same name.
    pub append: HeaderMap,
    /// Headers that are added to the response.
    pub response: HeaderMap,
}

/// The answer to a request that is denied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// An authorizer has not answered, or not understandably.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorizeError {
    /// It failed itself, with this status.
    #[error("the authorizer failed with status {0}")]
    Status(StatusCode),
    /// It did not answer in time.
    #[error("the authorizer did not answer in time")]
    Timeout,
    /// It was not reached, for a reason that the client knows.
    #[error("the authorizer was not reached")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Its answer is larger than this.
    #[error("the answer of the authorizer has more than {0} bytes")]
    TooLarge(usize),
}

impl fmt::Debug for dyn Authorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorize")
    }
}
