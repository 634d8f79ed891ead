//! The time of day, as layers that record or compare it are given it.
//!
//! # Example
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use mesh_policy::clock::WallClock;
//!
//! let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(43_200);
//! let clock = WallClock::new(move || noon);
//! assert_eq!(clock.now(), noon);
//! assert_eq!(clock.since_epoch(), Duration::from_secs(43_200));
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// A source of the time of day. Cheap to clone.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl WallClock {
    /// The clock of the system.
    pub fn system() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the edge that other modules take the time from"
        )]
        Self::new(SystemTime::now)
    }

    /// A clock that shows what `now` says.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time it shows.
    pub fn now(&self) -> SystemTime {
        (self.0)()
    }

    /// The time since 1970; zero before that.
    pub fn since_epoch(&self) -> Duration {
        let since = self.now().duration_since(SystemTime::UNIX_EPOCH);
        since.unwrap_or_default()
    }
}

impl Default for WallClock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WallClock").finish_non_exhaustive()
    }
}
