use http::Request;

/// Without the feature `cel`, values are not understood beyond those that need no language.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum TagExpression {}

impl TagExpression {
    /// There is none.
    pub(super) fn compile(_: &str) -> Option<Self> {
        None
    }

    /// The value for a request.
    pub(super) fn of<B>(self, _: &Request<B>) -> Option<String> {
        match self {}
    }
}
