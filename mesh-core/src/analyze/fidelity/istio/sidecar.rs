//! Fields of a Sidecar.

use super::gateway::BIND;
use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::sidecar::{
    IstioEgressListener, IstioIngressListener, OutboundTrafficPolicy, Sidecar, SidecarPort,
};

const CAPTURE: Support = Support::Differently(
    Capability::Routing,
    "the listener is marked as captured; redirecting connections to it is left to the system",
);

const NAME: Support = Support::NotApplicable("names the port for people");

const UNREAD: Support = Support::NotApplicable("Istio does not read it");

impl Classify for Sidecar {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            workload_selector,
            ingress,
            egress,
            inbound_connection_pool,
            outbound_traffic_policy,
        } = self;
        fields.leaf("workloadSelector", workload_selector, Capability::Routing);
        fields.nest("ingress", ingress);
        fields.nest("egress", egress);
        fields.nest("inboundConnectionPool", inbound_connection_pool);
        fields.nest("outboundTrafficPolicy", outbound_traffic_policy);
    }
}

impl Classify for IstioIngressListener {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            port,
            bind,
            capture_mode,
            default_endpoint,
            tls,
            connection_pool,
        } = self;
        fields.nest("port", port);
        fields.leaf("bind", bind, Capability::Routing);
        fields.leaf("captureMode", capture_mode, CAPTURE);
        fields.leaf("defaultEndpoint", default_endpoint, Capability::Routing);
        fields.nest("tls", tls);
        fields.nest("connectionPool", connection_pool);
    }
}

impl Classify for IstioEgressListener {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            port,
            bind,
            capture_mode,
            hosts,
        } = self;
        fields.nest("port", port);
        fields.leaf("bind", bind, BIND);
        fields.leaf("captureMode", capture_mode, CAPTURE);
        fields.leaf("hosts", hosts, Capability::Routing);
    }
}

impl Classify for OutboundTrafficPolicy {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { mode, egress_proxy } = self;
        fields.leaf("mode", mode, Capability::Routing);
        fields.nest("egressProxy", egress_proxy);
    }
}

impl Classify for SidecarPort {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            number,
            protocol,
            name,
            target_port,
        } = self;
        fields.leaf("number", number, Capability::Routing);
        fields.leaf("protocol", protocol, Capability::Routing);
        fields.leaf("name", name, NAME);
        fields.leaf("targetPort", target_port, UNREAD);
    }
}
