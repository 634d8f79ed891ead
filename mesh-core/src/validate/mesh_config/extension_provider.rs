//! Services that extend the mesh.

use std::collections::BTreeSet;

use crate::dns;
use crate::resource::istio::mesh_config::{
    DatadogTracingProvider, EnvoyExternalAuthorizationGrpcProvider,
    EnvoyExternalAuthorizationHttpProvider, EnvoyHttpGrpcV3LogProvider,
    EnvoyOpenTelemetryLogProvider, EnvoyTcpGrpcV3LogProvider, ExtensionProvider,
    LightstepTracingProvider, OpenCensusAgentTracingProvider, OpenTelemetryTracingProvider,
    SkyWalkingTracingProvider, ZipkinTracingProvider,
};
use crate::validate::address::is_ip;
use crate::validate::url::Url;
use crate::validate::{At, Report, port, scoped_host};

/// Status codes that Envoy's `StatusCode` has.
const STATUS_CODES: [u16; 56] = [
    100, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308,
    400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421,
    422, 423, 424, 426, 428, 429, 431, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
];

/// Checks the extension providers of a mesh. Istio lets the mesh start with invalid ones, which are
/// warnings therefore (`validateExtensionProvider`).
pub fn validate_extension_providers(providers: &[ExtensionProvider], at: At<'_>) {
    let mut names = BTreeSet::new();
    at.each(providers, |provider, at| {
        let name = provider.name.as_str();
        if name.is_empty() {
            at.field("name").warning("an extension provider has a name");
        } else if !names.insert(name) {
            at.field("name").warning(format_args!(
                "extension provider `{name}` is there twice: the last counts"
            ));
        }
        let report = Report::default();
        validate_provider(provider, report.root());
        for violation in report.into_violations() {
            let path = violation.origin.path();
            at.warning(format_args!("{path}: {}", violation.message));
        }
    });
}

fn validate_provider(provider: &ExtensionProvider, at: At<'_>) {
    let kinds = [validate_authorizers, validate_tracers, validate_logs];
    let unchecked = [
        provider.stackdriver.is_some(),
        provider.prometheus.is_some(),
        provider.envoy_file_access_log.is_some(),
        provider.sds.is_some(),
    ];
    let unchecked = unchecked.into_iter().filter(|set| *set).count();
    let checked = kinds
        .into_iter()
        .map(|kinds| kinds(provider, at))
        .sum::<usize>();
    if checked + unchecked != 1 {
        at.error("an extension provider is of one kind");
    }
}

/// Checks a provider of each kind, and says of how many it is.
fn validate_authorizers(provider: &ExtensionProvider, at: At<'_>) -> usize {
    let (http, grpc) = (
        &provider.envoy_ext_authz_http,
        &provider.envoy_ext_authz_grpc,
    );
    check(
        http,
        at.field("envoyExtAuthzHttp"),
        validate_ext_authz_http_provider,
    ) + check(
        grpc,
        at.field("envoyExtAuthzGrpc"),
        validate_ext_authz_grpc_provider,
    )
}

fn validate_tracers(provider: &ExtensionProvider, at: At<'_>) -> usize {
    let opentelemetry = at.field("opentelemetry");
    check(
        &provider.zipkin,
        at.field("zipkin"),
        validate_zipkin_provider,
    ) + check(
        &provider.lightstep,
        at.field("lightstep"),
        validate_lightstep_provider,
    ) + check(
        &provider.datadog,
        at.field("datadog"),
        validate_datadog_provider,
    ) + check(
        &provider.opencensus,
        at.field("opencensus"),
        validate_opencensus_provider,
    ) + check(
        &provider.skywalking,
        at.field("skywalking"),
        validate_skywalking_provider,
    ) + check(
        &provider.opentelemetry,
        opentelemetry,
        validate_opentelemetry_provider,
    )
}

fn validate_logs(provider: &ExtensionProvider, at: At<'_>) -> usize {
    let (http, tcp) = (at.field("envoyHttpAls"), at.field("envoyTcpAls"));
    let otel = at.field("envoyOtelAls");
    check(
        &provider.envoy_http_als,
        http,
        validate_envoy_http_als_provider,
    ) + check(
        &provider.envoy_tcp_als,
        tcp,
        validate_envoy_tcp_als_provider,
    ) + check(
        &provider.envoy_otel_als,
        otel,
        validate_envoy_otel_als_provider,
    )
}

/// Checks the provider if it is there, and counts it.
fn check<T>(provider: &Option<T>, at: At<'_>, validate: fn(&T, At<'_>)) -> usize {
    if let Some(provider) = provider {
        validate(provider, at);
    }
    usize::from(provider.is_some())
}

/// Checks the service of a provider: a host name or address, or `namespace/host`
/// (`validateExtensionProviderService`).
pub fn validate_provider_service(service: &str, at: At<'_>) {
    if service.contains('/') {
        scoped_host::validate_sidecar_host(service, at);
    } else if !is_ip(service) {
        at.check(dns::validate_fqdn(service));
    }
}

fn validate_service_and_port(service: &str, number: u32, at: At<'_>) {
    validate_provider_service(service, at.field("service"));
    port::validate_number(number, at.field("port"));
}

/// Checks an authorizer that is asked by HTTP (`ValidateExtensionProviderEnvoyExtAuthzHTTP`).
pub fn validate_ext_authz_http_provider(
    provider: &EnvoyExternalAuthorizationHttpProvider,
    at: At<'_>,
) {
    validate_service_and_port(&provider.service, provider.port, at);
    validate_status(&provider.status_on_error, at.field("statusOnError"));
    let (prefix, at) = (&provider.path_prefix, at.field("pathPrefix"));
    if !prefix.is_empty() {
        at.check(Url::parse(prefix).map(drop));
        at.require(prefix.starts_with('/'), "a path begins with `/`");
    }
}

/// Checks an authorizer that is asked by gRPC (`ValidateExtensionProviderEnvoyExtAuthzGRPC`).
pub fn validate_ext_authz_grpc_provider(
    provider: &EnvoyExternalAuthorizationGrpcProvider,
    at: At<'_>,
) {
    validate_service_and_port(&provider.service, provider.port, at);
    validate_status(&provider.status_on_error, at.field("statusOnError"));
}

fn validate_status(status: &str, at: At<'_>) {
    let is_known = |code: u16| STATUS_CODES.contains(&code);
    if !status.is_empty() && !status.parse().is_ok_and(is_known) {
        at.error(format_args!("`{status}` is not an HTTP status"));
    }
}

/// Checks Zipkin (`validateExtensionProviderTracingZipkin`).
pub fn validate_zipkin_provider(provider: &ZipkinTracingProvider, at: At<'_>) {
    validate_service_and_port(&provider.service, provider.port, at);
}

/// Checks Lightstep (`validateExtensionProviderTracingLightStep`).
pub fn validate_lightstep_provider(provider: &LightstepTracingProvider, at: At<'_>) {
    validate_service_and_port(&provider.service, provider.port, at);
    at.field("accessToken")
        .require(!provider.access_token.is_empty(), "a token is required");
}

/// Checks Datadog (`validateExtensionProviderTracingDatadog`).
pub fn validate_datadog_provider(provider: &DatadogTracingProvider, at: At<'_>) {
    validate_service_and_port(&provider.service, provider.port, at);
}

/// Checks OpenCensus (`validateExtensionProviderTracingOpenCensusAgent`).
pub fn validate_opencensus_provider(provider: &OpenCensusAgentTracingProvider, at: At<'_>) {
    validate_service_and_port(&provider.service, provider.port, at);
}

/// Checks SkyWalking (`validateExtensionProviderTracingSkyWalking`).
pub fn validate_skywalking_provider(provider: &SkyWalkingTracingProvider, at: At<'_>) {
    validate_service_and_port(&provider.service, provider.port, at);
}

/// Checks OpenTelemetry (`ValidateExtensionProviderTracingOpentelemetry`).
pub fn validate_opentelemetry_provider(provider: &OpenTelemetryTracingProvider, at: At<'_>) {
    validate_service_and_port(&provider.service, provider.port, at);
    at.at_most_one(&[
        ("http", provider.http.is_some()),
        ("grpc", provider.grpc.is_some()),
    ]);
}

/// Checks logs to OpenTelemetry (`ValidateExtensionProviderEnvoyOtelAls`).
pub fn validate_envoy_otel_als_provider(provider: &EnvoyOpenTelemetryLogProvider, at: At<'_>) {
    validate_service_and_port(&provider.service, provider.port, at);
}

/// Checks logs of HTTP by gRPC (`ValidateExtensionProviderEnvoyHTTPAls`).
pub fn validate_envoy_http_als_provider(provider: &EnvoyHttpGrpcV3LogProvider, at: At<'_>) {
    validate_service_and_port(&provider.service, provider.port, at);
}

/// Checks logs of TCP by gRPC (`ValidateExtensionProviderEnvoyTCPAls`).
pub fn validate_envoy_tcp_als_provider(provider: &EnvoyTcpGrpcV3LogProvider, at: At<'_>) {
    validate_service_and_port(&provider.service, provider.port, at);
}
