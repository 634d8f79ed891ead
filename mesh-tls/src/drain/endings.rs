//! How the TLS of the filter chains of one generation of the configuration ends.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mesh_core::model::listener::{FilterChain, FilterChainMatch, NetworkFilter, ServerTls};
use mesh_core::resource::istio::mesh_config::TlsConfig;
use serde::Serialize;

use crate::verify::PeerVerifier;

/// How the TLS of the filter chains of one generation of the configuration ends: what each says of it, and
/// how it verifies its clients. Cheap to clone; clones share what they know.
///
/// A [compiler](crate::config::TlsCompiler::with_endings) writes them down, and
/// [`DrainList::keep`](super::DrainList::keep) holds the connections that stand against them.
#[derive(Clone, Default)]
pub struct Endings {
    known: Arc<Mutex<Known>>,
    /// Whether they were [kept](super::DrainList::keep). It tells generations apart, too.
    kept: Arc<AtomicBool>,
}

/// By what chains say.
type Known = HashMap<Arc<str>, Option<PeerVerifier>>;

/// The TLS of one filter chain, by which connections are accepted. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ending {
    // Not the endings themselves: a connection that stands for long would keep all chains of its time.
    kept: Arc<AtomicBool>,
    key: Arc<str>,
}

/// What makes two chains of two generations one: a connection of the one would be taken by the other, on
/// the same terms. Who clients are verified by is not in it, for that can be asked again.
#[derive(Serialize)]
struct Key<'a> {
    listener: &'a str,
    matches: &'a FilterChainMatch,
    tls: Option<&'a ServerTls>,
    is_http: bool,
    limits: [&'a TlsConfig; 2],
}

impl Endings {
    /// No chains.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a chain of `listener` that verifies its clients so, within these limits of the mesh. `None` if
    /// what it says cannot be written down, so that nobody knows it again.
    pub(crate) fn add(
        &self,
        (listener, chain): (&str, &FilterChain),
        limits: [&TlsConfig; 2],
        verifier: Option<PeerVerifier>,
    ) -> Option<Ending> {
        let key = Key {
            listener,
            matches: &chain.matches,
            tls: chain.tls.as_ref(),
            is_http: matches!(chain.filter, NetworkFilter::Http(_)),
            limits,
        };
        let key: Arc<str> = serde_json::to_string(&key).ok()?.into();
        self.lock().insert(Arc::clone(&key), verifier);
        let kept = Arc::clone(&self.kept);
        Some(Ending { kept, key })
    }

    /// Whoever asks [whether they are](Ending::is_to_come) holds the lock of the list, as whoever says it here.
    pub(super) fn set_kept(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// How a chain that says this verifies its clients, if there is one.
    pub(super) fn get(&self, key: &str) -> Option<Option<PeerVerifier>> {
        self.lock().get(key).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Endings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endings")
            .field("len", &self.lock().len())
            .finish()
    }
}

impl Ending {
    /// What the chain says.
    pub(super) fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// Whether the chain is of these.
    pub(super) fn is_of(&self, endings: &Endings) -> bool {
        Arc::ptr_eq(&self.kept, &endings.kept)
    }

    /// Whether the chain is of a generation that is yet to be kept, so that those of now say nothing of it.
    pub(super) fn is_to_come(&self) -> bool {
        !self.kept.load(Ordering::Relaxed)
    }
}
