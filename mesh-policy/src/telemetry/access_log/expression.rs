use super::entry::Entry;
use crate::telemetry::expression::{Answer, Expression, Facts};

/// An expression that decides whether an exchange is logged.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition(Expression);

impl Condition {
    /// Compiles an expression. `None` if it is not understood.
    pub(super) fn compile(text: &str) -> Option<Self> {
        Expression::compile(text).map(Self)
    }

    /// Whether it is true for an exchange or connection.
    pub(super) fn holds(&self, entry: &Entry<'_>) -> bool {
        let (response, completion) = (entry.response, entry.completion);
        let answer = Answer {
            status: response.map(|response| response.status),
            details: completion.response_code_details.as_deref(),
            flags: entry.flags(),
            headers: response.map(|response| &response.headers),
            trailers: completion.trailers.as_ref(),
            endpoint: response.and_then(|response| response.extensions.get()),
            sizes: (completion.bytes_received, completion.bytes_sent),
            duration: Some(completion.duration),
            termination: completion.connection_termination_details.as_deref(),
            transport_failure: completion.upstream_transport_failure_reason.as_deref(),
            upstream_local: completion.upstream_local_address.as_deref(),
        };
        let facts = match entry.request {
            Some(request) => Facts::of_request(request),
            None => Facts::of_connection(entry.extensions, entry.cluster),
        };
        self.0.holds(&facts.with_answer(&answer))
    }
}
