//! Requests on connections that would not be taken any more.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use mesh_core::attributes::ResponseFlag;
use mesh_core::reply::{self, Caller, Reason};
use tower_service::Service;

use crate::body::Body;

/// Answers that a request came by the wrong connection (RFC 9110 section 15.5.20): one of plaintext, where
/// the listener has come to demand TLS. A client may ask again by another. It stands in the place of all
/// that would decide, so that what is recorded of other requests is recorded of these.
#[derive(Clone, Copy, Debug)]
pub(super) struct Misdirected;

impl Reason for Misdirected {
    const FLAG: ResponseFlag = ResponseFlag::NoRouteFound;
    const DETAILS: Option<&'static str> = Some("filter_chain_not_found");
}

impl Service<Request<Body>> for Misdirected {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let text = Bytes::from_static(b"plaintext is not taken here any more");
        let caller = Caller::of(request.headers());
        let status = StatusCode::MISDIRECTED_REQUEST;
        ready(Ok(reply::text(caller, status, text, *self)))
    }
}

/// Ends the connection of HTTP/1 that the request came by. Of HTTP/2, hyper leaves the header out.
pub(super) fn close(response: &mut Response<Body>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}
