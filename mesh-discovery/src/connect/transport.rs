//! By what means an endpoint is reached.

use std::sync::Arc;

use mesh_core::model::cluster::UpstreamTls;
use mesh_core::resource::istio::destination_rule::ProxyProtocol;

use crate::service::Target;

/// What of the configuration a connection was made by: one that was made by other TLS, by none, or by
/// another PROXY protocol does not carry the requests of today.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Transport {
    tls: UpstreamTls,
    /// Whether the endpoint accepts mesh mTLS.
    pub(super) mesh_tls: bool,
    proxy_protocol: Option<ProxyProtocol>,
}

impl Transport {
    pub(super) fn to(target: &Target) -> Self {
        let cluster = &target.cluster;
        Self {
            tls: cluster.tls.clone(),
            mesh_tls: target.endpoint.mesh_tls,
            proxy_protocol: cluster.policy.proxy_protocol.clone(),
        }
    }
}

/// Which of the transports that an endpoint has had one after the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Generation(u64);

/// The transport of now.
#[derive(Debug)]
pub(super) struct Current {
    transport: Option<Arc<Transport>>,
    generation: Generation,
}

impl Current {
    pub(super) fn new() -> Self {
        Self {
            transport: None,
            generation: Generation(0),
        }
    }

    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// Says whether `transport` is another than that of the request before.
    pub(super) fn changes_to(&mut self, transport: &Arc<Transport>) -> bool {
        let is_same = |known: &Arc<Transport>| Arc::ptr_eq(known, transport) || known == transport;
        if self.transport.as_ref().is_some_and(is_same) {
            return false;
        }
        self.transport = Some(Arc::clone(transport));
        self.generation.0 += 1;
        true
    }
}
