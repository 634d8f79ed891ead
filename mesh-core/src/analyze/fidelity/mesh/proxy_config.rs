//! Settings of proxies, of the mesh or of single workloads.

use crate::analyze::fidelity::Capability::{self, Injection, Metrics, PeerAuthentication};
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::mesh::LOG_SERVICE;
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::mesh_config::{
    AttemptCount, CustomTag, EnvoyDebugHeaders, MetadataExchangeHeaders, ProxyConfig, ProxyHeaders,
    RequestId, ServerHeader, SetCurrentClientCertDetails, Topology, Tracing, XForwardedHost,
    XForwardedPort,
};

const PROCESS: Support = Support::NotApplicable("a setting of the process of an Envoy");

const METADATA: Support = Support::never("only what resources say is read");

const STATS: Support = Support::NotApplicable("Envoy's own statistics are not kept");

const FOREIGN: Support = Support::never("only Zipkin and OpenTelemetry are spoken");

const COLLECTOR: Support = Support::never("spans are sent to providers of the mesh alone, by OTLP");

const EXCHANGE: Support = Support::NotApplicable("peers do not exchange metadata");

const CASE: Support = Support::never("names of headers are written in lower case");

const LIMITS: Support = Support::never("limits of listeners are set by the embedder, in code");

impl Classify for ProxyConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        known(self);
        traffic(self, fields);
        records(self, fields);
        process(self, fields);
    }
}

/// Does not compile when a field is added, which has to be classified below then; a test holds the
/// catalogue to the schema.
fn known(proxy: &ProxyConfig) {
    let ProxyConfig {
        config_path: _,
        binary_path: _,
        service_cluster: _,
        tracing_service_name: _,
        drain_duration: _,
        discovery_address: _,
        discovery_refresh_delay: _,
        zipkin_address: _,
        statsd_udp_address: _,
        envoy_metrics_service_address: _,
        proxy_admin_port: _,
        availability_zone: _,
        control_plane_auth_policy: _,
        custom_config_file: _,
        stat_name_length: _,
        concurrency: _,
        proxy_bootstrap_template_path: _,
        interception_mode: _,
        tracing: _,
        sds: _,
        envoy_access_log_service: _,
        envoy_metrics_service: _,
        proxy_metadata: _,
        runtime_values: _,
        status_port: _,
        extra_stat_tags: _,
        gateway_topology: _,
        termination_drain_duration: _,
        mesh_id: _,
        readiness_probe: _,
        proxy_stats_matcher: _,
        hold_application_until_proxy_starts: _,
        ca_certificates_pem: _,
        image: _,
        private_key_provider: _,
        proxy_headers: _,
        file_flush_interval: _,
        file_flush_min_size_kb: _,
        stats_compression: _,
        connection_settings: _,
    } = proxy;
}

/// What is done to requests and connections.
fn traffic(proxy: &ProxyConfig, fields: &mut Fields<'_>) {
    fields.nest("gatewayTopology", &proxy.gateway_topology);
    fields.nest("proxyHeaders", &proxy.proxy_headers);
    fields.leaf("connectionSettings", &proxy.connection_settings, LIMITS);
    fields.nest("readinessProbe", &proxy.readiness_probe);
    fields.leaf(
        "caCertificatesPem",
        &proxy.ca_certificates_pem,
        Support::Aids(PeerAuthentication),
    );
    fields.leaf("proxyMetadata", &proxy.proxy_metadata, METADATA);
}

/// What is recorded.
fn records(proxy: &ProxyConfig, fields: &mut Fields<'_>) {
    fields.nest("tracing", &proxy.tracing);
    fields.leaf(
        "tracingServiceName",
        &proxy.tracing_service_name,
        Capability::Tracing,
    );
    fields.leaf("meshId", &proxy.mesh_id, Capability::Tracing);
    fields.leaf("zipkinAddress", &proxy.zipkin_address, COLLECTOR);
    fields.leaf(
        "envoyAccessLogService",
        &proxy.envoy_access_log_service,
        LOG_SERVICE,
    );
    fields.leaf("extraStatTags", &proxy.extra_stat_tags, STATS);
    fields.leaf("statsdUdpAddress", &proxy.statsd_udp_address, STATS);
    fields.leaf("envoyMetricsService", &proxy.envoy_metrics_service, STATS);
    fields.leaf(
        "envoyMetricsServiceAddress",
        &proxy.envoy_metrics_service_address,
        STATS,
    );
    fields.leaf("proxyStatsMatcher", &proxy.proxy_stats_matcher, STATS);
    fields.leaf("statNameLength", &proxy.stat_name_length, STATS);
    fields.leaf("statsCompression", &proxy.stats_compression, STATS);
}

/// How the process runs.
fn process(proxy: &ProxyConfig, fields: &mut Fields<'_>) {
    fields.leaf("configPath", &proxy.config_path, PROCESS);
    fields.leaf("binaryPath", &proxy.binary_path, PROCESS);
    fields.leaf("serviceCluster", &proxy.service_cluster, PROCESS);
    fields.leaf("drainDuration", &proxy.drain_duration, PROCESS);
    fields.leaf(
        "terminationDrainDuration",
        &proxy.termination_drain_duration,
        PROCESS,
    );
    fields.leaf("discoveryAddress", &proxy.discovery_address, PROCESS);
    fields.leaf(
        "discoveryRefreshDelay",
        &proxy.discovery_refresh_delay,
        PROCESS,
    );
    fields.leaf("proxyAdminPort", &proxy.proxy_admin_port, PROCESS);
    fields.leaf("availabilityZone", &proxy.availability_zone, PROCESS);
    fields.leaf(
        "controlPlaneAuthPolicy",
        &proxy.control_plane_auth_policy,
        PROCESS,
    );
    fields.leaf("customConfigFile", &proxy.custom_config_file, PROCESS);
    fields.leaf("concurrency", &proxy.concurrency, PROCESS);
    fields.leaf(
        "proxyBootstrapTemplatePath",
        &proxy.proxy_bootstrap_template_path,
        PROCESS,
    );
    fields.leaf("sds", &proxy.sds, PROCESS);
    fields.leaf("runtimeValues", &proxy.runtime_values, PROCESS);
    fields.leaf("statusPort", &proxy.status_port, PROCESS);
    fields.leaf("privateKeyProvider", &proxy.private_key_provider, PROCESS);
    fields.leaf("fileFlushInterval", &proxy.file_flush_interval, PROCESS);
    fields.leaf("fileFlushMinSizeKb", &proxy.file_flush_min_size_kb, PROCESS);
    fields.leaf("interceptionMode", &proxy.interception_mode, Injection);
    fields.leaf(
        "holdApplicationUntilProxyStarts",
        &proxy.hold_application_until_proxy_starts,
        Injection,
    );
    fields.leaf("image", &proxy.image, Injection);
}

impl Classify for Tracing {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            zipkin,
            lightstep,
            datadog,
            stackdriver,
            open_census_agent,
            custom_tags,
            max_path_tag_length,
            sampling,
            tls_settings,
            enable_istio_tags,
        } = self;
        fields.leaf("zipkin", zipkin, COLLECTOR);
        fields.leaf("lightstep", lightstep, FOREIGN);
        fields.leaf("datadog", datadog, FOREIGN);
        fields.leaf("stackdriver", stackdriver, FOREIGN);
        fields.leaf("openCensusAgent", open_census_agent, FOREIGN);
        fields.nest("customTags", custom_tags);
        fields.leaf("maxPathTagLength", max_path_tag_length, Capability::Tracing);
        fields.leaf("sampling", sampling, Capability::Tracing);
        fields.nest_as("tlsSettings", tls_settings, COLLECTOR);
        fields.leaf("enableIstioTags", enable_istio_tags, Capability::Tracing);
    }
}

impl Classify for CustomTag {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            literal,
            environment,
            header,
        } = self;
        fields.leaf("literal", literal, Capability::Tracing);
        fields.leaf("environment", environment, Capability::Tracing);
        fields.leaf("header", header, Capability::Tracing);
    }
}

impl Classify for Topology {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            num_trusted_proxies,
            forward_client_cert_details,
            proxy_protocol,
        } = self;
        fields.leaf(
            "numTrustedProxies",
            num_trusted_proxies,
            Capability::Routing,
        );
        fields.leaf(
            "forwardClientCertDetails",
            forward_client_cert_details,
            Capability::Routing,
        );
        fields.leaf("proxyProtocol", proxy_protocol, Capability::ProxyProtocol);
    }
}

impl Classify for ProxyHeaders {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            forwarded_client_cert,
            set_current_client_cert_details,
            request_id,
            server,
            attempt_count,
            envoy_debug_headers,
            metadata_exchange_headers,
            preserve_http1_header_case,
            x_forwarded_host,
            x_forwarded_port,
        } = self;
        fields.leaf(
            "forwardedClientCert",
            forwarded_client_cert,
            Capability::Routing,
        );
        fields.nest(
            "setCurrentClientCertDetails",
            set_current_client_cert_details,
        );
        fields.nest("requestId", request_id);
        fields.nest("server", server);
        fields.nest("attemptCount", attempt_count);
        fields.nest("envoyDebugHeaders", envoy_debug_headers);
        fields.nest_as(
            "metadataExchangeHeaders",
            metadata_exchange_headers,
            EXCHANGE,
        );
        fields.leaf("preserveHttp1HeaderCase", preserve_http1_header_case, CASE);
        fields.nest("xForwardedHost", x_forwarded_host);
        fields.nest("xForwardedPort", x_forwarded_port);
    }
}

impl Classify for SetCurrentClientCertDetails {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            subject,
            cert,
            chain,
            dns,
            uri,
        } = self;
        fields.leaf("subject", subject, Capability::Routing);
        fields.leaf("cert", cert, Capability::Routing);
        fields.leaf("chain", chain, Capability::Routing);
        fields.leaf("dns", dns, Capability::Routing);
        fields.leaf("uri", uri, Capability::Routing);
    }
}

impl Classify for RequestId {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { disabled } = self;
        fields.leaf("disabled", disabled, Capability::Routing);
    }
}

impl Classify for ServerHeader {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { disabled, value } = self;
        fields.leaf("disabled", disabled, Capability::Routing);
        fields.leaf("value", value, Capability::Routing);
    }
}

impl Classify for AttemptCount {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { disabled } = self;
        fields.leaf("disabled", disabled, Capability::Retries);
    }
}

impl Classify for EnvoyDebugHeaders {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { disabled } = self;
        fields.leaf("disabled", disabled, Capability::Routing);
    }
}

impl Classify for MetadataExchangeHeaders {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { mode } = self;
        fields.leaf("mode", mode, Metrics);
    }
}

impl Classify for XForwardedHost {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { enabled } = self;
        fields.leaf("enabled", enabled, Capability::Routing);
    }
}

impl Classify for XForwardedPort {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { enabled } = self;
        fields.leaf("enabled", enabled, Capability::Routing);
    }
}
