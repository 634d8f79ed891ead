use http::{Extensions, Request};

use super::tags::{Ending, Heads};

/// Without the feature `cel`, values are not understood beyond those that need no language.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TagExpression {}

impl TagExpression {
    /// There is none.
    pub(super) fn compile(_: &str) -> Option<Self> {
        None
    }

    /// Whether it reads what is known only at the end.
    pub(super) fn is_late(self) -> bool {
        match self {}
    }

    /// The value for a request.
    pub(super) fn of_request<B>(self, _: &Request<B>) -> Option<String> {
        match self {}
    }

    /// The value for an exchange that has ended.
    pub(super) fn of_exchange(self, _: &Heads, _: &Ending<'_>) -> Option<String> {
        match self {}
    }

    /// The value for a connection.
    pub(super) fn of_connection(self, _: &Extensions) -> Option<String> {
        match self {}
    }
}
