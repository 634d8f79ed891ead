use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use mesh_core::attributes::ResponseFlag;
use mesh_core::reply::{self, Caller, Reason};

/// Envoy's header on answers that a limit has caused.
const OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");

/// Why a request is answered without an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    ClusterNotFound,
    /// The route says so itself, with this status.
    Destination(StatusCode),
    NoHealthyUpstream,
    Overflow,
}

impl Refusal {
    pub(super) fn answer<B: Default + From<Bytes>>(self, caller: Caller) -> Response<B> {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        match self {
            Self::ClusterNotFound => reply::local(caller, unavailable, ClusterNotFound),
            Self::Destination(status) => reply::empty(caller, status),
            Self::NoHealthyUpstream => {
                let text = Bytes::from_static(b"no healthy upstream");
                reply::text(caller, unavailable, text, NoHealthyUpstream)
            }
            Self::Overflow => overflow(caller),
        }
    }
}

/// Envoy's answer where a limit on connections or requests is reached.
pub fn overflow<B: Default + From<Bytes>>(caller: Caller) -> Response<B> {
    let text = "upstream connect error or disconnect/reset before headers. reset reason: overflow";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = reply::text(
        caller,
        status,
        Bytes::from_static(text.as_bytes()),
        Overflow,
    );
    let value = HeaderValue::from_static("true");
    response.headers_mut().insert(OVERLOADED, value);
    response
}

/// Marks a `503` as sent because no endpoint of the cluster is healthy.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no healthy upstream")]
#[non_exhaustive]
pub struct NoHealthyUpstream;

impl Reason for NoHealthyUpstream {
    const FLAG: ResponseFlag = ResponseFlag::NoHealthyUpstream;
}

/// Marks a `503` as sent because a limit of the cluster is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a limit on connections or requests is reached")]
#[non_exhaustive]
pub struct Overflow;

impl Reason for Overflow {
    const FLAG: ResponseFlag = ResponseFlag::UpstreamOverflow;
}

/// Marks a `503` as sent because the route names a cluster that does not exist.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the cluster does not exist")]
#[non_exhaustive]
pub struct ClusterNotFound;

impl Reason for ClusterNotFound {
    const FLAG: ResponseFlag = ResponseFlag::NoClusterFound;
}
