//! The sockets that a gateway listens at, from one generation to the next.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use crate::serve::{Bound, ListenerId, Workers};

/// Where to listen, by the ids of sockets. Port 0 lets the system choose.
pub(super) type Addresses = BTreeMap<ListenerId, SocketAddr>;

/// The sockets that are listened at.
#[derive(Debug, Default)]
pub(super) struct Sockets(BTreeMap<ListenerId, Open>);

#[derive(Clone, Copy, Debug)]
struct Open {
    asked: SocketAddr,
    bound: SocketAddr,
}

/// Sockets that are bound, and not listened at yet.
#[derive(Debug)]
pub(super) struct Prepared {
    new: Vec<(ListenerId, SocketAddr, Bound)>,
    all: Addresses,
}

impl Sockets {
    /// Binds what of `addresses` is not listened at. Nothing else changes.
    ///
    /// # Errors
    ///
    /// That of the first address that cannot be bound.
    pub(super) fn prepare(&self, workers: &Workers, addresses: Addresses) -> io::Result<Prepared> {
        let is_new = |id: &ListenerId, address: &SocketAddr| {
            self.0.get(id).is_none_or(|open| open.asked != *address)
        };
        let mut new = Vec::new();
        for (id, address) in addresses.iter().filter(|(id, address)| is_new(id, address)) {
            // One that another of our listeners has is free as soon as that is closed.
            let is_ours = self.0.values().any(|open| open.bound == *address);
            let bound = match is_ours {
                true => workers.bind_again(*address)?,
                false => workers.bind(*address)?,
            };
            new.push((*id, *address, bound));
        }
        let all = addresses;
        Ok(Prepared { new, all })
    }

    /// Listens at what was prepared, and at nothing else.
    pub(super) fn replace(&mut self, workers: &Workers, prepared: Prepared) {
        self.0.retain(|id, _| {
            let stays = prepared.all.contains_key(id);
            if !stays {
                workers.unlisten(*id);
            }
            stays
        });
        for (id, asked, bound) in prepared.new {
            let open = Open {
                asked,
                bound: bound.address(),
            };
            workers.accept(id, bound);
            self.0.insert(id, open);
        }
    }

    /// The address of a socket, if it is listened at.
    pub(super) fn get(&self, id: ListenerId) -> Option<SocketAddr> {
        self.0.get(&id).map(|open| open.bound)
    }

    /// All sockets, and their addresses.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ListenerId, SocketAddr)> {
        self.0.iter().map(|(id, open)| (*id, open.bound))
    }
}
