//! A caller's connection, with what Istio's simulation fills in.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mesh_core::model::Model;
use mesh_core::model::listener::{Bind, Direction, Listener, ServerTls, Transport};
use mesh_core::resource::istio::gateway::{ServerTlsMode, ServerTlsSettings};
use mesh_routing::l4::Connection;
use serde_json::Value;

use crate::case::text;

/// The address that the simulation calls where none is given.
const SOME_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(1, 3, 3, 7));

/// Istio's names of the listeners that captured connections arrive at.
const VIRTUAL_INBOUND: &str = "virtualInbound";
const VIRTUAL_OUTBOUND: &str = "virtualOutbound";

/// How a connection is secured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tls {
    /// By mesh mTLS.
    Mutual,
    /// Not at all.
    Plaintext,
    /// By TLS.
    Simple,
}

/// Who calls, and how.
#[derive(Debug)]
pub(super) struct Caller<'a> {
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) protocol: &'a str,
    pub(super) tls: Tls,
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) sni: &'a str,
    alpn: &'a str,
    inbound: bool,
    /// The certificate that mesh mTLS expects of the chain.
    secret: &'a str,
}

impl<'a> Caller<'a> {
    /// Reads a call. `None` if it has parts of unknown meaning.
    pub(super) fn read(call: &'a Value) -> Option<Self> {
        let tls = match text(call, "tls") {
            "" | "plaintext" => Tls::Plaintext,
            "tls" => Tls::Simple,
            "mtls" => Tls::Mutual,
            _ => return None,
        };
        let or = |field, default| match text(call, field) {
            "" => default,
            given => given,
        };
        let protocol = text(call, "protocol");
        let host = text(call, "host");
        let address = match text(call, "address") {
            "" => SOME_ADDRESS,
            address => address.parse().ok()?,
        };
        Some(Self {
            address,
            port: u16::try_from(call.get("port").map_or(Some(0), Value::as_u64)?).ok()?,
            protocol,
            tls,
            host,
            path: or("path", "/"),
            sni: or("sni", if tls == Tls::Simple { host } else { "" }),
            alpn: or("alpn", default_alpn(tls, protocol)),
            inbound: text(call, "mode") == "inbound",
            secret: or("mtls_secret_config_name", "default"),
        })
    }

    /// The listener that gets the connection: of the address and port, else of the port, else the
    /// one that captures.
    pub(super) fn listener<'m>(&self, model: &'m Model) -> Option<&'m Listener> {
        let named = |name: &str| {
            model
                .listeners
                .iter()
                .find(|listener| listener.name == name)
        };
        if self.inbound {
            return named(VIRTUAL_INBOUND);
        }
        let unspecified = [self.address, Ipv4Addr::UNSPECIFIED.into()];
        let bound = unspecified.into_iter().find_map(|address| {
            let bind = Bind::Ip {
                address,
                port: self.port,
            };
            let reaches = |listener: &&Listener| listener.bind == bind && !captures(listener);
            model.listeners.iter().find(reaches)
        });
        bound.or_else(|| named(VIRTUAL_OUTBOUND))
    }

    /// The connection, as the listener sees it.
    pub(super) fn connection<'c>(
        &'c self,
        listener: &Listener,
        protocols: &'c [&'c str],
    ) -> Connection<'c> {
        let inspected = inspects_tls(listener);
        let is_tls = self.tls != Tls::Plaintext && inspected;
        Connection {
            destination: SocketAddr::new(self.address, self.port),
            transport: if is_tls {
                Transport::Tls
            } else {
                Transport::Plaintext
            },
            // The simulation has calls with a server name and no TLS.
            server_name: Some(self.sni).filter(|name| inspected && !name.is_empty()),
            application_protocols: protocols,
        }
    }

    /// The application protocols that the listener sees: of the handshake where it inspects those,
    /// detected where it is plaintext.
    pub(super) fn application_protocols(&self, listener: &Listener) -> Vec<String> {
        if self.tls == Tls::Plaintext {
            let detected = match self.protocol {
                "http" => "http/1.1",
                "http2" => "h2c",
                _ => return Vec::new(),
            };
            return vec![detected.into()];
        }
        if self.alpn.is_empty() || !inspects_tls(listener) {
            return Vec::new();
        }
        vec![self.alpn.into()]
    }

    /// Whether what is left after the chain has or has not terminated TLS is HTTP.
    pub(super) fn speaks_http(&self, is_terminated: bool) -> bool {
        let is_bare = self.tls == Tls::Plaintext || is_terminated;
        is_bare && matches!(self.protocol, "http" | "http2")
    }

    /// Whether a chain demands a certificate, and presents the one that the caller expects.
    pub(super) fn is_mutual(&self, tls: &ServerTls) -> bool {
        match tls {
            ServerTls::Mesh { .. } => self.secret == "default",
            ServerTls::Gateway(settings) | ServerTls::Sidecar(settings) => {
                demands_certificate(settings) && secret(settings) == self.secret
            }
        }
    }
}

fn default_alpn(tls: Tls, protocol: &str) -> &'static str {
    match (tls, protocol) {
        (Tls::Mutual, "http") => "istio-http/1.1",
        (Tls::Mutual, "http2") => "istio-h2",
        (Tls::Mutual, _) => "istio",
        (Tls::Simple, "http") => "http/1.1",
        (Tls::Simple, "http2") => "h2",
        _ => "",
    }
}

fn captures(listener: &Listener) -> bool {
    listener.name == VIRTUAL_OUTBOUND || listener.name == VIRTUAL_INBOUND
}

/// Whether the listener reads the ClientHello before it chooses a chain.
fn inspects_tls(listener: &Listener) -> bool {
    let chains = listener.filter_chains.iter();
    listener.direction == Direction::Inbound && listener.captured
        || chains.map(|chain| &chain.matches).any(|matches| {
            matches.transport == Some(Transport::Tls)
                || !matches.server_names.is_empty()
                || !matches.application_protocols.is_empty()
        })
}

fn demands_certificate(settings: &ServerTlsSettings) -> bool {
    matches!(
        settings.mode,
        ServerTlsMode::IstioMutual | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual
    )
}

/// Istio's name of the certificate that the settings present.
fn secret(settings: &ServerTlsSettings) -> String {
    if settings.mode == ServerTlsMode::IstioMutual {
        return "default".into();
    }
    if !settings.credential_name.is_empty() {
        return format!("kubernetes://{}", settings.credential_name);
    }
    format!(
        "file-cert:{}~{}",
        settings.server_certificate, settings.private_key
    )
}
