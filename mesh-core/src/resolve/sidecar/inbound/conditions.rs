//! By what the chains of an inbound port are told apart
//! (`pilot/pkg/networking/core/filterchain_options.go`).
//!
//! Clients in the mesh say by ALPN that they speak mesh mTLS, and whether they found HTTP in it.

use crate::model::listener::Transport;
use crate::model::policy::MtlsMode;
use crate::resolve::sidecar::chains;
use crate::service::Protocol;

/// HTTP, found by the client's sidecar.
const MESH_HTTP: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// Bytes, by the client's sidecar.
const MESH_TCP: [&str; 2] = ["istio-peer-exchange", "istio"];
/// Anything by a client's sidecar.
const MESH: [&str; 5] = [
    "istio",
    "istio-peer-exchange",
    "istio-http/1.0",
    "istio-http/1.1",
    "istio-h2",
];

/// What connections a chain takes, and what it makes of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Condition {
    /// Application protocols, any if empty.
    pub(super) alpn: &'static [&'static str],
    /// Whether it is TLS. `None` takes both.
    pub(super) transport: Option<Transport>,
    /// Whether it is read as HTTP.
    pub(super) is_http: bool,
    /// What becomes of TLS.
    pub(super) tls: Tls,
}

/// What becomes of the TLS of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tls {
    /// It stays, if there is any.
    AsIs,
    /// It ends here.
    Terminated,
}

const fn mesh(alpn: &'static [&'static str], is_http: bool) -> Condition {
    Condition {
        alpn,
        transport: Some(Transport::Tls),
        is_http,
        tls: Tls::Terminated,
    }
}

const fn plaintext(alpn: &'static [&'static str], is_http: bool) -> Condition {
    Condition {
        alpn,
        transport: Some(Transport::Plaintext),
        is_http,
        tls: Tls::AsIs,
    }
}

/// TLS of the application, which is not read.
const OPAQUE_TLS: Condition = Condition {
    alpn: &[],
    transport: Some(Transport::Tls),
    is_http: false,
    tls: Tls::AsIs,
};

/// Bytes of which nothing is known.
const fn anything(is_http: bool) -> Condition {
    Condition {
        alpn: &[],
        transport: None,
        is_http,
        tls: Tls::AsIs,
    }
}

/// The chains of a port that speaks `protocol`.
///
/// A declared HTTP port takes no TLS but the mesh's; other ports let that of the application
/// through, unless only the mesh's is accepted. Where the mesh's is not, nobody looks for TLS.
pub(super) fn conditions(mode: MtlsMode, protocol: Protocol) -> Vec<Condition> {
    let detected = protocol.is_unsupported();
    let is_http = protocol.is_http();
    match mode {
        MtlsMode::Disable if detected => vec![
            plaintext(&chains::HTTP, true),
            plaintext(&[], false),
            OPAQUE_TLS,
        ],
        MtlsMode::Disable => vec![anything(is_http)],
        MtlsMode::Strict if detected => vec![mesh(&MESH_HTTP, true), mesh(&[], false)],
        MtlsMode::Strict => vec![mesh(&[], is_http)],
        MtlsMode::Permissive if detected => vec![
            mesh(&MESH_HTTP, true),
            plaintext(&chains::HTTP, true),
            mesh(&MESH_TCP, false),
            plaintext(&[], false),
            OPAQUE_TLS,
        ],
        MtlsMode::Permissive if is_http => vec![mesh(&MESH, true), plaintext(&[], true)],
        MtlsMode::Permissive => vec![mesh(&MESH, false), plaintext(&[], false), OPAQUE_TLS],
    }
}

/// The chain of a port whose TLS ends by settings of its own.
pub(super) fn terminated(protocol: Protocol) -> Vec<Condition> {
    vec![mesh(&[], protocol.is_http())]
}

/// The application protocols that are offered to clients of the mesh.
pub(super) fn offered(is_http: bool) -> Vec<String> {
    let offered: &[&str] = match is_http {
        true => &["h2", "http/1.1"],
        false => &["istio-peer-exchange", "h2", "http/1.1"],
    };
    offered.iter().map(ToString::to_string).collect()
}
