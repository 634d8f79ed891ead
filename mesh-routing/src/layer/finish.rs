use std::time::{SystemTime, UNIX_EPOCH};

use http::request::Parts;
use http::{Request, Response};
use mesh_core::attributes::{MatchedRoute, ResponseFlag, ResponseFlags};
use mesh_core::format_string::Exchange;
use mesh_core::model::route::ClusterSpecifier;

use super::seams::Clock;
use crate::filter::cors::{self, AllowedOrigin};
use crate::filter::headers;

const NO_CLUSTER: ResponseFlag = ResponseFlag::NoClusterFound;

/// What is left to do when the response has come.
#[derive(Debug)]
pub(super) struct Finish {
    matched: MatchedRoute,
    origin: Option<AllowedOrigin>,
    headers: Option<HeaderWork>,
}

/// Header operations on the response, and what they have to know.
#[derive(Debug)]
struct HeaderWork {
    /// The head of the request as it was forwarded, if a value depends on it.
    request: Option<Box<Parts>>,
    /// The head of the request as it came, if a value depends on it.
    original: Option<Box<Parts>>,
    start: SystemTime,
}

/// The request as it is now, if an operation on the response has to know it.
pub(super) fn original(matched: &MatchedRoute, request: &Parts) -> Option<Box<Parts>> {
    headers::response_needs_request(matched).then(|| Box::new(request.clone()))
}

/// When the request began, for the header operations of its route. The clock is not asked in vain.
pub(super) fn start(matched: &MatchedRoute, clock: &Clock) -> SystemTime {
    if headers::is_varying(matched) {
        clock.now()
    } else {
        UNIX_EPOCH
    }
}

impl Finish {
    /// Lets the response have the fields of the route's CORS policy.
    pub(super) fn cors(matched: &MatchedRoute, origin: Option<AllowedOrigin>) -> Option<Box<Self>> {
        let origin = Some(origin?);
        Some(Box::new(Self {
            matched: matched.clone(),
            origin,
            headers: None,
        }))
    }

    /// Lets the response to `request`, as it is now, be changed by the header operations of the
    /// route, and then have the fields of its CORS policy.
    ///
    /// `original` is the request before it was changed, if it was. It is what Envoy looks at when the
    /// cluster does not exist, which it finds out first.
    pub(super) fn all(
        matched: &MatchedRoute,
        origin: Option<AllowedOrigin>,
        (request, original): (&Parts, Option<Box<Parts>>),
        start: SystemTime,
    ) -> Option<Box<Self>> {
        if !headers::changes_response(matched) {
            return Self::cors(matched, origin);
        }
        let needs_request = headers::response_needs_request(matched);
        let request = needs_request.then(|| Box::new(request.clone()));
        Some(Box::new(Self {
            matched: matched.clone(),
            origin,
            headers: Some(HeaderWork {
                request,
                original,
                start,
            }),
        }))
    }

    pub(super) fn apply<B>(&self, response: Response<B>) -> Response<B> {
        let (mut head, body) = response.into_parts();
        if let Some(work) = &self.headers {
            let blank;
            let flags = ResponseFlags::of(&head.extensions);
            let is_sent = !flags.contains(NO_CLUSTER);
            let original = work.original.as_ref().filter(|_| !is_sent);
            let request = match original.or(work.request.as_ref()) {
                Some(request) => request,
                None => {
                    blank = Request::new(()).into_parts().0;
                    &blank
                }
            };
            let mut exchange = Exchange::of_request(request, work.start);
            if !is_forwarded(&self.matched) || flags.is_local_answer() {
                exchange = exchange.answered_locally();
            }
            headers::apply_to_response(&self.matched, &exchange, &mut head);
        }
        if let (Some(origin), Some(policy)) = (&self.origin, &self.matched.route().cors) {
            cors::write_response(policy, origin, &mut head.headers);
        }
        Response::from_parts(head, body)
    }
}

/// Whether a cluster answers the requests of the route, rather than the proxy.
fn is_forwarded(matched: &MatchedRoute) -> bool {
    let destination = matched.destination();
    destination.is_some_and(|destination| match destination.cluster {
        ClusterSpecifier::Header(_) | ClusterSpecifier::Name(_) => true,
        ClusterSpecifier::Refused(_) => false,
    })
}
