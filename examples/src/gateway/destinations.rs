//! Which listener of a model takes a captured connection.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use mesh_core::model::Model;
use mesh_core::model::listener::{Bind, Direction, Listener};

use crate::serve::ListenerId;

/// The listener of a sidecar that takes all connections to its workload, by their destination.
const VIRTUAL_INBOUND: &str = "virtualInbound";
/// The one that takes those that the workload makes, and that no other listener takes.
const VIRTUAL_OUTBOUND: &str = "virtualOutbound";
/// The ids of listeners of each direction begin here, beyond those of sockets.
const INBOUND: ListenerId = 1 << 33;
const OUTBOUND: ListenerId = 1 << 34;
/// Those of listeners with an address of their own have this added for their sockets.
const SOCKET: ListenerId = 1 << 35;

/// The listener that takes connections to the workload of a sidecar, whatever their port.
pub(crate) fn virtual_inbound(model: &Model) -> Option<&Listener> {
    let mut listeners = model.listeners.iter();
    listeners.find(|listener| is_rest(listener, Direction::Inbound))
}

/// Whether a listener takes what no other one of the direction does.
pub(super) fn is_rest(listener: &Listener, direction: Direction) -> bool {
    let name = match direction {
        Direction::Inbound => VIRTUAL_INBOUND,
        Direction::Outbound => VIRTUAL_OUTBOUND,
    };
    listener.direction == direction && listener.name == name
}

/// The listeners of a model by what captured connections were made to, of both directions.
#[derive(Clone, Debug)]
pub(super) struct Destinations {
    inbound: Side,
    outbound: Side,
}

/// The listeners of one direction.
#[derive(Clone, Debug)]
struct Side {
    /// The id of each name that there ever was. A connection keeps its listener's id, and finds the
    /// listener of that name in the generations to come.
    ids: BTreeMap<String, ListenerId>,
    first_id: ListenerId,
    by_bind: BTreeMap<SocketAddr, ListenerId>,
    rest: Option<ListenerId>,
}

impl Destinations {
    /// Nothing listens.
    pub(super) fn none() -> Self {
        Self {
            inbound: Side::none(INBOUND),
            outbound: Side::none(OUTBOUND),
        }
    }

    /// The listeners of `model`. Names that `self` knows keep their ids.
    pub(super) fn next(&self, model: &Model) -> Self {
        let mut next = Self {
            inbound: self.inbound.without_listeners(),
            outbound: self.outbound.without_listeners(),
        };
        for listener in &model.listeners {
            next.side_mut(listener.direction).add(listener);
        }
        next
    }

    /// The listener that takes the connections to `destination`: of its address and port, else of its
    /// port on any address, else the one for whatever is left.
    pub(super) fn lookup(
        &self,
        direction: Direction,
        destination: SocketAddr,
    ) -> Option<ListenerId> {
        let any: IpAddr = match destination {
            SocketAddr::V4(_) => [0; 4].into(),
            SocketAddr::V6(_) => [0; 16].into(),
        };
        let side = self.side(direction);
        let bound = [destination.ip(), any].into_iter().find_map(|address| {
            let bind = SocketAddr::new(address, destination.port());
            side.by_bind.get(&bind).copied()
        });
        bound.or(side.rest)
    }

    /// The id of a listener.
    pub(super) fn id(&self, listener: &Listener) -> Option<ListenerId> {
        let ids = &self.side(listener.direction).ids;
        ids.get(&listener.name).copied()
    }

    /// The id of the socket that a listener binds by itself.
    pub(super) fn socket_id(&self, listener: &Listener) -> Option<ListenerId> {
        self.id(listener).map(|id| SOCKET + id)
    }

    fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }

    fn side_mut(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Inbound => &mut self.inbound,
            Direction::Outbound => &mut self.outbound,
        }
    }
}

impl Side {
    fn none(first_id: ListenerId) -> Self {
        Self {
            ids: BTreeMap::new(),
            first_id,
            by_bind: BTreeMap::new(),
            rest: None,
        }
    }

    fn without_listeners(&self) -> Self {
        Self {
            ids: self.ids.clone(),
            ..Self::none(self.first_id)
        }
    }

    fn add(&mut self, listener: &Listener) {
        let unused = self.first_id + self.ids.len() as ListenerId;
        let id = *self.ids.entry(listener.name.clone()).or_insert(unused);
        if is_rest(listener, listener.direction) {
            self.rest = Some(id);
        }
        if let Bind::Ip { address, port } = listener.bind {
            // The first one wins, as in Envoy, which refuses the others.
            let bind = SocketAddr::new(address, port);
            self.by_bind.entry(bind).or_insert(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::config::MeshConfig;
    use mesh_core::resolve::resolve;
    use mesh_core::workload::Workload;

    use super::*;
    use crate::config::Loaded;

    #[test]
    fn the_most_specific_listener_takes_a_connection() {
        let destinations = Destinations::none().next(&model([
            outbound("any", [0, 0, 0, 0], 80),
            outbound("address", [10, 0, 0, 1], 80),
            outbound(VIRTUAL_OUTBOUND, [0, 0, 0, 0], 15001),
            Listener::new(VIRTUAL_INBOUND, 15006, []),
        ]));
        let cases = [
            (Direction::Outbound, "10.0.0.1:80", "address"),
            (Direction::Outbound, "10.0.0.2:80", "any"),
            (Direction::Outbound, "10.0.0.1:81", VIRTUAL_OUTBOUND),
            (Direction::Outbound, "[2001:db8::1]:80", VIRTUAL_OUTBOUND),
            (Direction::Inbound, "10.0.0.1:80", VIRTUAL_INBOUND),
        ];
        for (direction, destination, expected) in cases {
            let found = destinations.lookup(direction, destination.parse().unwrap());
            let expected = destinations.side(direction).ids.get(expected).copied();
            assert!(expected.is_some());
            assert_eq!(found, expected, "{direction:?} {destination}");
        }
    }

    #[test]
    fn a_listener_keeps_its_id_while_others_come_and_go() {
        let (cart, users) = (
            outbound("10.0.0.1_80", [10, 0, 0, 1], 80),
            outbound("10.0.0.2_80", [10, 0, 0, 2], 80),
        );
        let first = Destinations::none().next(&model([cart.clone()]));
        let second = first.next(&model([users.clone()]));
        let third = second.next(&model([users.clone(), cart.clone()]));

        let to_cart = |destinations: &Destinations| {
            destinations.lookup(Direction::Outbound, "10.0.0.1:80".parse().unwrap())
        };
        assert!(to_cart(&first).is_some());
        assert_eq!(to_cart(&second), None, "nothing listens there now");
        assert_eq!(to_cart(&third), to_cart(&first));
        assert_ne!(third.id(&cart), third.id(&users));
    }

    #[test]
    fn the_directions_do_not_share_ids() {
        let (calls, callers) = (
            outbound("0.0.0.0_80", [0, 0, 0, 0], 80),
            Listener::new("0.0.0.0_80", 80, []),
        );
        let destinations = Destinations::none().next(&model([calls.clone(), callers.clone()]));
        assert_ne!(destinations.id(&calls), destinations.id(&callers));
    }

    fn outbound(name: &str, address: [u8; 4], port: u16) -> Listener {
        Listener {
            bind: Bind::Ip {
                address: address.into(),
                port,
            },
            direction: Direction::Outbound,
            ..Listener::new(name, port, [])
        }
    }

    fn model(listeners: impl IntoIterator<Item = Listener>) -> Model {
        let (config, _) = Loaded::default().build(MeshConfig::builder(), 1).unwrap();
        let mut model = resolve(&config, &Workload::sidecar("shop"));
        model.listeners = listeners.into_iter().collect();
        model
    }
}
