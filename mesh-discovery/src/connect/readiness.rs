//! Whether a request would be sent at once.

use std::sync::Arc;

use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;

use super::attempt::Attempt;
use super::host::{Compiled, Host};
use crate::service::Target;

/// Whether a request would be sent at once.
pub(super) enum Readiness<B> {
    /// There is a connection for it.
    Ready,
    /// There is none, and this one is to be made.
    Connect(Attempt<B>),
    /// There is none, and none may be made before.
    HeldBack(Instant),
    /// There will be one, or a place for one.
    Wait,
}

impl<B> Host<B> {
    /// Says whether a connection can take a request now, and takes none.
    pub(super) fn readiness(
        self: &Arc<Self>,
        target: &Target,
        compiled: &Compiled,
    ) -> Readiness<B> {
        let mut state = self.state();
        state.enter_for(target, compiled);
        let max_streams = compiled.settings.max_streams;
        let mut available = state.available.iter();
        if available.any(|connection| !self.is_http2() || connection.usage.has_room(max_streams)) {
            return Readiness::Ready;
        }
        let generation = state.current.generation();
        let is_coming = match self.is_http2() {
            true => state.attempts.any(generation),
            false => state.attempts.any_unclaimed(generation),
        };
        if is_coming {
            return Readiness::Wait;
        }
        if let Some(until) = state.failures.waits_until(Instant::now()) {
            return Readiness::HeldBack(until);
        }
        let since = state.failures.count();
        match self.begin(&mut state, target, since) {
            Some((attempt, _)) => Readiness::Connect(attempt),
            None => Readiness::Wait,
        }
    }

    /// Completes with the next change of what [`readiness`](Self::readiness) says.
    pub(super) fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.changed).notified_owned()
    }
}
