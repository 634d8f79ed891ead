//! The sockets that a gateway listens at, from one generation to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;

use mesh_core::model::listener::Listener;

use crate::serve::{Bound, ListenerId, Workers};

/// Where to listen, by the ids of sockets.
pub(super) type Asked<'m> = BTreeMap<ListenerId, Ask<'m>>;

/// A socket that is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<'m> {
    /// Where; port 0 lets the system choose.
    pub(super) address: SocketAddr,
    /// The listener that it is of, if that declares a port; else the settings ask for it.
    pub(super) listener: Option<&'m Listener>,
}

/// The sockets that are listened at.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    open: BTreeMap<ListenerId, Open>,
    has_begun: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    asked: SocketAddr,
    bound: SocketAddr,
    /// The port that a listener declares.
    declared: Option<u16>,
}

/// Sockets that are bound, and not listened at yet.
#[derive(Debug)]
pub(super) struct Prepared {
    new: Vec<(ListenerId, Open, Bound)>,
    /// The ids of all that are listened at next.
    all: Vec<ListenerId>,
}

/// What cannot be bound, and why.
pub(super) type Unbound<'m> = Vec<(&'m Listener, io::Error)>;

impl Sockets {
    /// Binds what is asked for and not listened at. Nothing else changes.
    ///
    /// A listener that cannot be bound is left out, as by an Envoy; it is tried again by the next call. Of
    /// two at one address the one is served that is listened at already, else the one with the lower id.
    ///
    /// # Errors
    ///
    /// That of the first address that cannot be bound, if the settings ask for it; or if nothing was ever
    /// listened at, and nothing can be.
    pub(super) fn prepare<'m>(
        &self,
        workers: &Workers,
        asked: &Asked<'m>,
    ) -> io::Result<(Prepared, Unbound<'m>)> {
        let stays = |(id, ask): &(&ListenerId, &Ask<'_>)| {
            let open = self.open.get(id);
            open.is_some_and(|open| open.asked == ask.address)
        };
        let (staying, coming): (Vec<_>, Vec<_>) = asked.iter().partition(stays);
        let mut all: Vec<_> = staying.into_iter().map(|(id, _)| *id).collect();
        // Who is listened at stays, whoever else comes and wants its address.
        let mut taken: BTreeSet<_> = all.iter().filter_map(|id| self.get(*id)).collect();
        let (mut new, mut unbound) = (Vec::new(), Vec::new());
        for (id, ask) in coming {
            let is_free = ask.address.port() == 0 || taken.insert(ask.address);
            let bound = match is_free {
                true => self.bind(workers, ask.address, &new),
                // Clients would be answered by either.
                false => Err(in_use(ask.address)),
            };
            match (bound, ask.listener) {
                (Ok(bound), listener) => {
                    let open = Open {
                        asked: ask.address,
                        bound: bound.address(),
                        declared: listener.map(|listener| listener.declared_port),
                    };
                    all.push(*id);
                    new.push((*id, open, bound));
                }
                (Err(error), Some(listener)) => unbound.push((listener, error)),
                (Err(error), None) => return Err(error),
            }
        }
        if !self.has_begun && all.is_empty() && !unbound.is_empty() {
            return Err(unbound.swap_remove(0).1);
        }
        Ok((Prepared { new, all }, unbound))
    }

    fn bind(
        &self,
        workers: &Workers,
        address: SocketAddr,
        new: &[(ListenerId, Open, Bound)],
    ) -> io::Result<Bound> {
        let new = new.iter().map(|(_, open, _)| open);
        // What another of our listeners has is free as soon as that is closed; and one at all addresses
        // leaves those that are asked for by themselves.
        let is_ours = (self.open.values().chain(new)).any(|open| overlap(open.bound, address));
        match is_ours {
            true => workers.bind_again(address),
            false => workers.bind(address),
        }
    }

    /// Listens at what was prepared, and at nothing else.
    pub(super) fn replace(&mut self, workers: &Workers, prepared: Prepared) {
        self.has_begun = true;
        self.open.retain(|id, _| {
            let stays = prepared.all.contains(id);
            if !stays {
                workers.unlisten(*id);
            }
            stays
        });
        for (id, open, bound) in prepared.new {
            workers.accept(id, bound);
            self.open.insert(id, open);
        }
    }

    /// The address of a socket, if it is listened at.
    pub(super) fn get(&self, id: ListenerId) -> Option<SocketAddr> {
        self.open.get(&id).map(|open| open.bound)
    }

    /// The sockets of listeners that declare a port: the port, and the address.
    pub(super) fn declared(&self) -> impl Iterator<Item = (u16, SocketAddr)> {
        let open = self.open.values();
        open.filter_map(|open| Some((open.declared?, open.bound)))
    }
}

fn in_use(address: SocketAddr) -> io::Error {
    let text = format!("{address}: another listener is bound there");
    io::Error::new(io::ErrorKind::AddrInUse, text)
}

/// Whether two sockets cannot be bound if they do not know of each other.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (is_any || one.ip() == other.ip())
}
