use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::model::listener::FilterChain;
use mesh_core::watch::Watch;

use super::entrances::Capture;
use super::generation::Generation;
use super::handshakes::Handshakes;
use super::tcp;
use crate::serve::{self, Connection, FilterChains, Inspected, ListenerId, Refused};

/// Takes connections by the generation that is current when they come.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    generation: Watch<Generation>,
    handshakes: Handshakes,
    destinations: Arc<BTreeMap<ListenerId, SocketAddr>>,
}

impl Admission {
    /// Tells `handshakes` of connections that fail; those of `captures` have destinations.
    pub(super) fn new(
        generation: Watch<Generation>,
        handshakes: Handshakes,
        captures: &[Capture],
    ) -> Self {
        let captures = captures.iter().enumerate();
        let destinations =
            captures.map(|(index, capture)| (Capture::id(index), capture.destination));
        Self {
            generation,
            handshakes,
            destinations: Arc::new(destinations.collect()),
        }
    }
}

impl serve::Admission for Admission {
    fn chains(&self, listener: ListenerId) -> Option<Arc<FilterChains>> {
        self.generation.load().chains(listener)
    }

    fn destination(&self, listener: ListenerId, bound: SocketAddr) -> SocketAddr {
        self.destinations.get(&listener).copied().unwrap_or(bound)
    }

    fn forward(
        &self,
        connection: Connection,
        chain: Arc<FilterChain>,
        stream: Inspected,
    ) -> impl Future<Output = ()> + 'static {
        tcp::forward(self.generation.load_full(), connection, chain, stream)
    }

    fn refused(&self, connection: &Connection, why: &Refused) {
        self.handshakes.refused(connection, why);
    }
}
