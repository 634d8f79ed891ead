//! Settings of the whole mesh.

use crate::analyze::fidelity::Capability::{
    AccessLogs, ClientTls, ConnectionPools, Discovery, DnsResolution, Metrics, PeerAuthentication,
    Retries, Routing, ServerTls, TcpRouting,
};
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::mesh::LOG_SERVICE;
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::mesh_config::{
    CertificateData, DefaultTrafficPolicy, InboundTrafficPolicy, MeshConfig, OutboundTrafficPolicy,
    ProxyPathNormalization, ServiceEntryVisibility, ServiceScopeConfigs, ServiceSettings, Settings,
    TlsConfig, VisibilityMatchRule, VisibilityPolicy,
};
use crate::resource::istio::virtual_service::HttpRetry;

const ISTIOD: Support = Support::NotApplicable("a setting of istiod or of the process of an Envoy");

const UNREAD: Support = Support::NotApplicable("Istio does not read it");

const STATISTIC: Support = Support::NotApplicable("names a counter of Envoy");

const TRACING: Support = Support::never("`defaultProviders` or a Telemetry names who gets spans");

const CLUSTERS: Support = Support::NotApplicable("services are those of one Kubernetes cluster");

const AMBIENT: Support = Support::never("there is no ambient mode");

const MESH_TLS: Support = Support::Aids(PeerAuthentication);

impl Classify for MeshConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        known(self);
        traffic(self, fields);
        destinations(self, fields);
        trust(self, fields);
        records(self, fields);
        processes(self, fields);
    }
}

/// Does not compile when a field is added, which has to be classified below then; a test holds the
/// catalogue to the schema.
fn known(mesh: &MeshConfig) {
    let MeshConfig {
        proxy_listen_port: _,
        proxy_inbound_listen_port: _,
        proxy_http_port: _,
        connect_timeout: _,
        hbone_idle_timeout: _,
        protocol_detection_timeout: _,
        tcp_keepalive: _,
        ingress_class: _,
        ingress_service: _,
        ingress_controller_mode: _,
        ingress_selector: _,
        enable_tracing: _,
        access_log_file: _,
        access_log_format: _,
        access_log_encoding: _,
        enable_envoy_access_log_service: _,
        disable_envoy_listener_log: _,
        default_config: _,
        outbound_traffic_policy: _,
        inbound_traffic_policy: _,
        config_sources: _,
        enable_auto_mtls: _,
        trust_domain: _,
        trust_domain_aliases: _,
        ca_certificates: _,
        default_service_export_to: _,
        default_virtual_service_export_to: _,
        default_destination_rule_export_to: _,
        root_namespace: _,
        locality_lb_setting: _,
        zone_aware_lb_setting: _,
        dns_refresh_rate: _,
        h2_upgrade_policy: _,
        inbound_cluster_stat_name: _,
        outbound_cluster_stat_name: _,
        certificates: _,
        service_settings: _,
        service_scope_configs: _,
        enable_prometheus_merge: _,
        verify_certificate_at_client: _,
        ca: _,
        extension_providers: _,
        default_providers: _,
        discovery_selectors: _,
        path_normalization: _,
        default_http_retry_policy: _,
        default_inbound_http_retry_policy: _,
        mesh_mtls: _,
        tls_defaults: _,
        default_traffic_policy: _,
        service_entry_visibility: _,
    } = mesh;
}

/// Where requests and connections go.
fn traffic(mesh: &MeshConfig, fields: &mut Fields<'_>) {
    fields.nest("outboundTrafficPolicy", &mesh.outbound_traffic_policy);
    fields.nest("inboundTrafficPolicy", &mesh.inbound_traffic_policy);
    fields.leaf("ingressClass", &mesh.ingress_class, Routing);
    fields.leaf(
        "ingressControllerMode",
        &mesh.ingress_controller_mode,
        Routing,
    );
    fields.leaf("ingressSelector", &mesh.ingress_selector, Routing);
    fields.nest("pathNormalization", &mesh.path_normalization);
    fields.leaf(
        "protocolDetectionTimeout",
        &mesh.protocol_detection_timeout,
        TcpRouting,
    );
    fields.leaf("rootNamespace", &mesh.root_namespace, Routing);
    fields.leaf(
        "defaultVirtualServiceExportTo",
        &mesh.default_virtual_service_export_to,
        Routing,
    );
    fields.nest("defaultHttpRetryPolicy", &mesh.default_http_retry_policy);
    let inbound = mesh.default_inbound_http_retry_policy.clone();
    let inbound = inbound.map(InboundRetry);
    fields.nest("defaultInboundHttpRetryPolicy", &inbound);
}

/// Which services there are, and how they are reached.
fn destinations(mesh: &MeshConfig, fields: &mut Fields<'_>) {
    fields.leaf("connectTimeout", &mesh.connect_timeout, ConnectionPools);
    fields.nest("tcpKeepalive", &mesh.tcp_keepalive);
    fields.leaf("h2UpgradePolicy", &mesh.h2_upgrade_policy, ConnectionPools);
    fields.leaf("hboneIdleTimeout", &mesh.hbone_idle_timeout, AMBIENT);
    fields.leaf("dnsRefreshRate", &mesh.dns_refresh_rate, DnsResolution);
    fields.nest("localityLbSetting", &mesh.locality_lb_setting);
    fields.nest("zoneAwareLbSetting", &mesh.zone_aware_lb_setting);
    fields.nest("defaultTrafficPolicy", &mesh.default_traffic_policy);
    fields.leaf(
        "defaultServiceExportTo",
        &mesh.default_service_export_to,
        Discovery,
    );
    fields.leaf(
        "defaultDestinationRuleExportTo",
        &mesh.default_destination_rule_export_to,
        Discovery,
    );
    fields.leaf("discoverySelectors", &mesh.discovery_selectors, Discovery);
    fields.nest("serviceSettings", &mesh.service_settings);
    fields.nest("serviceScopeConfigs", &mesh.service_scope_configs);
    fields.nest("serviceEntryVisibility", &mesh.service_entry_visibility);
}

/// Who is who.
fn trust(mesh: &MeshConfig, fields: &mut Fields<'_>) {
    fields.leaf(
        "enableAutoMtls",
        &mesh.enable_auto_mtls,
        Support::Aids(ClientTls),
    );
    fields.leaf(
        "trustDomain",
        &mesh.trust_domain,
        Support::Aids(PeerAuthentication),
    );
    fields.leaf(
        "trustDomainAliases",
        &mesh.trust_domain_aliases,
        Support::Aids(PeerAuthentication),
    );
    fields.nest("caCertificates", &mesh.ca_certificates);
    fields.leaf(
        "verifyCertificateAtClient",
        &mesh.verify_certificate_at_client,
        Support::NotApplicable("istiod no longer reads it"),
    );
    fields.nest_as("meshMTLS", &mesh.mesh_mtls, MESH_TLS);
    fields.nest_as("tlsDefaults", &mesh.tls_defaults, Support::Aids(ServerTls));
}

/// What is recorded.
fn records(mesh: &MeshConfig, fields: &mut Fields<'_>) {
    fields.leaf("enableTracing", &mesh.enable_tracing, TRACING);
    fields.leaf("accessLogFile", &mesh.access_log_file, AccessLogs);
    fields.leaf("accessLogFormat", &mesh.access_log_format, AccessLogs);
    fields.leaf("accessLogEncoding", &mesh.access_log_encoding, AccessLogs);
    fields.leaf(
        "enableEnvoyAccessLogService",
        &mesh.enable_envoy_access_log_service,
        LOG_SERVICE,
    );
    fields.leaf(
        "disableEnvoyListenerLog",
        &mesh.disable_envoy_listener_log,
        AccessLogs,
    );
    fields.leaf(
        "enablePrometheusMerge",
        &mesh.enable_prometheus_merge,
        Metrics,
    );
    fields.nest("extensionProviders", &mesh.extension_providers);
    fields.nest("defaultProviders", &mesh.default_providers);
    fields.leaf(
        "inboundClusterStatName",
        &mesh.inbound_cluster_stat_name,
        STATISTIC,
    );
    fields.leaf(
        "outboundClusterStatName",
        &mesh.outbound_cluster_stat_name,
        STATISTIC,
    );
}

/// How istiod and its proxies run.
fn processes(mesh: &MeshConfig, fields: &mut Fields<'_>) {
    fields.nest("defaultConfig", &mesh.default_config);
    fields.leaf("proxyListenPort", &mesh.proxy_listen_port, ISTIOD);
    fields.leaf(
        "proxyInboundListenPort",
        &mesh.proxy_inbound_listen_port,
        ISTIOD,
    );
    fields.leaf("proxyHttpPort", &mesh.proxy_http_port, ISTIOD);
    fields.leaf("ingressService", &mesh.ingress_service, ISTIOD);
    fields.leaf("configSources", &mesh.config_sources, ISTIOD);
    fields.leaf("certificates", &mesh.certificates, ISTIOD);
    fields.leaf("ca", &mesh.ca, ISTIOD);
}

/// How a sidecar tries its own application again: there is no other endpoint to try.
#[derive(Default)]
struct InboundRetry(HttpRetry);

impl Classify for InboundRetry {
    fn classify(&self, fields: &mut Fields<'_>) {
        let HttpRetry {
            attempts,
            per_try_timeout,
            retry_on,
            retry_remote_localities,
            retry_ignore_previous_hosts,
            backoff,
        } = &self.0;
        fields.leaf("attempts", attempts, Retries);
        fields.leaf("perTryTimeout", per_try_timeout, UNREAD);
        fields.leaf("retryOn", retry_on, Retries);
        fields.leaf("retryRemoteLocalities", retry_remote_localities, UNREAD);
        fields.leaf(
            "retryIgnorePreviousHosts",
            retry_ignore_previous_hosts,
            UNREAD,
        );
        fields.leaf("backoff", backoff, Retries);
    }
}

impl Classify for OutboundTrafficPolicy {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { mode, tls } = self;
        fields.leaf("mode", mode, Routing);
        fields.nest("tls", tls);
    }
}

impl Classify for InboundTrafficPolicy {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { mode } = self;
        fields.leaf("mode", mode, Routing);
    }
}

impl Classify for ProxyPathNormalization {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { normalization } = self;
        fields.leaf("normalization", normalization, Routing);
    }
}

impl Classify for DefaultTrafficPolicy {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            connection_pool,
            outlier_detection,
        } = self;
        fields.nest("connectionPool", connection_pool);
        fields.nest("outlierDetection", outlier_detection);
    }
}

impl Classify for CertificateData {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            pem,
            spiffe_bundle_url,
            cert_signers,
            trust_domains,
        } = self;
        fields.leaf("pem", pem, MESH_TLS);
        fields.leaf(
            "spiffeBundleUrl",
            spiffe_bundle_url,
            Support::never("bundles of SPIFFE endpoints are not fetched"),
        );
        fields.leaf(
            "certSigners",
            cert_signers,
            Support::NotApplicable("signers of Kubernetes issue nothing here"),
        );
        fields.leaf("trustDomains", trust_domains, MESH_TLS);
    }
}

impl Classify for TlsConfig {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            min_protocol_version,
            ecdh_curves,
            cipher_suites,
        } = self;
        fields.leaf("minProtocolVersion", min_protocol_version, ServerTls);
        fields.leaf("ecdhCurves", ecdh_curves, ServerTls);
        fields.leaf("cipherSuites", cipher_suites, ServerTls);
    }
}

impl Classify for ServiceSettings {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { settings, hosts } = self;
        fields.nest("settings", settings);
        fields.leaf("hosts", hosts, CLUSTERS);
    }
}

impl Classify for Settings {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { cluster_local } = self;
        fields.leaf("clusterLocal", cluster_local, CLUSTERS);
    }
}

impl Classify for ServiceScopeConfigs {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            namespace_selector,
            services_selector,
            scope,
        } = self;
        fields.leaf("namespaceSelector", namespace_selector, AMBIENT);
        fields.leaf("servicesSelector", services_selector, AMBIENT);
        fields.leaf("scope", scope, AMBIENT);
    }
}

impl Classify for ServiceEntryVisibility {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            default_visibility,
            apply_to_sidecars,
            policies,
        } = self;
        fields.leaf("defaultVisibility", default_visibility, Discovery);
        fields.leaf("applyToSidecars", apply_to_sidecars, Discovery);
        fields.nest("policies", policies);
    }
}

impl Classify for VisibilityPolicy {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            visibility,
            matching_rules,
        } = self;
        fields.leaf("visibility", visibility, Discovery);
        fields.nest("matchingRules", matching_rules);
    }
}

impl Classify for VisibilityMatchRule {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { namespace_selector } = self;
        fields.leaf("namespaceSelector", namespace_selector, Discovery);
    }
}
