//! Fields of Gateway, ListenerSet and GatewayClass.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::gateway_api::gateway::{
    AllowedListeners, Gateway, GatewayInfrastructure, ListenerNamespaces,
};
use crate::resource::gateway_api::gateway_class::GatewayClass;
use crate::resource::gateway_api::gateway_tls::{
    FrontendTls, FrontendTlsConfig, FrontendTlsValidation, GatewayBackendTls, GatewayTlsConfig,
    PortTls,
};
use crate::resource::gateway_api::listener::{
    AllowedRoutes, Listener, ListenerTlsConfig, RouteNamespaces,
};
use crate::resource::gateway_api::listener_set::ListenerSet;

const DEPLOYMENT: Support = Support::NotApplicable("for who deploys the gateway");

const CLIENT_CERTIFICATE: Support =
    Support::never("as in Istio, it is looked at for the status and not presented to backends");

const DEFAULTS: Support = Support::never("default gateways are experimental, and Istio has none");

impl Classify for Gateway {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            gateway_class_name,
            listeners,
            addresses,
            infrastructure,
            allowed_listeners,
            tls,
            default_scope,
        } = self;
        fields.leaf("gatewayClassName", gateway_class_name, Capability::Routing);
        fields.nest("listeners", listeners);
        fields.leaf("addresses", addresses, DEPLOYMENT);
        fields.nest_as("infrastructure", infrastructure, DEPLOYMENT);
        fields.nest("allowedListeners", allowed_listeners);
        fields.nest("tls", tls);
        fields.leaf("defaultScope", default_scope, DEFAULTS);
    }
}

impl Classify for GatewayInfrastructure {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            labels,
            annotations,
            parameters_ref,
        } = self;
        fields.leaf("labels", labels, DEPLOYMENT);
        fields.leaf("annotations", annotations, DEPLOYMENT);
        fields.leaf("parametersRef", parameters_ref, DEPLOYMENT);
    }
}

impl Classify for AllowedListeners {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { namespaces } = self;
        fields.nest("namespaces", namespaces);
    }
}

impl Classify for ListenerNamespaces {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { from, selector } = self;
        fields.leaf("from", from, Capability::Routing);
        fields.leaf("selector", selector, Capability::Routing);
    }
}

impl Classify for GatewayTlsConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { backend, frontend } = self;
        fields.nest("backend", backend);
        fields.nest("frontend", frontend);
    }
}

impl Classify for GatewayBackendTls {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            client_certificate_ref,
        } = self;
        fields.leaf(
            "clientCertificateRef",
            client_certificate_ref,
            CLIENT_CERTIFICATE,
        );
    }
}

impl Classify for FrontendTlsConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { default, per_port } = self;
        fields.nest("default", default);
        fields.nest("perPort", per_port);
    }
}

impl Classify for FrontendTls {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { validation } = self;
        fields.nest("validation", validation);
    }
}

impl Classify for PortTls {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { port, tls } = self;
        fields.leaf("port", port, Capability::ServerTls);
        fields.nest("tls", tls);
    }
}

impl Classify for FrontendTlsValidation {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            ca_certificate_refs,
            mode,
        } = self;
        fields.leaf(
            "caCertificateRefs",
            ca_certificate_refs,
            Capability::ServerTls,
        );
        fields.leaf("mode", mode, Capability::ServerTls);
    }
}

impl Classify for Listener {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            name,
            hostname,
            port,
            protocol,
            tls,
            allowed_routes,
        } = self;
        fields.leaf("name", name, Capability::Routing);
        fields.leaf("hostname", hostname, Capability::Routing);
        fields.leaf("port", port, Capability::Routing);
        fields.leaf("protocol", protocol, Capability::Routing);
        fields.nest("tls", tls);
        fields.nest("allowedRoutes", allowed_routes);
    }
}

impl Classify for ListenerTlsConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            mode,
            certificate_refs,
            options,
        } = self;
        fields.leaf("mode", mode, Capability::ServerTls);
        fields.leaf("certificateRefs", certificate_refs, Capability::ServerTls);
        fields.leaf("options", options, Capability::ServerTls);
    }
}

impl Classify for AllowedRoutes {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { namespaces, kinds } = self;
        fields.nest("namespaces", namespaces);
        fields.leaf("kinds", kinds, Capability::Routing);
    }
}

impl Classify for RouteNamespaces {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { from, selector } = self;
        fields.leaf("from", from, Capability::Routing);
        fields.leaf("selector", selector, Capability::Routing);
    }
}

impl Classify for ListenerSet {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            parent_ref,
            listeners,
        } = self;
        fields.leaf("parentRef", parent_ref, Capability::Routing);
        fields.nest("listeners", listeners);
    }
}

impl Classify for GatewayClass {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            controller_name,
            parameters_ref,
            description,
        } = self;
        fields.leaf("controllerName", controller_name, Capability::Routing);
        fields.leaf("parametersRef", parameters_ref, DEPLOYMENT);
        fields.leaf("description", description, DEPLOYMENT);
    }
}
