//! Answers that the configuration itself gives.
//!
//! As from Envoy: a body is `text/plain`, an answer with `201` or a code from 300 to 399 names the
//! request's own location, and gRPC callers get a gRPC status with the body as message.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use mesh_core::model::route::DirectResponse;
//! use mesh_routing::filter::direct_response;
//! use mesh_routing::request::RequestHead;
//!
//! let closed = DirectResponse {
//!     status: 503,
//!     body: Some(Bytes::from_static(b"closed for stocktaking")),
//! };
//! let request = Request::get("/cart").body(())?;
//! let response: Response<Bytes> = direct_response::respond(&closed, &RequestHead::from(&request));
//! assert_eq!(response.status(), 503);
//! assert_eq!(response.body(), "closed for stocktaking");
//! # Ok::<(), http::Error>(())
//! ```

use bytes::Bytes;
use http::{Response, StatusCode};
use mesh_core::attributes::{MatchedRoute, ResponseDetails, ResponseFlag};
use mesh_core::model::route::{ClusterSpecifier, DirectResponse};
use mesh_core::reply::{self, Caller, Reason};

use crate::filter::redirect;
use crate::request::RequestHead;

/// The answer to a request of a route with `direct`.
pub fn respond<B>(direct: &DirectResponse, request: &RequestHead<'_>) -> Response<B>
where
    B: Default + From<Bytes>,
{
    // A route table has no other codes than HTTP's.
    let status = StatusCode::from_u16(direct.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let caller = Caller::of(request.headers());
    let mut response = reply::direct(caller, status, direct.body.clone().unwrap_or_default());
    response.extensions_mut().insert(details());
    if status == StatusCode::CREATED || status.is_redirection() {
        redirect::write_location(&redirect::own_location(request), &mut response);
    }
    if request.method() == "HEAD" {
        *response.body_mut() = B::default();
    }
    response
}

/// Where answers of the configuration itself come from, as Envoy's access logs say.
pub(super) fn details() -> ResponseDetails {
    ResponseDetails::new("direct_response")
}

/// The answer to a request whose destination cannot be resolved, if that is what was drawn.
///
/// It carries [`RefusedDestination`] in its extensions.
pub fn respond_refused<B: Default>(
    matched: &MatchedRoute,
    request: &RequestHead<'_>,
) -> Option<Response<B>> {
    let ClusterSpecifier::Refused(status) = matched.destination()?.cluster else {
        return None;
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Some(reply::local(
        Caller::of(request.headers()),
        status,
        RefusedDestination,
    ))
}

/// Marks an answer as given because the destination of the route cannot be resolved.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the destination of the route cannot be resolved")]
#[non_exhaustive]
pub struct RefusedDestination;

impl Reason for RefusedDestination {
    const FLAG: ResponseFlag = ResponseFlag::NoClusterFound;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Request;
    use mesh_core::model::route::{Forward, Route, RouteAction, RouteMatch, WeightedDestination};

    use super::*;

    fn answer(status: u16, body: &'static str, request: http::request::Builder) -> Response<Bytes> {
        let body = (!body.is_empty()).then(|| Bytes::from_static(body.as_bytes()));
        let request = request
            .uri("/x?q")
            .header("host", "a.example")
            .body(())
            .unwrap();
        respond(
            &DirectResponse { status, body },
            &RequestHead::from(&request),
        )
    }

    #[test]
    fn a_body_is_plain_text_with_its_length() {
        let response = answer(200, "hello", Request::builder());
        assert_eq!(response.headers()["content-type"], "text/plain");
        assert_eq!(response.headers()["content-length"], "5");
        assert_eq!(response.body(), "hello");
        assert_eq!(response.extensions().get(), Some(&details()));
        assert!(answer(204, "", Request::builder()).headers().is_empty());
    }

    #[test]
    fn created_and_redirected_clients_are_told_where() {
        for (status, location) in [(200, false), (201, true), (302, true), (404, false)] {
            let response = answer(status, "", Request::builder());
            let actual = response.headers().get("location");
            assert_eq!(actual.is_some(), location, "{status}");
            assert!(
                actual.is_none_or(|actual| actual == "http://a.example/x?q"),
                "{status}"
            );
        }
    }

    #[test]
    fn the_answer_to_head_has_the_length_but_not_the_body() {
        let response = answer(200, "hello", Request::head("/"));
        assert_eq!(response.headers()["content-length"], "5");
        assert!(response.body().is_empty());
    }

    #[test]
    fn grpc_callers_get_a_grpc_status() {
        let grpc = Request::post("/").header("content-type", "application/grpc");
        let response = answer(403, "hello", grpc);
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "7");
        assert_eq!(response.headers()["grpc-message"], "hello");
    }

    #[test]
    fn a_refused_destination_answers_with_its_status_and_reason() {
        let destination = WeightedDestination::new(ClusterSpecifier::Refused(500));
        let action = RouteAction::Forward(Box::new(Forward::to([destination])));
        let route = Route::new("broken", RouteMatch::prefix("/"), action);
        let matched = MatchedRoute::new(Arc::new(route), 0);
        let request = Request::get("/").body(()).unwrap();
        let response: Response<()> =
            respond_refused(&matched, &RequestHead::from(&request)).unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(response.extensions().get(), Some(&RefusedDestination));
        assert_eq!(
            response.extensions().get(),
            Some(&ResponseFlag::NoClusterFound)
        );
    }
}
