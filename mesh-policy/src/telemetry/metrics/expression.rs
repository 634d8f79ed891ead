use http::Request;

use crate::telemetry::expression::{Expression, Facts};

/// An expression over requests that makes the value of a label.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TagExpression(Expression);

impl TagExpression {
    /// Compiles an expression. `None` if it is not understood, or reads what is not known when a
    /// request comes.
    pub(super) fn compile(text: &str) -> Option<Self> {
        let expression = Expression::compile(text)?;
        expression.is_about_requests().then_some(Self(expression))
    }

    /// The value for `request`. `None` if there is none.
    pub(super) fn of<B>(&self, request: &Request<B>) -> Option<String> {
        self.0.text(&Facts::of(request))
    }
}
