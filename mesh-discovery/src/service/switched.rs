use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::exchange::InFlight;

/// A connection that goes on in another protocol after the response in whose extensions this is, such as
/// a WebSocket: its request is in flight as long as the connection lasts, not the response.
#[derive(Clone, Default)]
pub(crate) struct Switched(Arc<Mutex<Option<InFlight>>>);

impl Switched {
    /// Counts the request until the connection, and whoever else has this, is gone.
    pub(super) fn keep(&self, active: Option<InFlight>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = active;
    }
}

impl fmt::Debug for Switched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switched").finish_non_exhaustive()
    }
}
