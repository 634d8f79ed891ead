//! Where connections come in: the listeners of a model that a gateway serves.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mesh_core::model::Model;
use mesh_core::model::listener::{Bind, Direction, Listener};

use super::Settings;
use super::capture::{Capture, Destination};
use super::destinations::{Destinations, is_rest};
use super::sockets::{Ask, Asked};
use crate::serve::ListenerId;

/// The listeners that are served, by their ids.
pub(super) struct Entrances<'m> {
    listeners: BTreeMap<ListenerId, (&'m Listener, bool)>,
    /// The socket of each listener that has one of its own, and of captures: where it is, and the only
    /// listener that it is of.
    sockets: Vec<(ListenerId, Option<ListenerId>, Ask<'m>)>,
}

impl<'m> Entrances<'m> {
    /// The inbound listeners of a model by the ports that they declare, and those of captured
    /// connections by the ids of `destinations`; and what is not served.
    pub(super) fn of(
        model: &'m Model,
        settings: &Settings,
        destinations: &Destinations,
    ) -> (Self, Vec<String>) {
        let (mut entrances, mut warnings) = (Self::none(), Vec::new());
        for listener in &model.listeners {
            if let Err(why) = entrances.add_port(listener, settings, destinations) {
                let (name, origin) = (&listener.name, &listener.origin);
                warnings.push(format!("listener `{name}` is not served: {why} [{origin}]"));
            }
        }
        for (index, capture) in settings.captures.iter().enumerate() {
            let socket = Capture::id(index);
            let ask = Ask {
                address: capture.bind,
                listener: None,
            };
            match &capture.destination {
                Destination::Original(_) => {
                    entrances.add_all(capture.direction, model, destinations);
                    entrances.sockets.push((socket, None, ask));
                }
                Destination::Fixed(destination) => {
                    let found = destinations.lookup(capture.direction, *destination);
                    let listener = found.and_then(|id| listener(model, destinations, id));
                    match found.zip(listener) {
                        Some((id, listener)) => {
                            entrances.listeners.insert(id, (listener, true));
                            entrances.sockets.push((socket, Some(id), ask));
                        }
                        None => warnings.push(nothing_listens(*destination)),
                    }
                }
            }
        }
        (entrances, warnings)
    }

    fn none() -> Self {
        Self {
            listeners: BTreeMap::new(),
            sockets: Vec::new(),
        }
    }

    /// Adds a listener that binds a socket of its own; says why it is not served.
    ///
    /// The one at all addresses has the port that it declares as its id, and those at an address of
    /// their own have ids for it, so that they do not take each other's connections when one comes or
    /// goes.
    fn add_port(
        &mut self,
        listener: &'m Listener,
        settings: &Settings,
        destinations: &Destinations,
    ) -> Result<(), &'static str> {
        if is_rest(listener, listener.direction) {
            return Ok(());
        }
        let calls = || {
            let mut captures = settings.captures.iter();
            captures.any(|capture| capture.direction == Direction::Outbound)
        };
        let (address, port) = match (&listener.bind, listener.direction) {
            (Bind::Unix(_), _) => return Err("no Unix socket is listened on"),
            (Bind::Ip { .. }, Direction::Outbound) if !listener.captured && calls() => {
                return Err(
                    "what the workload calls is served where it is captured, which this is not",
                );
            }
            (Bind::Ip { .. }, Direction::Outbound) => return Ok(()),
            (Bind::Ip { address, port }, Direction::Inbound) => (*address, *port),
        };
        let declared = listener.declared_port;
        let (id, ip) = match destinations.socket_id(listener) {
            Some(id) if !address.is_unspecified() => (id, address),
            _ => (declared.into(), settings.bind),
        };
        if self.listeners.contains_key(&id) {
            return Err("another listener declares its port");
        }
        let port = settings.ports.get(&declared).copied().unwrap_or(port);
        let ask = Ask {
            address: (ip, port).into(),
            listener: Some(listener),
        };
        self.listeners.insert(id, (listener, false));
        self.sockets.push((id, Some(id), ask));
        Ok(())
    }

    /// Adds all listeners of a direction: any may be the one that a connection was made to.
    fn add_all(&mut self, direction: Direction, model: &'m Model, destinations: &Destinations) {
        let listeners = model.listeners.iter();
        for listener in listeners.filter(|listener| listener.direction == direction) {
            if let Some(id) = destinations.id(listener) {
                self.listeners.entry(id).or_insert((listener, true));
            }
        }
    }

    /// The id, the listener, and whether its connections are captured.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ListenerId, &'m Listener, bool)> {
        let entrances = self.listeners.iter();
        entrances.map(|(id, (listener, is_captured))| (*id, *listener, *is_captured))
    }

    /// Where to listen, given which listeners `are_served`: at the address and port that a listener
    /// binds, where the settings do not name another.
    pub(super) fn sockets(&self, are_served: impl Fn(ListenerId) -> bool) -> Asked<'m> {
        let sockets = self.sockets.iter();
        let served = sockets.filter(|(_, only, _)| only.is_none_or(&are_served));
        served.map(|(id, _, ask)| (*id, *ask)).collect()
    }
}

/// The listener with an id; the first one of its name.
fn listener<'m>(
    model: &'m Model,
    destinations: &Destinations,
    id: ListenerId,
) -> Option<&'m Listener> {
    let mut listeners = model.listeners.iter();
    listeners.find(|listener| destinations.id(listener) == Some(id))
}

fn nothing_listens(destination: SocketAddr) -> String {
    format!("nothing listens at {destination}")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use mesh_core::config::MeshConfig;
    use mesh_core::resolve::resolve;
    use mesh_core::workload::Workload;

    use super::*;
    use crate::config::Loaded;

    #[test]
    fn a_port_is_served_once_at_each_address_and_no_unix_socket_is() {
        let mut second = Listener::new("::_80", 80, []);
        second.bind = Bind::Ip {
            address: [0; 16].into(),
            port: 80,
        };
        let mut unix = Listener::new("unix", 0, []);
        unix.bind = Bind::Unix("/run/gateway.sock".to_owned());
        let any = Listener::new("0.0.0.0_80", 80, []);
        let model = model([at([10, 0, 0, 1]), any, at([10, 0, 0, 2]), second, unix]);
        let (served, warnings) = served(&model, &Settings::default());
        assert_eq!(served, ["0.0.0.0_80", "10.0.0.1_80", "10.0.0.2_80"]);
        let expected = [
            "listener `::_80` is not served: another listener declares its port [listener]",
            "listener `unix` is not served: no Unix socket is listened on [listener]",
        ];
        assert_eq!(warnings, expected);
    }

    #[test]
    fn an_address_of_a_port_keeps_its_id_while_others_come_and_go() {
        let ids = |destinations: &Destinations, model: &Model| {
            let (entrances, _) = Entrances::of(model, &Settings::default(), destinations);
            let ids = entrances
                .iter()
                .map(|(id, listener, _)| (listener.name.clone(), id));
            ids.collect::<BTreeMap<_, _>>()
        };
        let (one, other) = (at([10, 0, 0, 1]), at([10, 0, 0, 2]));
        let before = model([other.clone()]);
        let first = Destinations::none().next(&before);
        let after = model([one, Listener::new("0.0.0.0_80", 80, []), other]);
        let second = first.next(&after);
        let (before, after) = (ids(&first, &before), ids(&second, &after));
        assert_eq!(before["10.0.0.2_80"], after["10.0.0.2_80"]);
        assert_eq!(after["0.0.0.0_80"], 80);
        assert_eq!(
            after
                .values()
                .collect::<std::collections::BTreeSet<_>>()
                .len(),
            3
        );
    }

    #[test]
    fn of_what_has_one_destination_one_listener_is_served() {
        let model = model([outbound("10.0.0.1_80", 80), outbound("10.0.0.1_81", 81)]);
        let capture = |port| {
            let destination = ([10, 0, 0, 1], port).into();
            Capture::fixed(Direction::Outbound, destination, anywhere())
        };
        let (names, warnings) = served(&model, &capturing(capture(81)));
        assert_eq!((names, warnings), (vec!["10.0.0.1_81"], Vec::new()));
        let (names, warnings) = served(&model, &capturing(capture(82)));
        assert_eq!(names, [""; 0]);
        assert_eq!(warnings, ["nothing listens at 10.0.0.1:82"]);
    }

    #[test]
    fn of_what_is_redirected_all_listeners_of_the_direction_are_served() {
        let mut own = outbound("127.0.0.1_82", 82);
        own.captured = false;
        let model = model([
            outbound("10.0.0.1_80", 80),
            outbound("10.0.0.1_81", 81),
            own,
        ]);
        let capture = Capture::redirected(Direction::Outbound, anywhere());
        let (names, warnings) = served(&model, &capturing(capture));
        assert_eq!(names, ["10.0.0.1_80", "10.0.0.1_81", "127.0.0.1_82"]);
        let expected = "listener `127.0.0.1_82` is not served: what the workload calls is served \
                        where it is captured, which this is not [listener]";
        assert_eq!(warnings, [expected]);
    }

    fn served<'m>(model: &'m Model, settings: &Settings) -> (Vec<&'m str>, Vec<String>) {
        let destinations = Destinations::none().next(model);
        let (entrances, warnings) = Entrances::of(model, settings, &destinations);
        let names = entrances.iter().map(|(_, listener, _)| &*listener.name);
        (names.collect(), warnings)
    }

    fn capturing(capture: Capture) -> Settings {
        Settings {
            captures: vec![capture],
            ..Settings::default()
        }
    }

    /// A listener for port 80 of an address.
    fn at(address: [u8; 4]) -> Listener {
        let address = IpAddr::from(address);
        Listener {
            bind: Bind::Ip { address, port: 80 },
            ..Listener::new(format!("{address}_80"), 80, [])
        }
    }

    fn anywhere() -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    fn outbound(name: &str, port: u16) -> Listener {
        Listener {
            bind: Bind::Ip {
                address: [10, 0, 0, 1].into(),
                port,
            },
            direction: Direction::Outbound,
            captured: true,
            ..Listener::new(name, port, [])
        }
    }

    fn model(listeners: impl IntoIterator<Item = Listener>) -> Model {
        let (config, _) = Loaded::default().build(MeshConfig::builder(), 1).unwrap();
        let mut model = resolve(&config, &Workload::gateway("istio-system"));
        model.listeners = listeners.into_iter().collect();
        model
    }
}
