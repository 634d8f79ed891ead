use mesh_core::analyze::fidelity::{Capabilities, Capability, Fidelity, FieldFidelity};
use mesh_core::model::Model;

/// What the gateway enforces, for [`fidelity`](mesh_core::analyze::fidelity::fidelity).
pub fn capabilities() -> Capabilities {
    Capabilities::none()
        .with(Capability::AccessLogs)
        .with(Capability::Authorization)
        .with(Capability::ClientTls)
        .with(Capability::ConnectionPools)
        .with(Capability::Discovery)
        .with(Capability::DnsResolution)
        .with(Capability::ExternalAuthorization)
        .with(Capability::Faults)
        .with(Capability::LoadBalancing)
        .with(Capability::Metrics)
        .with(Capability::OutlierDetection)
        .with(Capability::PeerAuthentication)
        .with(Capability::ProxyProtocol)
        .with(Capability::RateLimits)
        .with(Capability::RequestAuthentication)
        .with(Capability::Retries)
        .with(Capability::Routing)
        .with(Capability::ServerTls)
        .with(Capability::TcpRouting)
        .with(Capability::Timeouts)
        .with(Capability::Tracing)
}

/// The first policy of the model that would let requests pass which it may deny.
pub(super) fn refusal(model: &Model) -> Option<FieldFidelity> {
    let policies = Fidelity::of_policies(&model.policies, &capabilities());
    policies.refusals().next().cloned()
}
