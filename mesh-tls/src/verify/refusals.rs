//! Why peers were refused, for whoever drives their connections.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ThreadId};

use super::VerifyError;

/// How many refusals wait to be taken. Connections that rustls drives without this crate's help
/// leave theirs.
const CAPACITY: usize = 1_024;

/// The last refusal of each thread.
///
/// rustls calls a verifier on the thread that drives the connection, and reports the error before
/// it returns. So what a thread refused last is what its connection has just failed of. The
/// verifiers themselves are shared by all connections, as sessions can only be resumed with the
/// verifier that they began with.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_thread: Mutex<HashMap<ThreadId, VerifyError>>,
}

impl Refusals {
    pub(super) fn record(&self, error: VerifyError) {
        let mut refusals = self
            .by_thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if refusals.len() >= CAPACITY {
            refusals.clear();
        }
        refusals.insert(thread::current().id(), error);
    }

    /// What this thread refused last, once.
    pub(super) fn take(&self) -> Option<VerifyError> {
        let mut refusals = self
            .by_thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        refusals.remove(&thread::current().id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_takes_what_it_refused_and_takes_it_once() {
        let refusals = Refusals::default();
        refusals.record(VerifyError::Revoked);
        thread::scope(|scope| {
            scope.spawn(|| {
                assert!(refusals.take().is_none());
                refusals.record(VerifyError::RevocationUnknown);
            });
        });
        assert!(matches!(refusals.take(), Some(VerifyError::Revoked)));
        assert!(refusals.take().is_none());
    }
}
