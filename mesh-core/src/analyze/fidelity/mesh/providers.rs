//! Providers of authorization, logs, metrics and traces that MeshConfig names.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::mesh::LOG_SERVICE;
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::mesh_config::{
    DefaultProviders, EnvoyExternalAuthorizationGrpcProvider,
    EnvoyExternalAuthorizationHttpProvider, EnvoyExternalAuthorizationRequestBody,
    EnvoyFileAccessLogProvider, EnvoyHttpGrpcV3LogProvider, EnvoyOpenTelemetryLogProvider,
    EnvoyTcpGrpcV3LogProvider, ExtensionProvider, GrpcService, HttpService, LogFormat,
    OpenTelemetryLogFormat, OpenTelemetryTracingProvider, ZipkinTracingProvider,
};

/// Zipkin's protocol is not spoken; contexts are passed on in its form.
const ZIPKIN: Support = Support::Differently(
    Capability::Tracing,
    "contexts are passed on by B3, and no spans are sent",
);

const OTLP_HTTP: Support = Support::never("collectors are asked by gRPC");

/// A policy that names the provider is what guards.
const AUTHORIZER: Support = Support::Aids(Capability::ExternalAuthorization);

const NAME: Support = Support::NotApplicable("is how others refer to the provider");

const FOREIGN: Support = Support::never("only Zipkin and OpenTelemetry are spoken");

const PLATFORM: Support = Support::never("keys come from files, Kubernetes or a CA");

impl Classify for EnvoyExternalAuthorizationRequestBody {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            max_request_bytes,
            allow_partial_message,
            pack_as_bytes,
        } = self;
        fields.leaf("maxRequestBytes", max_request_bytes, AUTHORIZER);
        fields.leaf("allowPartialMessage", allow_partial_message, AUTHORIZER);
        fields.leaf("packAsBytes", pack_as_bytes, AUTHORIZER);
    }
}

impl Classify for EnvoyExternalAuthorizationHttpProvider {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            service,
            port,
            timeout,
            path_prefix,
            fail_open,
            clear_route_cache,
            status_on_error,
            include_headers_in_check,
            include_request_headers_in_check,
            include_additional_headers_in_check,
            include_request_body_in_check,
            headers_to_upstream_on_allow,
            headers_to_downstream_on_deny,
            headers_to_downstream_on_allow,
        } = self;
        fields.leaf("service", service, AUTHORIZER);
        fields.leaf("port", port, AUTHORIZER);
        fields.leaf("timeout", timeout, AUTHORIZER);
        fields.leaf("pathPrefix", path_prefix, AUTHORIZER);
        fields.leaf("failOpen", fail_open, AUTHORIZER);
        fields.leaf("clearRouteCache", clear_route_cache, AUTHORIZER);
        fields.leaf("statusOnError", status_on_error, AUTHORIZER);
        fields.leaf(
            "includeHeadersInCheck",
            include_headers_in_check,
            AUTHORIZER,
        );
        fields.leaf(
            "includeRequestHeadersInCheck",
            include_request_headers_in_check,
            AUTHORIZER,
        );
        fields.leaf(
            "includeAdditionalHeadersInCheck",
            include_additional_headers_in_check,
            AUTHORIZER,
        );
        fields.nest("includeRequestBodyInCheck", include_request_body_in_check);
        fields.leaf(
            "headersToUpstreamOnAllow",
            headers_to_upstream_on_allow,
            AUTHORIZER,
        );
        fields.leaf(
            "headersToDownstreamOnDeny",
            headers_to_downstream_on_deny,
            AUTHORIZER,
        );
        fields.leaf(
            "headersToDownstreamOnAllow",
            headers_to_downstream_on_allow,
            AUTHORIZER,
        );
    }
}

impl Classify for EnvoyExternalAuthorizationGrpcProvider {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            service,
            port,
            timeout,
            fail_open,
            clear_route_cache,
            status_on_error,
            include_request_body_in_check,
        } = self;
        fields.leaf("service", service, AUTHORIZER);
        fields.leaf("port", port, AUTHORIZER);
        fields.leaf("timeout", timeout, AUTHORIZER);
        fields.leaf("failOpen", fail_open, AUTHORIZER);
        fields.leaf("clearRouteCache", clear_route_cache, AUTHORIZER);
        fields.leaf("statusOnError", status_on_error, AUTHORIZER);
        fields.nest("includeRequestBodyInCheck", include_request_body_in_check);
    }
}

impl Classify for ExtensionProvider {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            name,
            envoy_ext_authz_http,
            envoy_ext_authz_grpc,
            zipkin,
            lightstep,
            datadog,
            stackdriver,
            opencensus,
            skywalking,
            opentelemetry,
            prometheus,
            envoy_file_access_log,
            envoy_http_als,
            envoy_tcp_als,
            envoy_otel_als,
            sds,
        } = self;
        fields.leaf("name", name, NAME);
        fields.nest("envoyExtAuthzHttp", envoy_ext_authz_http);
        fields.nest("envoyExtAuthzGrpc", envoy_ext_authz_grpc);
        fields.nest("zipkin", zipkin);
        fields.leaf("lightstep", lightstep, FOREIGN);
        fields.leaf("datadog", datadog, FOREIGN);
        fields.leaf("stackdriver", stackdriver, FOREIGN);
        fields.leaf("opencensus", opencensus, FOREIGN);
        fields.leaf("skywalking", skywalking, FOREIGN);
        fields.nest("opentelemetry", opentelemetry);
        fields.leaf("prometheus", prometheus, Capability::Metrics);
        fields.nest("envoyFileAccessLog", envoy_file_access_log);
        fields.nest("envoyHttpAls", envoy_http_als);
        fields.nest("envoyTcpAls", envoy_tcp_als);
        fields.nest("envoyOtelAls", envoy_otel_als);
        fields.leaf("sds", sds, PLATFORM);
    }
}

impl Classify for EnvoyFileAccessLogProvider {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            path,
            log_format,
            omit_empty_values,
        } = self;
        fields.leaf("path", path, Capability::AccessLogs);
        fields.nest("logFormat", log_format);
        fields.leaf("omitEmptyValues", omit_empty_values, Capability::AccessLogs);
    }
}

impl Classify for LogFormat {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { text, labels } = self;
        fields.leaf("text", text, Capability::AccessLogs);
        fields.leaf("labels", labels, Capability::AccessLogs);
    }
}

impl Classify for EnvoyHttpGrpcV3LogProvider {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            service,
            port,
            log_name,
            filter_state_objects_to_log,
            additional_request_headers_to_log,
            additional_response_headers_to_log,
            additional_response_trailers_to_log,
        } = self;
        fields.leaf("service", service, LOG_SERVICE);
        fields.leaf("port", port, LOG_SERVICE);
        fields.leaf("logName", log_name, LOG_SERVICE);
        fields.leaf(
            "filterStateObjectsToLog",
            filter_state_objects_to_log,
            LOG_SERVICE,
        );
        fields.leaf(
            "additionalRequestHeadersToLog",
            additional_request_headers_to_log,
            LOG_SERVICE,
        );
        fields.leaf(
            "additionalResponseHeadersToLog",
            additional_response_headers_to_log,
            LOG_SERVICE,
        );
        fields.leaf(
            "additionalResponseTrailersToLog",
            additional_response_trailers_to_log,
            LOG_SERVICE,
        );
    }
}

impl Classify for EnvoyTcpGrpcV3LogProvider {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            service,
            port,
            log_name,
            filter_state_objects_to_log,
        } = self;
        fields.leaf("service", service, LOG_SERVICE);
        fields.leaf("port", port, LOG_SERVICE);
        fields.leaf("logName", log_name, LOG_SERVICE);
        fields.leaf(
            "filterStateObjectsToLog",
            filter_state_objects_to_log,
            LOG_SERVICE,
        );
    }
}

impl Classify for EnvoyOpenTelemetryLogProvider {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            service,
            port,
            log_name,
            log_format,
        } = self;
        fields.leaf("service", service, LOG_SERVICE);
        fields.leaf("port", port, LOG_SERVICE);
        fields.leaf("logName", log_name, LOG_SERVICE);
        fields.nest("logFormat", log_format);
    }
}

impl Classify for OpenTelemetryLogFormat {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { text, labels } = self;
        fields.leaf("text", text, LOG_SERVICE);
        fields.leaf("labels", labels, LOG_SERVICE);
    }
}

impl Classify for ZipkinTracingProvider {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            service,
            port,
            max_tag_length,
            enable_64bit_trace_id,
            path,
            trace_context_option,
            timeout,
            headers,
        } = self;
        fields.leaf("service", service, ZIPKIN);
        fields.leaf("port", port, ZIPKIN);
        fields.leaf("maxTagLength", max_tag_length, ZIPKIN);
        fields.leaf("enable64bitTraceId", enable_64bit_trace_id, ZIPKIN);
        fields.leaf("path", path, ZIPKIN);
        fields.leaf("traceContextOption", trace_context_option, ZIPKIN);
        fields.leaf("timeout", timeout, ZIPKIN);
        fields.leaf("headers", headers, ZIPKIN);
    }
}

impl Classify for OpenTelemetryTracingProvider {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            service,
            port,
            max_tag_length,
            http,
            grpc,
            resource_detectors,
            service_attribute_enrichment,
            dynatrace_sampler,
        } = self;
        fields.leaf("service", service, Capability::Tracing);
        fields.leaf("port", port, Capability::Tracing);
        fields.leaf("maxTagLength", max_tag_length, Capability::Tracing);
        fields.nest("http", http);
        fields.nest("grpc", grpc);
        fields.leaf("resourceDetectors", resource_detectors, FOREIGN);
        fields.leaf(
            "serviceAttributeEnrichment",
            service_attribute_enrichment,
            Capability::Tracing,
        );
        fields.leaf("dynatraceSampler", dynatrace_sampler, FOREIGN);
    }
}

impl Classify for HttpService {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            path,
            timeout,
            headers,
        } = self;
        fields.leaf("path", path, OTLP_HTTP);
        fields.leaf("timeout", timeout, OTLP_HTTP);
        fields.leaf("headers", headers, OTLP_HTTP);
    }
}

impl Classify for GrpcService {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            timeout,
            initial_metadata,
        } = self;
        fields.leaf("timeout", timeout, Capability::Tracing);
        fields.leaf("initialMetadata", initial_metadata, Capability::Tracing);
    }
}

impl Classify for DefaultProviders {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            tracing,
            metrics,
            access_logging,
        } = self;
        fields.leaf("tracing", tracing, Capability::Tracing);
        fields.leaf("metrics", metrics, Capability::Metrics);
        fields.leaf("accessLogging", access_logging, Capability::AccessLogs);
    }
}
