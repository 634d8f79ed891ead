use super::layer::Exchange;

/// Without the feature `cel`, expressions are not understood beyond those of [`LogFilter`] itself.
///
/// [`LogFilter`]: super::LogFilter
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Condition {}

impl Condition {
    /// There is none.
    pub(super) fn compile(_: &str) -> Option<Self> {
        None
    }

    /// Whether it is true for an exchange.
    pub(super) fn holds(self, _: &Exchange) -> bool {
        match self {}
    }
}
