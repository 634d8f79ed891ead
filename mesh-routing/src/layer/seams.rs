//! What a layer takes from its surroundings, so that tests can give it instead.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

/// A source of numbers, uniform over all values.
#[derive(Clone)]
pub(super) struct Random(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Random {
    pub(super) fn new(random: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(random))
    }

    pub(super) fn draw(&self) -> u64 {
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

/// A source of the time of day.
#[derive(Clone)]
pub(super) struct Clock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Clock {
    pub(super) fn new(clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(clock))
    }

    pub(super) fn now(&self) -> SystemTime {
        (self.0)()
    }
}

impl Default for Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the default of a layer is the clock that `with_clock` replaces"
    )]
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}
