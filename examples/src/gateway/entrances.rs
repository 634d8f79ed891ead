//! Where connections come in: the sockets that a gateway binds, and the listeners that they lead to.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use mesh_core::model::Model;
use mesh_core::model::listener::{Bind, Direction, Listener};

use super::Settings;
use crate::serve::ListenerId;

/// The listener of a sidecar that takes all connections to its workload, by their destination.
const VIRTUAL_INBOUND: &str = "virtualInbound";
/// The one that takes those that the workload makes, and that no other listener takes.
const VIRTUAL_OUTBOUND: &str = "virtualOutbound";
/// The ids of captured connections begin here, beyond those of ports.
const CAPTURED: ListenerId = 1 << 32;

/// The listener that takes connections to the workload of a sidecar, whatever their port.
pub(super) fn virtual_inbound(model: &Model) -> Option<&Listener> {
    let mut listeners = model.listeners.iter();
    listeners.find(|listener| listener.name == VIRTUAL_INBOUND)
}

/// Connections that are redirected to the gateway on their way, as those of a sidecar are.
///
/// A sidecar captures the connections to its workload, and those that the workload makes. Nothing is
/// redirected here: whoever connects to [`bind`](Self::bind) is taken to have connected to
/// [`destination`](Self::destination).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capture {
    /// Whether they come to the workload, or from it.
    pub direction: Direction,
    /// The address that clients want to connect to.
    pub destination: SocketAddr,
    /// The address that the gateway listens at in place of it; port 0 lets the system choose.
    pub bind: SocketAddr,
}

impl Capture {
    /// The id of the capture with this index.
    pub(super) fn id(index: usize) -> ListenerId {
        CAPTURED + index as ListenerId
    }

    /// The capture with an id.
    pub(super) fn of(captures: &[Self], id: ListenerId) -> Option<&Self> {
        captures.get(usize::try_from(id.checked_sub(CAPTURED)?).ok()?)
    }

    /// The listener that takes the connections: of the address and port, else of the port on any
    /// address, else the one for whatever is left.
    fn listener<'m>(&self, model: &'m Model) -> Option<&'m Listener> {
        let any: IpAddr = match self.destination {
            SocketAddr::V4(_) => [0; 4].into(),
            SocketAddr::V6(_) => [0; 16].into(),
        };
        let mut own = model
            .listeners
            .iter()
            .filter(|listener| listener.direction == self.direction);
        let bound = [self.destination.ip(), any]
            .into_iter()
            .find_map(|address| {
                let port = self.destination.port();
                let bind = Bind::Ip { address, port };
                own.clone().find(|listener| listener.bind == bind)
            });
        let rest = match self.direction {
            Direction::Inbound => VIRTUAL_INBOUND,
            Direction::Outbound => VIRTUAL_OUTBOUND,
        };
        bound.or_else(|| own.find(|listener| listener.name == rest))
    }
}

/// The listeners that are served, by the ids of their sockets.
pub(super) struct Entrances<'m>(BTreeMap<ListenerId, (&'m Listener, bool)>);

impl<'m> Entrances<'m> {
    /// The inbound listeners of a model by the ports that they declare, and those of captured
    /// connections; and what is not served.
    pub(super) fn of(model: &'m Model, settings: &Settings) -> (Self, Vec<String>) {
        let (mut entrances, mut warnings) = (BTreeMap::new(), Vec::new());
        let inbound = |listener: &&Listener| {
            listener.direction == Direction::Inbound && listener.name != VIRTUAL_INBOUND
        };
        for listener in model.listeners.iter().filter(inbound) {
            let mut unserved = |why: &str| {
                let (name, origin) = (&listener.name, &listener.origin);
                warnings.push(format!("listener `{name}` is not served: {why} [{origin}]"));
            };
            let id = listener.declared_port.into();
            match &listener.bind {
                Bind::Unix(_) => unserved("no Unix socket is listened on"),
                Bind::Ip { .. } if entrances.contains_key(&id) => {
                    unserved("another listener declares its port");
                }
                Bind::Ip { .. } => {
                    entrances.insert(id, (listener, false));
                }
            }
        }
        for (index, capture) in settings.captures.iter().enumerate() {
            match capture.listener(model) {
                Some(listener) => {
                    entrances.insert(Capture::id(index), (listener, true));
                }
                None => warnings.push(format!("nothing listens at {}", capture.destination)),
            }
        }
        (Self(entrances), warnings)
    }

    /// The id, the listener, and whether its connections are captured.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ListenerId, &'m Listener, bool)> {
        let entrances = self.0.iter();
        entrances.map(|(id, (listener, is_captured))| (*id, *listener, *is_captured))
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
    fn a_port_is_served_once_and_no_unix_socket_is() {
        let mut second = Listener::new("10.0.0.1_80", 80, []);
        second.bind = Bind::Ip {
            address: [10, 0, 0, 1].into(),
            port: 80,
        };
        let mut unix = Listener::new("unix", 0, []);
        unix.bind = Bind::Unix("/run/gateway.sock".to_owned());
        let model = model([Listener::new("0.0.0.0_80", 80, []), second, unix]);
        let (entrances, warnings) = Entrances::of(&model, &Settings::default());
        let names: Vec<&str> = entrances.iter().map(|(_, one, _)| &*one.name).collect();
        assert_eq!(names, ["0.0.0.0_80"]);
        let expected = [
            "listener `10.0.0.1_80` is not served: another listener declares its port [listener]",
            "listener `unix` is not served: no Unix socket is listened on [listener]",
        ];
        assert_eq!(warnings, expected);
    }

    #[test]
    fn captured_connections_go_to_the_most_specific_listener() {
        let outbound = |name: &str, address: [u8; 4], port| Listener {
            bind: Bind::Ip {
                address: address.into(),
                port,
            },
            direction: Direction::Outbound,
            ..Listener::new(name, port, [])
        };
        let model = model([
            outbound("any", [0, 0, 0, 0], 80),
            outbound("address", [10, 0, 0, 1], 80),
            outbound(VIRTUAL_OUTBOUND, [0, 0, 0, 0], 15001),
            Listener::new(VIRTUAL_INBOUND, 15006, []),
        ]);
        let cases = [
            (Direction::Outbound, "10.0.0.1:80", "address"),
            (Direction::Outbound, "10.0.0.2:80", "any"),
            (Direction::Outbound, "10.0.0.1:81", VIRTUAL_OUTBOUND),
            (Direction::Inbound, "10.0.0.1:80", VIRTUAL_INBOUND),
        ];
        for (direction, destination, expected) in cases {
            let capture = Capture {
                direction,
                destination: destination.parse().unwrap(),
                bind: ([127, 0, 0, 1], 0).into(),
            };
            let settings = Settings {
                captures: vec![capture],
                ..Settings::default()
            };
            let (entrances, warnings) = Entrances::of(&model, &settings);
            assert_eq!(warnings, [""; 0]);
            let served: Vec<(ListenerId, &str, bool)> = entrances
                .iter()
                .map(|(id, listener, is_captured)| (id, &*listener.name, is_captured))
                .collect();
            assert_eq!(served, [(Capture::id(0), expected, true)], "{destination}");
        }
    }

    fn model(listeners: impl IntoIterator<Item = Listener>) -> Model {
        let (config, _) = Loaded::default().build(MeshConfig::builder(), 1).unwrap();
        let mut model = resolve(&config, &Workload::gateway("istio-system"));
        model.listeners = listeners.into_iter().collect();
        model
    }
}
