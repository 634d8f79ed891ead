use super::layer::Exchange;
use crate::telemetry::expression::{Answer, Expression, Facts};

/// An expression that decides whether an exchange is logged.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition(Expression);

impl Condition {
    /// Compiles an expression. `None` if it is not understood.
    pub(super) fn compile(text: &str) -> Option<Self> {
        Expression::compile(text).map(Self)
    }

    /// Whether it is true for an exchange.
    pub(super) fn holds(&self, exchange: &Exchange) -> bool {
        let (response, completion) = (exchange.response(), exchange.completion());
        let answer = Answer {
            status: response.map(|response| response.status),
            details: completion.response_code_details.as_deref(),
            flags: exchange.flags(),
            headers: response.map(|response| &response.headers),
            trailers: completion.trailers.as_ref(),
            endpoint: response.and_then(|response| response.extensions.get()),
            sizes: (completion.bytes_received, completion.bytes_sent),
        };
        let facts = Facts::of_request(exchange.request()).with_answer(&answer);
        self.0.holds(&facts)
    }
}
