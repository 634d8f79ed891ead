//! Outbound listeners by address and port, and how services that want the same one get along
//! (`buildSidecarOutboundListener`).

use std::collections::BTreeMap;

use crate::model::Notice;
use crate::model::listener::{Bind, Direction, FilterChain, Listener, NetworkFilter};
use crate::origin::Origin;
use crate::resolve::sidecar::{Sidecar, unmatched};
use crate::service::Protocol;

/// A listener in the making.
pub(super) struct Entry {
    pub(super) captured: bool,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) chains: Vec<FilterChain>,
    pub(super) origin: Origin,
}

/// Listeners in the making, by what they bind.
#[derive(Default)]
pub(super) struct Entries {
    by_bind: BTreeMap<Bind, Slot>,
}

struct Slot {
    entry: Entry,
    /// Whether a Sidecar asked for the listener, so that no other service is added to it.
    locked: bool,
}

impl Entries {
    /// Keeps services out of the listeners so far.
    pub(super) fn lock(&mut self) {
        for slot in self.by_bind.values_mut() {
            slot.locked = true;
        }
    }

    /// Whether a listener of `protocol` at `bind` would add nothing, since there is one already.
    pub(super) fn is_settled(&self, bind: &Bind, protocol: Protocol) -> bool {
        self.by_bind.get(bind).is_some_and(|slot| {
            let current = slot.entry.protocol;
            slot.locked || (protocol.is_http() && !current.is_tcp())
        })
    }

    /// Whether the listener at `bind` looks for HTTP, and so has a chain for it already.
    pub(super) fn detects(&self, bind: &Bind) -> bool {
        let slot = self.by_bind.get(bind);
        slot.is_some_and(|slot| slot.entry.protocol.is_unsupported())
    }

    /// Adds `entry`, of a service that speaks `protocol`, to what is at `bind`.
    ///
    /// HTTP and TCP at the same address are told apart by their first bytes. Of two chains for the
    /// same connections the first counts.
    pub(super) fn add(
        &mut self,
        bind: Bind,
        protocol: Protocol,
        entry: Entry,
        notices: &mut Vec<Notice>,
    ) {
        let Some(slot) = self.by_bind.get_mut(&bind) else {
            let locked = false;
            self.by_bind.insert(bind, Slot { entry, locked });
            return;
        };
        let current = &mut slot.entry;
        let server_first = |protocol| matches!(protocol, Protocol::Mongo | Protocol::MySql);
        let speaks_first = server_first(protocol) || server_first(current.protocol);
        if speaks_first && protocol != current.protocol {
            notices.push(Notice {
                origin: entry.origin,
                message: format!(
                    "connections at {} go to `{}`: the protocols cannot be told apart",
                    name(&bind),
                    current.origin
                ),
            });
            return;
        }
        if protocol.is_unsupported() && current.protocol.is_http() {
            *current = entry;
            return;
        }
        if protocol.is_tcp() != current.protocol.is_tcp() {
            current.protocol = Protocol::Unsupported;
        }
        for chain in entry.chains {
            let taken = current
                .chains
                .iter()
                .find(|other| other.matches == chain.matches);
            match taken {
                None => current.chains.push(chain),
                Some(other) => notices.push(Notice {
                    origin: chain.origin,
                    message: format!(
                        "connections at {} go to `{}`, which comes before",
                        name(&bind),
                        other.origin
                    ),
                }),
            }
        }
    }

    /// The listeners, by address.
    pub(super) fn into_listeners(self, sidecar: &Sidecar<'_>) -> Vec<Listener> {
        let listeners = self.by_bind.into_iter();
        let listeners = listeners.map(|(bind, slot)| listener(sidecar, bind, slot.entry));
        listeners.collect()
    }
}

/// Istio's name of a listener.
pub(super) fn name(bind: &Bind) -> String {
    match bind {
        Bind::Ip { address, port } => format!("{address}_{port}"),
        Bind::Unix(path) => format!("unix://{path}_0"),
    }
}

fn listener(sidecar: &Sidecar<'_>, bind: Bind, entry: Entry) -> Listener {
    let (default, chains): (Vec<_>, Vec<_>) = entry
        .chains
        .into_iter()
        .partition(|chain| chain.matches.is_empty());
    let is_http = |chain: &FilterChain| matches!(chain.filter, NetworkFilter::Http(_));
    let detects = chains
        .iter()
        .any(|chain| is_http(chain) && !chain.matches.application_protocols.is_empty());
    let (filter_chains, default) = match default.into_iter().next() {
        Some(only) if chains.is_empty() => (vec![only], None),
        Some(default) => (chains, Some(default)),
        None => {
            let passthrough = unmatched::filter_chain(sidecar, "PassthroughFilterChain");
            (chains, Some(passthrough))
        }
    };
    let options = sidecar.context.config.options();
    Listener {
        name: name(&bind),
        bind,
        direction: Direction::Outbound,
        declared_port: entry.port,
        captured: entry.captured,
        filter_chains,
        default_filter_chain: default.map(Box::new),
        protocol_detection_timeout: options.protocol_detection_timeout().filter(|_| detects),
        proxy_protocol: false,
        origin: entry.origin,
    }
}
