use std::time::{SystemTime, UNIX_EPOCH};

use http::request::Parts;
use http::{Request, Response};
use mesh_core::attributes::MatchedRoute;
use mesh_core::format_string::Exchange;

use super::seams::Clock;
use crate::filter::cors::{self, AllowedOrigin};
use crate::filter::headers;

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
    /// The head of the request, if a value depends on it.
    request: Option<Box<Parts>>,
    start: SystemTime,
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
    pub(super) fn all(
        matched: &MatchedRoute,
        origin: Option<AllowedOrigin>,
        request: &Parts,
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
            headers: Some(HeaderWork { request, start }),
        }))
    }

    pub(super) fn apply<B>(&self, response: Response<B>) -> Response<B> {
        let (mut head, body) = response.into_parts();
        if let Some(work) = &self.headers {
            let blank;
            let request = match &work.request {
                Some(request) => request,
                None => {
                    blank = Request::new(()).into_parts().0;
                    &blank
                }
            };
            let exchange = Exchange::of_request(request, work.start);
            headers::apply_to_response(&self.matched, &exchange, &mut head);
        }
        if let (Some(origin), Some(policy)) = (&self.origin, &self.matched.route().cors) {
            cors::write_response(policy, origin, &mut head.headers);
        }
        Response::from_parts(head, body)
    }
}
