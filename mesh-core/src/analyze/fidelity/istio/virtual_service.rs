//! Fields of a VirtualService.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::virtual_service::{
    Abort, CorsPolicy, Delay, Delegate, Destination, HeaderOperations, Headers, HttpBody,
    HttpDirectResponse, HttpFaultInjection, HttpMatchRequest, HttpMirrorPolicy, HttpRedirect,
    HttpRetry, HttpRewrite, HttpRoute, HttpRouteDestination, L4MatchAttributes, RegexRewrite,
    RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute, VirtualService,
};

/// Names of Envoy's own counters.
const STATISTIC: Support = Support::NotApplicable("names a counter of Envoy");

/// Fields that Istio declares and does not read.
const UNREAD: Support = Support::NotApplicable("Istio does not read it");

const UNIMPLEMENTED: Support = Support::never("Istio does not implement it; the rule is left out");

impl Classify for HttpRetry {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            attempts,
            per_try_timeout,
            retry_on,
            retry_remote_localities,
            retry_ignore_previous_hosts,
            backoff,
        } = self;
        fields.leaf("attempts", attempts, Capability::Retries);
        fields.leaf("perTryTimeout", per_try_timeout, Capability::Retries);
        fields.leaf("retryOn", retry_on, Capability::Retries);
        fields.leaf(
            "retryRemoteLocalities",
            retry_remote_localities,
            Capability::Retries,
        );
        fields.leaf(
            "retryIgnorePreviousHosts",
            retry_ignore_previous_hosts,
            Capability::Retries,
        );
        fields.leaf("backoff", backoff, Capability::Retries);
    }
}

impl Classify for Destination {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { host, subset, port } = self;
        fields.leaf("host", host, Capability::Routing);
        fields.leaf("subset", subset, Capability::Routing);
        fields.leaf("port", port, Capability::Routing);
    }
}

impl Classify for VirtualService {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            hosts,
            gateways,
            http,
            tls,
            tcp,
            export_to,
        } = self;
        fields.leaf("hosts", hosts, Capability::Routing);
        fields.leaf("gateways", gateways, Capability::Routing);
        fields.nest("http", http);
        fields.nest("tls", tls);
        fields.nest("tcp", tcp);
        fields.leaf("exportTo", export_to, Capability::Routing);
    }
}

impl Classify for HttpRoute {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            name,
            r#match,
            route,
            redirect,
            direct_response,
            delegate,
            rewrite,
            timeout,
            retries,
            fault,
            mirror,
            mirrors,
            mirror_percent,
            mirror_percentage,
            cors_policy,
            headers,
        } = self;
        fields.leaf("name", name, Capability::Routing);
        fields.nest("match", r#match);
        fields.nest("route", route);
        fields.nest("redirect", redirect);
        fields.nest("directResponse", direct_response);
        fields.nest("delegate", delegate);
        fields.nest("rewrite", rewrite);
        fields.leaf("timeout", timeout, Capability::Timeouts);
        fields.nest("retries", retries);
        fields.nest("fault", fault);
        fields.nest("mirror", mirror);
        fields.nest("mirrors", mirrors);
        fields.leaf("mirrorPercent", mirror_percent, Capability::Routing);
        fields.leaf("mirrorPercentage", mirror_percentage, Capability::Routing);
        fields.nest("corsPolicy", cors_policy);
        fields.nest("headers", headers);
    }
}

impl Classify for HttpRouteDestination {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            destination,
            weight,
            headers,
        } = self;
        fields.nest("destination", destination);
        fields.leaf("weight", weight, Capability::Routing);
        fields.nest("headers", headers);
    }
}

impl Classify for Delegate {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { name, namespace } = self;
        fields.leaf("name", name, Capability::Routing);
        fields.leaf("namespace", namespace, Capability::Routing);
    }
}

impl Classify for HttpMatchRequest {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            name,
            uri,
            scheme,
            method,
            authority,
            headers,
            port,
            source_labels,
            gateways,
            query_params,
            ignore_uri_case,
            without_headers,
            source_namespace,
            stat_prefix,
        } = self;
        fields.leaf("name", name, Capability::Routing);
        fields.leaf("uri", uri, Capability::Routing);
        fields.leaf("scheme", scheme, Capability::Routing);
        fields.leaf("method", method, Capability::Routing);
        fields.leaf("authority", authority, Capability::Routing);
        fields.leaf("headers", headers, Capability::Routing);
        fields.leaf("port", port, Capability::Routing);
        fields.leaf("sourceLabels", source_labels, Capability::Routing);
        fields.leaf("gateways", gateways, Capability::Routing);
        fields.leaf("queryParams", query_params, Capability::Routing);
        fields.leaf("ignoreUriCase", ignore_uri_case, Capability::Routing);
        fields.leaf("withoutHeaders", without_headers, Capability::Routing);
        fields.leaf("sourceNamespace", source_namespace, Capability::Routing);
        fields.leaf("statPrefix", stat_prefix, STATISTIC);
    }
}

impl Classify for HttpRedirect {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            uri,
            authority,
            port,
            derive_port,
            scheme,
            redirect_code,
            prefix_rewrite,
        } = self;
        fields.leaf("uri", uri, Capability::Routing);
        fields.leaf("authority", authority, Capability::Routing);
        fields.leaf("port", port, Capability::Routing);
        fields.leaf("derivePort", derive_port, Capability::Routing);
        fields.leaf("scheme", scheme, Capability::Routing);
        fields.leaf("redirectCode", redirect_code, Capability::Routing);
        fields.leaf("prefixRewrite", prefix_rewrite, Capability::Routing);
    }
}

impl Classify for HttpDirectResponse {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { status, body } = self;
        fields.leaf("status", status, Capability::Routing);
        fields.nest("body", body);
    }
}

impl Classify for HttpBody {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { string, bytes } = self;
        fields.leaf("string", string, Capability::Routing);
        fields.leaf("bytes", bytes, Capability::Routing);
    }
}

impl Classify for HttpRewrite {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            uri,
            authority,
            uri_regex_rewrite,
        } = self;
        fields.leaf("uri", uri, Capability::Routing);
        fields.leaf("authority", authority, Capability::Routing);
        fields.nest("uriRegexRewrite", uri_regex_rewrite);
    }
}

impl Classify for RegexRewrite {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { r#match, rewrite } = self;
        fields.leaf("match", r#match, Capability::Routing);
        fields.leaf("rewrite", rewrite, Capability::Routing);
    }
}

impl Classify for HttpMirrorPolicy {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            destination,
            percentage,
        } = self;
        fields.nest("destination", destination);
        fields.leaf("percentage", percentage, Capability::Routing);
    }
}

impl Classify for CorsPolicy {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            allow_origin,
            allow_origins,
            allow_methods,
            allow_headers,
            expose_headers,
            max_age,
            allow_credentials,
            unmatched_preflights,
        } = self;
        fields.leaf("allowOrigin", allow_origin, Capability::Routing);
        fields.leaf("allowOrigins", allow_origins, Capability::Routing);
        fields.leaf("allowMethods", allow_methods, Capability::Routing);
        fields.leaf("allowHeaders", allow_headers, Capability::Routing);
        fields.leaf("exposeHeaders", expose_headers, Capability::Routing);
        fields.leaf("maxAge", max_age, Capability::Routing);
        fields.leaf("allowCredentials", allow_credentials, Capability::Routing);
        fields.leaf(
            "unmatchedPreflights",
            unmatched_preflights,
            Capability::Routing,
        );
    }
}

impl Classify for HttpFaultInjection {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { delay, abort } = self;
        fields.nest("delay", delay);
        fields.nest("abort", abort);
    }
}

impl Classify for Delay {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            percent,
            fixed_delay,
            exponential_delay,
            percentage,
        } = self;
        fields.leaf("percent", percent, Capability::Faults);
        fields.leaf("fixedDelay", fixed_delay, Capability::Faults);
        fields.leaf("exponentialDelay", exponential_delay, UNIMPLEMENTED);
        fields.leaf("percentage", percentage, Capability::Faults);
    }
}

impl Classify for Abort {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            http_status,
            grpc_status,
            http2_error,
            percentage,
        } = self;
        fields.leaf("httpStatus", http_status, Capability::Faults);
        fields.leaf("grpcStatus", grpc_status, Capability::Faults);
        fields.leaf("http2Error", http2_error, UNIMPLEMENTED);
        fields.leaf("percentage", percentage, Capability::Faults);
    }
}

impl Classify for Headers {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { request, response } = self;
        fields.nest("request", request);
        fields.nest("response", response);
    }
}

impl Classify for HeaderOperations {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { set, add, remove } = self;
        fields.leaf("set", set, Capability::Routing);
        fields.leaf("add", add, Capability::Routing);
        fields.leaf("remove", remove, Capability::Routing);
    }
}

impl Classify for TlsRoute {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { r#match, route } = self;
        fields.nest("match", r#match);
        fields.nest("route", route);
    }
}

impl Classify for TcpRoute {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { r#match, route } = self;
        fields.nest("match", r#match);
        fields.nest("route", route);
    }
}

impl Classify for TlsMatchAttributes {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            sni_hosts,
            destination_subnets,
            port,
            source_labels,
            gateways,
            source_namespace,
        } = self;
        fields.leaf("sniHosts", sni_hosts, Capability::TcpRouting);
        fields.leaf(
            "destinationSubnets",
            destination_subnets,
            Capability::TcpRouting,
        );
        fields.leaf("port", port, Capability::TcpRouting);
        fields.leaf("sourceLabels", source_labels, Capability::TcpRouting);
        fields.leaf("gateways", gateways, Capability::TcpRouting);
        fields.leaf("sourceNamespace", source_namespace, Capability::TcpRouting);
    }
}

impl Classify for L4MatchAttributes {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            destination_subnets,
            port,
            source_subnet,
            source_labels,
            gateways,
            source_namespace,
        } = self;
        fields.leaf(
            "destinationSubnets",
            destination_subnets,
            Capability::TcpRouting,
        );
        fields.leaf("port", port, Capability::TcpRouting);
        fields.leaf("sourceSubnet", source_subnet, UNREAD);
        fields.leaf("sourceLabels", source_labels, Capability::TcpRouting);
        fields.leaf("gateways", gateways, Capability::TcpRouting);
        fields.leaf("sourceNamespace", source_namespace, Capability::TcpRouting);
    }
}

impl Classify for RouteDestination {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            destination,
            weight,
        } = self;
        fields.nest_as("destination", destination, Capability::TcpRouting);
        fields.leaf("weight", weight, Capability::TcpRouting);
    }
}
