use http::{Extensions, Request};
use mesh_core::attributes::{TransportFailure, UpstreamConnection};

use super::tags::{Ending, Heads};
use crate::telemetry::access_log::details;
use crate::telemetry::expression::{Answer, Expression, Facts};

/// An expression over exchanges that makes the value of a label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TagExpression(Expression);

impl TagExpression {
    /// Compiles an expression. `None` if it is not understood.
    pub(super) fn compile(text: &str) -> Option<Self> {
        Expression::compile(text).map(Self)
    }

    /// Whether it reads what is known only at the end of an exchange.
    pub(super) fn is_late(&self) -> bool {
        !self.0.is_about_requests()
    }

    /// The value for `request`. `None` if there is none.
    pub(super) fn of_request<B>(&self, request: &Request<B>) -> Option<String> {
        self.0.text(&Facts::of(request))
    }

    /// The value for an exchange that has ended. `None` if there is none.
    pub(super) fn of_exchange(&self, heads: &Heads, ending: &Ending<'_>) -> Option<String> {
        let response = heads.response.as_ref();
        let details = response.map(|response| details::of_response(&response.extensions));
        let extensions = response.map(|response| &response.extensions);
        let upstream = extensions.and_then(|extensions| extensions.get::<UpstreamConnection>());
        let local = upstream.and_then(|upstream| Some(upstream.local?.to_string()));
        let failure = extensions.and_then(|extensions| extensions.get::<TransportFailure>());
        let answer = Answer {
            status: response.map(|response| response.status),
            details: details.as_deref(),
            flags: ending.flags,
            headers: response.map(|response| &response.headers),
            trailers: ending.trailers,
            endpoint: extensions.and_then(Extensions::get),
            sizes: ending.sizes,
            duration: Some(ending.duration),
            termination: None,
            transport_failure: failure.map(|TransportFailure(why)| &**why),
            upstream_local: local.as_deref(),
        };
        let facts = Facts::of_request(&heads.request);
        self.0.text(&facts.with_answer(&answer))
    }

    /// The value for a connection that carries no requests. `None` if there is none.
    pub(super) fn of_connection(&self, extensions: &Extensions) -> Option<String> {
        self.0.text(&Facts::of_connection(extensions, None))
    }
}
