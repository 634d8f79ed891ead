//! Rules of Sidecar (`ValidateSidecar`).
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::Sidecar;
//! use mesh_core::validate::{Report, sidecar};
//!
//! let resource = Resource::<Sidecar>::default();
//! let report = Report::default();
//! sidecar::validate(&resource, report.root());
//! assert_eq!(report.into_violations()[0].message, "a Sidecar that says nothing has no meaning");
//! ```

mod egress;
mod ingress;

use super::destination_rule::validate_connection_pool;
use super::{At, destination, selector};
use crate::dns;
use crate::resource::Resource;
use crate::resource::istio::sidecar::{
    OutboundTrafficPolicy, OutboundTrafficPolicyMode, Sidecar, SidecarPort,
};

/// Checks a Sidecar.
pub fn validate(resource: &Resource<Sidecar>, at: At<'_>) {
    let Sidecar {
        workload_selector,
        ingress,
        egress,
        inbound_connection_pool,
        outbound_traffic_policy,
    } = &resource.spec;
    let at = at.field("spec");
    if let Some(selector) = workload_selector {
        selector::validate_networking(selector, at.field("workloadSelector"));
    }
    let says_nothing = ingress.is_empty()
        && egress.is_empty()
        && inbound_connection_pool.is_none()
        && outbound_traffic_policy.is_none();
    at.require(!says_nothing, "a Sidecar that says nothing has no meaning");
    ingress::validate(ingress, at.field("ingress"));
    if let Some(pool) = inbound_connection_pool {
        validate_connection_pool(pool, at.field("inboundConnectionPool"));
    }
    egress::validate(egress, &resource.metadata.namespace, at.field("egress"));
    if let Some(policy) = outbound_traffic_policy {
        validate_outbound_policy(policy, at.field("outboundTrafficPolicy"));
    }
}

/// Checks what becomes of traffic to unknown destinations (`validateSidecarOutboundTrafficPolicy`).
fn validate_outbound_policy(policy: &OutboundTrafficPolicy, at: At<'_>) {
    let OutboundTrafficPolicy { mode, egress_proxy } = policy;
    let Some(proxy) = egress_proxy else {
        return;
    };
    let at = at.field("egressProxy");
    if *mode != OutboundTrafficPolicyMode::AllowAny {
        at.error("only traffic that is let through (ALLOW_ANY) goes to a proxy");
        return;
    }
    if let Err(error) = dns::validate_fqdn(&proxy.host) {
        at.field("host").error(error);
    } else {
        destination::validate(proxy, at);
    }
    at.field("port")
        .require(proxy.port.is_some(), "the port of the proxy is required");
}

fn validate_no_target_port(port: &SidecarPort, at: At<'_>) {
    if port.target_port != 0 {
        at.field("targetPort")
            .error("`targetPort` has no meaning in a Sidecar");
    }
}

#[cfg(test)]
mod tests;
