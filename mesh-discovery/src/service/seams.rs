//! What the services take from their surroundings, so that tests can give it instead.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// A source of numbers, uniform over all values.
#[derive(Clone)]
pub(crate) struct Random(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Random {
    pub(crate) fn new(random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(random))
    }

    pub(crate) fn draw(&self) -> u64 {
        (self.0)()
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new(|| fastrand::u64(..))
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").finish_non_exhaustive()
    }
}

/// The time of tokio's clock, which tests can stop.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
