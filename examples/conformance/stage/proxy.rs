//! Our proxy: the gateway of the examples, with the listeners of a resolved workload.

use std::net::{Ipv4Addr, SocketAddr};

use examples::gateway::{Capture, Gateway, HandshakeObserver, MeshWide, Settings};
use mesh_core::model::Model;
use mesh_core::model::listener::Direction;
use mesh_tls::resolve::IdentityPublisher;

use super::network::Network;

/// A proxy that serves the listeners of a model. It stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    gateway: Gateway,
    warnings: Vec<String>,
    _identity: IdentityPublisher,
}

impl Proxy {
    /// Serves the listeners of a gateway's `model`, whose clusters have the addresses of sockets. The
    /// error is why there is no proxy.
    pub(super) fn gateway(network: &Network, model: &Model) -> Result<Self, String> {
        let ports = model.listeners.iter();
        let ports = ports.map(|listener| (listener.declared_port, 0)).collect();
        let settings = Settings {
            ports,
            ..Settings::default()
        };
        Self::start(network, model, settings)
    }

    /// Serves connections to `destination`, by a sidecar's `model`. The error is why there is no
    /// proxy.
    pub(super) fn sidecar(
        network: &Network,
        model: &Model,
        direction: Direction,
        destination: SocketAddr,
    ) -> Result<Self, String> {
        let bind = (Ipv4Addr::LOCALHOST, 0).into();
        let capture = Capture::fixed(direction, destination, bind);
        let settings = Settings {
            captures: vec![capture],
            ..Settings::default()
        };
        Self::start(network, model, settings)
    }

    fn start(network: &Network, model: &Model, mut settings: Settings) -> Result<Self, String> {
        let (identity, live) = network.identities.of(&model.workload)?;
        settings.bind = Ipv4Addr::LOCALHOST.into();
        settings.identity = Some(live);
        let troubles = network.troubles.clone();
        let observer = HandshakeObserver::new(move |failed| troubles.add(failed.to_string()));
        settings.handshakes = Some(observer);
        let mut gateway = Gateway::start(settings).map_err(|error| error.to_string())?;
        let published = gateway.publish_in(model, &MeshWide::of(&network.config));
        let warnings = published.map_err(|error| error.to_string())?;
        Ok(Self {
            gateway,
            warnings,
            _identity: identity,
        })
    }

    /// Where it listens in place of a gateway's `port`. The error is why it does not.
    pub(super) fn port(&self, port: u16) -> Result<SocketAddr, String> {
        let address = self.gateway.address(port);
        address.ok_or_else(|| self.unserved(&format!("port {port}")))
    }

    /// Where it listens for what a sidecar captures. The error is why it does not.
    pub(super) fn captured(&self) -> Result<SocketAddr, String> {
        let address = self.gateway.captured(0);
        address.ok_or_else(|| self.unserved("the destination"))
    }

    fn unserved(&self, what: &str) -> String {
        match self.warnings.as_slice() {
            [] => format!("nothing listens at {what}"),
            warnings => format!("{what} is not served: {}", warnings.join("; ")),
        }
    }
}
