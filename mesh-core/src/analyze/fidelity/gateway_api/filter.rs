//! Fields of filters of routes.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::gateway_api::cors_filter::HttpCorsFilter;
use crate::resource::gateway_api::external_auth_filter::{
    ForwardBodyConfig, GrpcAuthConfig, HttpAuthConfig, HttpExternalAuthFilter,
};
use crate::resource::gateway_api::http_filter::{
    HttpHeaderFilter, HttpPathModifier, HttpRequestMirrorFilter, HttpRequestRedirectFilter,
    HttpRouteFilter, HttpUrlRewriteFilter,
};

/// Filters that only others know may guard something.
pub(super) const EXTENSION: Support =
    Support::never_guards("no filters of other vendors are known");

/// Routes with it are answered with `500`, so that nothing passes unasked.
const EXTERNAL_AUTH: Support =
    Support::never_guards("filters of external authorization are not read");

impl Classify for HttpRouteFilter {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            r#type,
            request_header_modifier,
            response_header_modifier,
            request_mirror,
            request_redirect,
            url_rewrite,
            cors,
            external_auth,
            extension_ref,
        } = self;
        fields.leaf("type", r#type, Capability::Routing);
        fields.nest("requestHeaderModifier", request_header_modifier);
        fields.nest("responseHeaderModifier", response_header_modifier);
        fields.nest("requestMirror", request_mirror);
        fields.nest("requestRedirect", request_redirect);
        fields.nest("urlRewrite", url_rewrite);
        fields.nest("cors", cors);
        fields.nest("externalAuth", external_auth);
        fields.leaf("extensionRef", extension_ref, EXTENSION);
    }
}

impl Classify for HttpHeaderFilter {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { set, add, remove } = self;
        fields.leaf("set", set, Capability::Routing);
        fields.leaf("add", add, Capability::Routing);
        fields.leaf("remove", remove, Capability::Routing);
    }
}

impl Classify for HttpPathModifier {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            r#type,
            replace_full_path,
            replace_prefix_match,
        } = self;
        fields.leaf("type", r#type, Capability::Routing);
        fields.leaf("replaceFullPath", replace_full_path, Capability::Routing);
        fields.leaf(
            "replacePrefixMatch",
            replace_prefix_match,
            Capability::Routing,
        );
    }
}

impl Classify for HttpRequestRedirectFilter {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            scheme,
            hostname,
            path,
            port,
            status_code,
        } = self;
        fields.leaf("scheme", scheme, Capability::Routing);
        fields.leaf("hostname", hostname, Capability::Routing);
        fields.nest("path", path);
        fields.leaf("port", port, Capability::Routing);
        fields.leaf("statusCode", status_code, Capability::Routing);
    }
}

impl Classify for HttpUrlRewriteFilter {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { hostname, path } = self;
        fields.leaf("hostname", hostname, Capability::Routing);
        fields.nest("path", path);
    }
}

impl Classify for HttpRequestMirrorFilter {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            backend_ref,
            percent,
            fraction,
        } = self;
        fields.nest("backendRef", backend_ref);
        fields.leaf("percent", percent, Capability::Routing);
        fields.leaf("fraction", fraction, Capability::Routing);
    }
}

impl Classify for HttpCorsFilter {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            allow_origins,
            allow_credentials,
            allow_methods,
            allow_headers,
            expose_headers,
            max_age,
        } = self;
        fields.leaf("allowOrigins", allow_origins, Capability::Routing);
        fields.leaf("allowCredentials", allow_credentials, Capability::Routing);
        fields.leaf("allowMethods", allow_methods, Capability::Routing);
        fields.leaf("allowHeaders", allow_headers, Capability::Routing);
        fields.leaf("exposeHeaders", expose_headers, Capability::Routing);
        fields.leaf("maxAge", max_age, Capability::Routing);
    }
}

impl Classify for HttpExternalAuthFilter {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            protocol,
            backend_ref,
            grpc,
            http,
            forward_body,
        } = self;
        fields.leaf("protocol", protocol, EXTERNAL_AUTH);
        fields.nest_as("backendRef", backend_ref, EXTERNAL_AUTH);
        fields.nest("grpc", grpc);
        fields.nest("http", http);
        fields.nest("forwardBody", forward_body);
    }
}

impl Classify for GrpcAuthConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { allowed_headers } = self;
        fields.leaf("allowedHeaders", allowed_headers, EXTERNAL_AUTH);
    }
}

impl Classify for HttpAuthConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            path,
            allowed_headers,
            allowed_response_headers,
        } = self;
        fields.leaf("path", path, EXTERNAL_AUTH);
        fields.leaf("allowedHeaders", allowed_headers, EXTERNAL_AUTH);
        fields.leaf(
            "allowedResponseHeaders",
            allowed_response_headers,
            EXTERNAL_AUTH,
        );
    }
}

impl Classify for ForwardBodyConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { max_size } = self;
        fields.leaf("maxSize", max_size, EXTERNAL_AUTH);
    }
}
