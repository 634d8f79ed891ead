//! Mesh mTLS or plaintext, on one port: PeerAuthentication.
//!
//! [`PortMode::decide`] says what becomes of a connection by its first bytes and by the mode of the port. It
//! is what the filter chains do that istiod makes of a PeerAuthentication
//! (`filterchain_options.go`):
//!
//! | mode | mesh mTLS | other TLS | plaintext |
//! |---|---|---|---|
//! | `STRICT` | terminated | terminated, and refused without a certificate of the mesh | refused |
//! | `PERMISSIVE`, a declared HTTP port | terminated | refused | passed on |
//! | `PERMISSIVE`, any other port | terminated | passed on | passed on |
//! | `DISABLE` | passed on | passed on | passed on |
//!
//! Mesh mTLS is told by its application protocols, which clients of the mesh offer and nobody else
//! ([`is_mesh_alpn`]).
//!
//! It is for services that end their mTLS themselves. A proxy that serves the filter chains of the resolved
//! model, as `examples/sidecar` does, decides the same by those, and needs none of this.
//!
//! A client that says nothing is waited for only as long as the detection timeout, and only where
//! plaintext is accepted beside TLS; then it speaks plaintext, as protocols do in which the server
//! speaks first.
//!
//! # Example
//!
//! ```
//! use mesh_core::model::policy::{MtlsMode, PeerPolicy};
//! use mesh_tls::client_hello::detect;
//! use mesh_tls::mode::{Action, PortMode};
//!
//! let policy = PeerPolicy::default();
//! let port = PortMode::of_policy(&policy, 8080, true);
//! assert_eq!(port.decide(&detect(b"GET / HTTP/1.1\r\n")), Action::PassOn);
//!
//! let strict = PortMode { mode: MtlsMode::Strict, ..port };
//! assert_eq!(strict.decide(&detect(b"GET / HTTP/1.1\r\n")), Action::Refuse);
//! assert!(!strict.is_detected(), "there is nothing to be told apart");
//! ```

use mesh_core::model::policy::{MtlsMode, PeerPolicy};

use crate::client_hello::{ClientHello, Detected};

/// The application protocols by which clients of the mesh tell that they speak mesh mTLS.
const MESH_ALPN: [&[u8]; 5] = [
    b"istio",
    b"istio-peer-exchange",
    b"istio-http/1.0",
    b"istio-http/1.1",
    b"istio-h2",
];

/// Whether clients are of the mesh, on one port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PortMode {
    /// What is accepted.
    pub mode: MtlsMode,
    /// Whether the port is declared as one of HTTP, where no TLS of others can come.
    pub is_http: bool,
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Its bytes go to the application as they are.
    PassOn,
    /// It is closed.
    Refuse,
    /// TLS ends here, and the client proves its identity.
    Terminate,
}

impl PortMode {
    /// The mode that a policy gives to a port that the workload listens on.
    pub fn of_policy(policy: &PeerPolicy, port: u16, is_http: bool) -> Self {
        Self {
            mode: policy.mode_of(port),
            is_http,
        }
    }

    /// Whether the first bytes matter, so that they have to be waited for. If they do not come in
    /// time, [`decide`](Self::decide) takes the connection for plaintext.
    pub fn is_detected(&self) -> bool {
        self.mode == MtlsMode::Permissive
    }

    /// What becomes of a connection with these first bytes.
    pub fn decide(&self, first: &Detected) -> Action {
        match (self.mode, first) {
            (MtlsMode::Disable, _) => Action::PassOn,
            (MtlsMode::Strict, Detected::Plaintext) => Action::Refuse,
            (MtlsMode::Strict, _) => Action::Terminate,
            (MtlsMode::Permissive, Detected::Plaintext | Detected::Incomplete { .. }) => {
                Action::PassOn
            }
            (MtlsMode::Permissive, Detected::ClientHello(hello)) if is_mesh_alpn(hello) => {
                Action::Terminate
            }
            (MtlsMode::Permissive, Detected::ClientHello(_) | Detected::Malformed) => {
                match self.is_http {
                    true => Action::Refuse,
                    false => Action::PassOn,
                }
            }
        }
    }
}

/// Whether a client offers one of the application protocols of mesh mTLS.
pub fn is_mesh_alpn(hello: &ClientHello) -> bool {
    hello.alpn().any(|name| MESH_ALPN.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::testing::client_hello;

    #[test]
    fn each_mode_tells_connections_apart() {
        use Action::{PassOn, Refuse, Terminate};
        let mesh = client_hello(&["istio-peer-exchange", "istio"]);
        let other = client_hello(&["h2", "http/1.1"]);
        let bare = client_hello(&[]);
        let silent = Detected::Incomplete { needed: 1 };
        let cases = [
            (
                MtlsMode::Strict,
                true,
                [Terminate, Terminate, Terminate, Refuse, Terminate],
            ),
            (
                MtlsMode::Strict,
                false,
                [Terminate, Terminate, Terminate, Refuse, Terminate],
            ),
            (
                MtlsMode::Permissive,
                true,
                [Terminate, Refuse, Refuse, PassOn, PassOn],
            ),
            (
                MtlsMode::Permissive,
                false,
                [Terminate, PassOn, PassOn, PassOn, PassOn],
            ),
            (MtlsMode::Disable, true, [PassOn; 5]),
            (MtlsMode::Disable, false, [PassOn; 5]),
        ];
        for (mode, is_http, expected) in cases {
            let port = PortMode { mode, is_http };
            let firsts = [&mesh, &other, &bare, &Detected::Plaintext, &silent];
            let found = firsts.map(|first| port.decide(first));
            assert_eq!(found, expected, "{mode:?}, HTTP: {is_http}");
        }
    }

    #[test]
    fn every_application_protocol_of_the_mesh_is_known() {
        for name in [
            "istio",
            "istio-peer-exchange",
            "istio-http/1.0",
            "istio-http/1.1",
            "istio-h2",
        ] {
            let Detected::ClientHello(hello) = client_hello(&["h2", name]) else {
                panic!("{name}");
            };
            assert!(is_mesh_alpn(&hello), "{name}");
        }
    }

    #[test]
    fn a_port_has_its_own_mode() {
        let policy = PeerPolicy {
            mode: MtlsMode::Strict,
            ports: BTreeMap::from([(8080, MtlsMode::Disable)]),
            origins: Vec::new(),
        };
        assert_eq!(
            PortMode::of_policy(&policy, 8080, true).mode,
            MtlsMode::Disable
        );
        assert_eq!(
            PortMode::of_policy(&policy, 9090, true).mode,
            MtlsMode::Strict
        );
    }
}
