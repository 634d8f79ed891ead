//! Fields of routes of the Gateway API.

use super::filter::EXTENSION;
use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::gateway_api::backend_reference::{BackendObjectReference, BackendRef};
use crate::resource::gateway_api::grpc_route::{
    GrpcBackendRef, GrpcHeaderMatch, GrpcMethodMatch, GrpcRoute, GrpcRouteFilter, GrpcRouteMatch,
    GrpcRouteRule,
};
use crate::resource::gateway_api::http_match::{
    HttpHeaderMatch, HttpPathMatch, HttpQueryParamMatch, HttpRouteMatch,
};
use crate::resource::gateway_api::http_route::{
    HttpBackendRef, HttpRoute, HttpRouteRetry, HttpRouteRule, HttpRouteTimeouts,
};
use crate::resource::gateway_api::session_persistence::{
    CookieConfig, HeaderConfig, SessionPersistence,
};

const SESSIONS: Support = Support::never("sessions are not kept on one backend");

const DEFAULTS: Support = Support::never("default gateways are experimental, and Istio has none");

impl Classify for BackendObjectReference {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            group,
            kind,
            name,
            namespace,
            port,
        } = self;
        fields.leaf("group", group, Capability::Routing);
        fields.leaf("kind", kind, Capability::Routing);
        fields.leaf("name", name, Capability::Routing);
        fields.leaf("namespace", namespace, Capability::Routing);
        fields.leaf("port", port, Capability::Routing);
    }
}

impl Classify for BackendRef {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            group,
            kind,
            name,
            namespace,
            port,
            weight,
        } = self;
        fields.leaf("group", group, Capability::TcpRouting);
        fields.leaf("kind", kind, Capability::TcpRouting);
        fields.leaf("name", name, Capability::TcpRouting);
        fields.leaf("namespace", namespace, Capability::TcpRouting);
        fields.leaf("port", port, Capability::TcpRouting);
        fields.leaf("weight", weight, Capability::TcpRouting);
    }
}

impl Classify for SessionPersistence {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            session_name,
            absolute_timeout,
            idle_timeout,
            r#type,
            cookie_config,
            cookie,
            header,
        } = self;
        fields.leaf("sessionName", session_name, Capability::LoadBalancing);
        fields.leaf(
            "absoluteTimeout",
            absolute_timeout,
            Capability::LoadBalancing,
        );
        fields.leaf("idleTimeout", idle_timeout, Capability::LoadBalancing);
        fields.leaf("type", r#type, Capability::LoadBalancing);
        fields.nest("cookieConfig", cookie_config);
        fields.nest("cookie", cookie);
        fields.nest("header", header);
    }
}

impl Classify for CookieConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            name,
            path,
            lifetime_type,
        } = self;
        fields.leaf("name", name, Capability::LoadBalancing);
        fields.leaf("path", path, Capability::LoadBalancing);
        fields.leaf("lifetimeType", lifetime_type, Capability::LoadBalancing);
    }
}

impl Classify for HeaderConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { name } = self;
        fields.leaf("name", name, Capability::LoadBalancing);
    }
}

impl Classify for HttpRouteMatch {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            path,
            headers,
            query_params,
            method,
        } = self;
        fields.nest("path", path);
        fields.nest("headers", headers);
        fields.nest("queryParams", query_params);
        fields.leaf("method", method, Capability::Routing);
    }
}

impl Classify for HttpPathMatch {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { r#type, value } = self;
        fields.leaf("type", r#type, Capability::Routing);
        fields.leaf("value", value, Capability::Routing);
    }
}

impl Classify for HttpHeaderMatch {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            r#type,
            name,
            value,
        } = self;
        fields.leaf("type", r#type, Capability::Routing);
        fields.leaf("name", name, Capability::Routing);
        fields.leaf("value", value, Capability::Routing);
    }
}

impl Classify for HttpQueryParamMatch {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            r#type,
            name,
            value,
        } = self;
        fields.leaf("type", r#type, Capability::Routing);
        fields.leaf("name", name, Capability::Routing);
        fields.leaf("value", value, Capability::Routing);
    }
}

impl Classify for HttpRoute {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            parent_refs,
            use_default_gateways,
            hostnames,
            rules,
        } = self;
        fields.leaf("parentRefs", parent_refs, Capability::Routing);
        fields.leaf("useDefaultGateways", use_default_gateways, DEFAULTS);
        fields.leaf("hostnames", hostnames, Capability::Routing);
        fields.nest("rules", rules);
    }
}

impl Classify for HttpRouteRule {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            name,
            matches,
            filters,
            backend_refs,
            timeouts,
            retry,
            session_persistence,
        } = self;
        fields.leaf("name", name, Capability::Routing);
        fields.nest("matches", matches);
        fields.nest("filters", filters);
        fields.nest("backendRefs", backend_refs);
        fields.nest("timeouts", timeouts);
        fields.nest("retry", retry);
        fields.nest_as("sessionPersistence", session_persistence, SESSIONS);
    }
}

impl Classify for HttpBackendRef {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            group,
            kind,
            name,
            namespace,
            port,
            weight,
            filters,
        } = self;
        fields.leaf("group", group, Capability::Routing);
        fields.leaf("kind", kind, Capability::Routing);
        fields.leaf("name", name, Capability::Routing);
        fields.leaf("namespace", namespace, Capability::Routing);
        fields.leaf("port", port, Capability::Routing);
        fields.leaf("weight", weight, Capability::Routing);
        fields.nest("filters", filters);
    }
}

impl Classify for HttpRouteTimeouts {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            request,
            backend_request,
        } = self;
        fields.leaf("request", request, Capability::Timeouts);
        fields.leaf("backendRequest", backend_request, Capability::Retries);
    }
}

impl Classify for HttpRouteRetry {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            codes,
            attempts,
            backoff,
        } = self;
        fields.leaf("codes", codes, Capability::Retries);
        fields.leaf("attempts", attempts, Capability::Retries);
        fields.leaf("backoff", backoff, Capability::Retries);
    }
}

impl Classify for GrpcRoute {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            parent_refs,
            use_default_gateways,
            hostnames,
            rules,
        } = self;
        fields.leaf("parentRefs", parent_refs, Capability::Routing);
        fields.leaf("useDefaultGateways", use_default_gateways, DEFAULTS);
        fields.leaf("hostnames", hostnames, Capability::Routing);
        fields.nest("rules", rules);
    }
}

impl Classify for GrpcRouteRule {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            name,
            matches,
            filters,
            backend_refs,
            session_persistence,
        } = self;
        fields.leaf("name", name, Capability::Routing);
        fields.nest("matches", matches);
        fields.nest("filters", filters);
        fields.nest("backendRefs", backend_refs);
        fields.nest_as("sessionPersistence", session_persistence, SESSIONS);
    }
}

impl Classify for GrpcRouteMatch {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { method, headers } = self;
        fields.nest("method", method);
        fields.nest("headers", headers);
    }
}

impl Classify for GrpcMethodMatch {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            r#type,
            service,
            method,
        } = self;
        fields.leaf("type", r#type, Capability::Routing);
        fields.leaf("service", service, Capability::Routing);
        fields.leaf("method", method, Capability::Routing);
    }
}

impl Classify for GrpcHeaderMatch {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            r#type,
            name,
            value,
        } = self;
        fields.leaf("type", r#type, Capability::Routing);
        fields.leaf("name", name, Capability::Routing);
        fields.leaf("value", value, Capability::Routing);
    }
}

impl Classify for GrpcRouteFilter {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            r#type,
            request_header_modifier,
            response_header_modifier,
            request_mirror,
            extension_ref,
        } = self;
        fields.leaf("type", r#type, Capability::Routing);
        fields.nest("requestHeaderModifier", request_header_modifier);
        fields.nest("responseHeaderModifier", response_header_modifier);
        fields.nest("requestMirror", request_mirror);
        fields.leaf("extensionRef", extension_ref, EXTENSION);
    }
}

impl Classify for GrpcBackendRef {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            group,
            kind,
            name,
            namespace,
            port,
            weight,
            filters,
        } = self;
        fields.leaf("group", group, Capability::Routing);
        fields.leaf("kind", kind, Capability::Routing);
        fields.leaf("name", name, Capability::Routing);
        fields.leaf("namespace", namespace, Capability::Routing);
        fields.leaf("port", port, Capability::Routing);
        fields.leaf("weight", weight, Capability::Routing);
        fields.nest("filters", filters);
    }
}
