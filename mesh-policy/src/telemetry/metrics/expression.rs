use http::{Extensions, Request};

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
        let answer = Answer {
            status: response.map(|response| response.status),
            details: details.as_deref(),
            flags: ending.flags,
            headers: response.map(|response| &response.headers),
            trailers: ending.trailers,
            endpoint: response.and_then(|response| response.extensions.get()),
            sizes: ending.sizes,
        };
        let facts = Facts::of_request(&heads.request);
        self.0.text(&facts.with_answer(&answer))
    }

    /// The value for a connection that carries no requests. `None` if there is none.
    pub(super) fn of_connection(&self, extensions: &Extensions) -> Option<String> {
        self.0.text(&Facts::of_connection(extensions))
    }
}
