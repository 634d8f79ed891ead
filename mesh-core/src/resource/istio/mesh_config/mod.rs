//! MeshConfig: what holds for the whole mesh.
//!
//! It is not a resource of Kubernetes but the key `mesh` of the config map `istio`. What is written
//! there is merged, field by field, over Istio's defaults, and so is [`ProxyConfig`] over the
//! mesh's. Hence a scalar is an `Option` here even where protobuf draws no distinction: one that is
//! absent keeps its default, one that is zero does not.
//!
//! Source: `mesh/v1alpha1/config.proto` and `mesh/v1alpha1/proxy.proto`; the defaults are those of
//! Istio's `pkg/config/mesh/mesh.go`. `defaultInboundHttpRetryPolicy` is newer than the messages.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::mesh_config::{MeshConfig, OutboundTrafficPolicyMode};
//!
//! let mesh: MeshConfig = serde_json::from_str(
//!     r#"{
//!         "accessLogFile": "/dev/stdout",
//!         "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
//!         "defaultConfig": {"gatewayTopology": {"numTrustedProxies": 1}}
//!     }"#,
//! )?;
//!
//! assert_eq!(mesh.access_log_file.as_deref(), Some("/dev/stdout"));
//! let mode = mesh.outbound_traffic_policy.map(|policy| policy.mode);
//! assert_eq!(mode, Some(OutboundTrafficPolicyMode::RegistryOnly));
//! assert_eq!(mesh.root_namespace, None);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod connection_settings;
mod ext_authz;
mod extension_provider;
mod log_provider;
mod proxy_config;
mod proxy_headers;
mod proxy_tracing;
mod service_scope;
#[cfg(test)]
mod tests;
mod tracing_provider;
mod traffic;
mod trust;

use serde::{Deserialize, Serialize};

pub use self::connection_settings::{
    ConnectionSettings, ConnectionSettingsProfile, HeadersWithUnderscoresAction,
    PathWithEscapedSlashesAction,
};
pub use self::ext_authz::{
    EnvoyExternalAuthorizationGrpcProvider, EnvoyExternalAuthorizationHttpProvider,
    EnvoyExternalAuthorizationRequestBody,
};
pub use self::extension_provider::{
    DefaultProviders, ExtensionProvider, PrometheusMetricsProvider, SdsProvider,
    StackdriverLogging, StackdriverProvider,
};
pub use self::log_provider::{
    EnvoyFileAccessLogProvider, EnvoyHttpGrpcV3LogProvider, EnvoyOpenTelemetryLogProvider,
    EnvoyTcpGrpcV3LogProvider, LogFormat, OpenTelemetryLogFormat,
};
pub use self::proxy_config::{
    AuthenticationPolicy, CryptoMb, ForwardClientCertDetails, InboundInterceptionMode,
    PrivateKeyProvider, ProxyConfig, ProxyProtocolConfiguration, ProxyStatsMatcher, Qat,
    RemoteService, Sds, Topology, TracingServiceName,
};
pub use self::proxy_headers::{
    AttemptCount, EnvoyDebugHeaders, MetadataExchangeHeaders, MetadataExchangeMode, ProxyHeaders,
    RequestId, ServerHeader, SetCurrentClientCertDetails, XForwardedHost, XForwardedPort,
};
pub use self::proxy_tracing::{
    CustomTag, Datadog, Environment, Lightstep, Literal, OpenCensusAgent, RequestHeader,
    Stackdriver, TraceContext, Tracing, Zipkin,
};
pub use self::service_scope::{
    ConfigSource, LabelSelector, LabelSelectorRequirement, ServiceEntryVisibility, ServiceScope,
    ServiceScopeConfigs, ServiceSettings, Settings, SubscribedResource, Visibility,
    VisibilityMatchRule, VisibilityPolicy,
};
pub use self::tracing_provider::{
    DatadogTracingProvider, DynatraceApi, DynatraceResourceDetector, DynatraceSampler,
    EnvironmentResourceDetector, GrpcService, HttpHeader, HttpService, LightstepTracingProvider,
    OpenCensusAgentTracingProvider, OpenTelemetryTracingProvider, ResourceDetectors,
    ServiceAttributeEnrichment, SkyWalkingTracingProvider, ZipkinTraceContextOption,
    ZipkinTracingProvider,
};
pub use self::traffic::{
    AccessLogEncoding, DefaultTrafficPolicy, H2UpgradePolicy, InboundTrafficPolicy,
    InboundTrafficPolicyMode, IngressControllerMode, NormalizationType, OutboundTrafficPolicy,
    OutboundTrafficPolicyMode, ProxyPathNormalization,
};
pub use self::trust::{Ca, Certificate, CertificateData, TlsConfig, TlsConfigProtocol};
use crate::duration::Duration;
use crate::resource::istio::destination_rule::{
    LocalityLoadBalancerSetting, TcpKeepalive, ZoneAwareLoadBalancerSetting,
};
use crate::resource::istio::is_default;
use crate::resource::istio::virtual_service::HttpRetry;

/// What holds for the whole mesh.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshConfig {
    /// Port at which sidecars take traffic from their workload. Default: 15001.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_listen_port: Option<i32>,
    /// Port at which sidecars take traffic to their workload. Default: 15006.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_inbound_listen_port: Option<i32>,
    /// Port of an HTTP forward proxy. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_http_port: Option<i32>,
    /// How long a connection may take to be made. Default: 10 s.
    #[serde(skip_serializing_if = "is_default")]
    pub connect_timeout: Option<Duration>,
    /// How long a proxy keeps an idle HBONE connection. Default: 1 h.
    #[serde(skip_serializing_if = "is_default")]
    pub hbone_idle_timeout: Option<Duration>,
    /// How long a proxy waits for the first bytes to tell the protocol. Default: 0, for ever.
    #[serde(skip_serializing_if = "is_default")]
    pub protocol_detection_timeout: Option<Duration>,
    /// Probes on idle connections. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// Class of the Ingresses that are obeyed. Default: `istio`.
    #[serde(skip_serializing_if = "is_default")]
    pub ingress_class: Option<String>,
    /// Service of the gateway for Ingresses. Default: `istio-ingressgateway`.
    #[serde(skip_serializing_if = "is_default")]
    pub ingress_service: Option<String>,
    /// Which Ingresses are obeyed. Default: strict.
    #[serde(skip_serializing_if = "is_default")]
    pub ingress_controller_mode: Option<IngressControllerMode>,
    /// Value of the label `istio` of the gateway for Ingresses. Default: `ingressgateway`.
    #[serde(skip_serializing_if = "is_default")]
    pub ingress_selector: Option<String>,
    /// Whether requests are traced. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    pub enable_tracing: Option<bool>,
    /// File that proxies log requests to. Default: empty, they do not.
    #[serde(skip_serializing_if = "is_default")]
    pub access_log_file: Option<String>,
    /// Format of a line in it. Default: Istio's.
    #[serde(skip_serializing_if = "is_default")]
    pub access_log_format: Option<String>,
    /// Encoding of a line in it. Default: text.
    #[serde(skip_serializing_if = "is_default")]
    pub access_log_encoding: Option<AccessLogEncoding>,
    /// Whether proxies log requests to Envoy's access log service. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub enable_envoy_access_log_service: Option<bool>,
    /// Whether connections that no filter chain takes are not logged. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub disable_envoy_listener_log: Option<bool>,
    /// Settings of each proxy.
    #[serde(skip_serializing_if = "is_default")]
    pub default_config: Option<ProxyConfig>,
    /// What becomes of traffic to unknown destinations. Default: it is let through.
    #[serde(skip_serializing_if = "is_default")]
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
    /// Where sidecars send traffic to their workload. Default: the workload's address.
    #[serde(skip_serializing_if = "is_default")]
    pub inbound_traffic_policy: Option<InboundTrafficPolicy>,
    /// Where configuration comes from. Default: Kubernetes.
    #[serde(skip_serializing_if = "is_default")]
    pub config_sources: Vec<ConfigSource>,
    /// Whether clients use mutual TLS wherever both sides can. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    pub enable_auto_mtls: Option<bool>,
    /// The mesh's trust domain. Default: `cluster.local`.
    #[serde(skip_serializing_if = "is_default")]
    pub trust_domain: Option<String>,
    /// Trust domains whose identities count as the mesh's own.
    #[serde(skip_serializing_if = "is_default")]
    pub trust_domain_aliases: Vec<String>,
    /// Further roots of trust between workloads.
    #[serde(skip_serializing_if = "is_default")]
    pub ca_certificates: Vec<CertificateData>,
    /// Visibility of services that do not say. Default: `*`.
    #[serde(skip_serializing_if = "is_default")]
    pub default_service_export_to: Vec<String>,
    /// Visibility of virtual services that do not say. Default: `*`.
    #[serde(skip_serializing_if = "is_default")]
    pub default_virtual_service_export_to: Vec<String>,
    /// Visibility of destination rules that do not say. Default: `*`.
    #[serde(skip_serializing_if = "is_default")]
    pub default_destination_rule_export_to: Vec<String>,
    /// Namespace whose policies hold for the whole mesh. Default: `istio-system`.
    #[serde(skip_serializing_if = "is_default")]
    pub root_namespace: Option<String>,
    /// Preference for near endpoints. Default: enabled.
    #[serde(skip_serializing_if = "is_default")]
    pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
    /// Preference for the client's zone; precedes `locality_lb_setting`. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
    /// Time between failing lookups of a name. Default: 60 s.
    #[serde(skip_serializing_if = "is_default")]
    pub dns_refresh_rate: Option<Duration>,
    /// Whether HTTP/1.1 connections are made HTTP/2. Default: no.
    #[serde(skip_serializing_if = "is_default")]
    pub h2_upgrade_policy: Option<H2UpgradePolicy>,
    /// Pattern of the names of inbound clusters in statistics, with `%SERVICE%` and its like.
    #[serde(skip_serializing_if = "is_default")]
    pub inbound_cluster_stat_name: Option<String>,
    /// Pattern of the names of outbound clusters in statistics, with `%SERVICE%` and its like.
    #[serde(skip_serializing_if = "is_default")]
    pub outbound_cluster_stat_name: Option<String>,
    /// Certificates to provide for names. Deprecated, and without effect.
    #[serde(skip_serializing_if = "is_default")]
    pub certificates: Vec<Certificate>,
    /// Settings of services by host. Istio hides it.
    #[serde(skip_serializing_if = "is_default")]
    pub service_settings: Vec<ServiceSettings>,
    /// Which services other clusters see, in ambient mode.
    #[serde(skip_serializing_if = "is_default")]
    pub service_scope_configs: Vec<ServiceScopeConfigs>,
    /// Whether the agent adds the application's metrics to its own. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    pub enable_prometheus_merge: Option<bool>,
    /// Whether clients verify certificates that no destination rule says how to. Default: true.
    /// Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub verify_certificate_at_client: Option<bool>,
    /// Another authority, to which requests for certificates are forwarded. Istio hides it.
    #[serde(skip_serializing_if = "is_default")]
    pub ca: Option<Ca>,
    /// Services that extend the mesh: authorizers, tracers, logs.
    #[serde(skip_serializing_if = "is_default")]
    pub extension_providers: Vec<ExtensionProvider>,
    /// Extension providers of telemetry that does not name one.
    #[serde(skip_serializing_if = "is_default")]
    pub default_providers: Option<DefaultProviders>,
    /// Namespaces that are part of the mesh, by any of these. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub discovery_selectors: Vec<LabelSelector>,
    /// How the paths of requests are normalized. Default: as RFC 3986 says.
    #[serde(skip_serializing_if = "is_default")]
    pub path_normalization: Option<ProxyPathNormalization>,
    /// When requests from workloads that failed are tried again. Default: that of [`HttpRetry`],
    /// with 2 attempts.
    #[serde(skip_serializing_if = "is_default")]
    pub default_http_retry_policy: Option<HttpRetry>,
    /// When requests to workloads that failed are tried again. Default: twice, on
    /// `reset-before-request`.
    #[serde(skip_serializing_if = "is_default")]
    pub default_inbound_http_retry_policy: Option<HttpRetry>,
    /// TLS between workloads.
    #[serde(rename = "meshMTLS", skip_serializing_if = "is_default")]
    pub mesh_mtls: Option<TlsConfig>,
    /// TLS other than between workloads.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_defaults: Option<TlsConfig>,
    /// Blocks of policy for services whose destination rule does not set them.
    #[serde(skip_serializing_if = "is_default")]
    pub default_traffic_policy: Option<DefaultTrafficPolicy>,
    /// Who sees service entries, whatever they say themselves.
    #[serde(skip_serializing_if = "is_default")]
    pub service_entry_visibility: Option<ServiceEntryVisibility>,
}
