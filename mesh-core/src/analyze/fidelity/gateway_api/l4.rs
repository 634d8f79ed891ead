//! Fields of routes of connections, and of grants and policies of the Gateway API.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::gateway_api::backend_tls_policy::{
    BackendTlsPolicy, BackendTlsPolicyValidation, SubjectAltName,
};
use crate::resource::gateway_api::reference_grant::{
    ReferenceGrant, ReferenceGrantFrom, ReferenceGrantTo,
};
use crate::resource::gateway_api::tcp_route::{TcpRoute, TcpRouteRule};
use crate::resource::gateway_api::tls_route::{TlsRoute, TlsRouteRule};
use crate::resource::gateway_api::udp_route::{UdpRoute, UdpRouteRule};

const UDP: Support = Support::never("no datagrams are carried");

const DEFAULTS: Support = Support::never("default gateways are experimental, and Istio has none");

impl Classify for TcpRoute {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            parent_refs,
            use_default_gateways,
            rules,
        } = self;
        fields.leaf("parentRefs", parent_refs, Capability::TcpRouting);
        fields.leaf("useDefaultGateways", use_default_gateways, DEFAULTS);
        fields.nest("rules", rules);
    }
}

impl Classify for TcpRouteRule {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { name, backend_refs } = self;
        fields.leaf("name", name, Capability::TcpRouting);
        fields.nest("backendRefs", backend_refs);
    }
}

impl Classify for TlsRoute {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            parent_refs,
            use_default_gateways,
            hostnames,
            rules,
        } = self;
        fields.leaf("parentRefs", parent_refs, Capability::TcpRouting);
        fields.leaf("useDefaultGateways", use_default_gateways, DEFAULTS);
        fields.leaf("hostnames", hostnames, Capability::TcpRouting);
        fields.nest("rules", rules);
    }
}

impl Classify for TlsRouteRule {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { name, backend_refs } = self;
        fields.leaf("name", name, Capability::TcpRouting);
        fields.nest("backendRefs", backend_refs);
    }
}

impl Classify for UdpRoute {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            parent_refs,
            use_default_gateways,
            rules,
        } = self;
        fields.leaf("parentRefs", parent_refs, UDP);
        fields.leaf("useDefaultGateways", use_default_gateways, UDP);
        fields.nest_as("rules", rules, UDP);
    }
}

impl Classify for UdpRouteRule {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { name, backend_refs } = self;
        fields.leaf("name", name, UDP);
        fields.nest("backendRefs", backend_refs);
    }
}

impl Classify for ReferenceGrant {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { from, to } = self;
        fields.nest("from", from);
        fields.nest("to", to);
    }
}

impl Classify for ReferenceGrantFrom {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            group,
            kind,
            namespace,
        } = self;
        fields.leaf("group", group, Capability::Routing);
        fields.leaf("kind", kind, Capability::Routing);
        fields.leaf("namespace", namespace, Capability::Routing);
    }
}

impl Classify for ReferenceGrantTo {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { group, kind, name } = self;
        fields.leaf("group", group, Capability::Routing);
        fields.leaf("kind", kind, Capability::Routing);
        fields.leaf("name", name, Capability::Routing);
    }
}

impl Classify for BackendTlsPolicy {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            target_refs,
            validation,
            options,
        } = self;
        fields.leaf("targetRefs", target_refs, Capability::ClientTls);
        fields.nest("validation", validation);
        fields.leaf("options", options, Capability::ClientTls);
    }
}

impl Classify for BackendTlsPolicyValidation {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            ca_certificate_refs,
            well_known_ca_certificates,
            hostname,
            subject_alt_names,
        } = self;
        fields.leaf(
            "caCertificateRefs",
            ca_certificate_refs,
            Capability::ClientTls,
        );
        fields.leaf(
            "wellKnownCACertificates",
            well_known_ca_certificates,
            Capability::ClientTls,
        );
        fields.leaf("hostname", hostname, Capability::ClientTls);
        fields.nest("subjectAltNames", subject_alt_names);
    }
}

impl Classify for SubjectAltName {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            r#type,
            hostname,
            uri,
        } = self;
        fields.leaf("type", r#type, Capability::ClientTls);
        fields.leaf("hostname", hostname, Capability::ClientTls);
        fields.leaf("uri", uri, Capability::ClientTls);
    }
}
