//! What an authorizer is asked, and what it answers.

use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use mesh_core::attributes::{ConnectionInfo, PeerIdentity};

use super::changes::HeaderChange;
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

    /// Decides about a connection that is not HTTP, whose changes would have no effect. Default: it
    /// cannot, which is an error.
    ///
    /// The future may be dropped at any time, as that of [`check`](Self::check).
    fn check_connection(&self, _connection: ConnectionCheck) -> CheckFuture<'_> {
        Box::pin(ready(Err(AuthorizeError::HttpOnly)))
    }
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
    /// Its scheme, also where the URI has none: that of its
    /// [`TargetScheme`](mesh_core::attributes::TargetScheme) or of its connection.
    pub scheme: Scheme,
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
    /// When it arrived.
    pub time: SystemTime,
}

/// A connection that is not HTTP, and is to be decided about.
#[derive(Clone, Debug)]
pub struct ConnectionCheck {
    /// What is known of it.
    pub connection: ConnectionInfo,
    /// The identity that the peer has proven.
    pub peer: Option<PeerIdentity>,
    /// The server name of its ClientHello, whether its TLS ends here or not.
    pub server_name: Option<Arc<str>>,
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
///
/// Fields that frame a message or name its host stay as they are, whoever wants to change them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Headers of the request that are written, in this order.
    pub request: Vec<HeaderChange>,
    /// Values that are added to headers of the request, after others are written: each behind a comma
    /// to the first header of its name, and nowhere if there is none.
    pub extend: Vec<(HeaderName, HeaderValue)>,
    /// Headers of the request that are removed, after others are written.
    pub remove: Vec<HeaderName>,
    /// Parameters that are written into the query of the request, each over all of its name; encoded as
    /// in a URI.
    pub set_query: Vec<(String, String)>,
    /// Parameters that are removed from the query of the request, after others are written.
    pub remove_query: Vec<String>,
    /// Headers of the response that are written, in this order.
    pub response: Vec<HeaderChange>,
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
    /// It failed itself, and says how the request is answered unless it passes all the same.
    #[error("the authorizer failed, and answers in its own words")]
    Answered(Box<FailureAnswer>),
    /// It is asked about requests only.
    #[error("the authorizer cannot be asked about connections that are not HTTP")]
    HttpOnly,
    /// It lets the request pass with a query that does not fit into its URI. The request is denied even where those
    /// pass whose authorizer fails.
    #[error("the query that the authorizer writes is too long")]
    Query,
    /// It failed itself, with this status.
    #[error("the authorizer failed with status {0}")]
    Status(StatusCode),
    /// It did not answer in time.
    #[error("the authorizer did not answer in time")]
    Timeout,
    /// Its answer has more than this many bytes.
    #[error("the answer of the authorizer has more than {0} bytes")]
    TooLarge(usize),
    /// It was not reached, for a reason that the client knows.
    #[error("the authorizer was not reached")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How a request is answered whose authorizer failed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FailureAnswer {
    /// The status; `None` is that of the [`Settings`](super::Settings).
    pub status: Option<StatusCode>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl AuthorizeError {
    /// The answer to a request that does not pass because of this error, whose status is
    /// `status_on_error` unless the authorizer gives another.
    pub(super) fn into_denial(self, status_on_error: StatusCode) -> Denial {
        let FailureAnswer {
            status,
            headers,
            body,
        } = match self {
            Self::Answered(answer) => *answer,
            Self::HttpOnly
            | Self::Query
            | Self::Status(_)
            | Self::Timeout
            | Self::TooLarge(_)
            | Self::Transport(_) => FailureAnswer::default(),
        };
        Denial {
            status: status.unwrap_or(status_on_error),
            headers,
            body,
        }
    }
}

impl fmt::Debug for dyn Authorize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorize")
    }
}
