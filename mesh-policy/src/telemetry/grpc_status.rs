//! The gRPC status of an answer, as Envoy's attributes and Istio's metrics have it.

use http::{HeaderMap, StatusCode};
use mesh_core::reply;

/// The codes that gRPC knows.
const CODES: [&str; 17] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
];

/// The status by [`reply::grpc_status_of`]. A code that gRPC does not know is none, which is -1.
pub(super) fn of(
    trailers: Option<&HeaderMap>,
    head: Option<&HeaderMap>,
    status: Option<StatusCode>,
) -> Option<i64> {
    let code = reply::grpc_status_of(trailers, head, status)?;
    Some(if text(code).is_some() { code } else { -1 })
}

/// A code that gRPC knows, as text.
pub(super) fn text(code: i64) -> Option<&'static str> {
    let code = usize::try_from(code).ok()?;
    CODES.get(code).copied()
}
