//! Settings of each proxy. Source: `mesh/v1alpha1/proxy.proto`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConnectionSettings, ProxyHeaders, Tracing};
use crate::duration::Duration;
use crate::resource::istio::destination_rule::{ClientTlsSettings, TcpKeepalive};
use crate::resource::istio::is_default;
use crate::resource::istio::proxy_config::ProxyImage;
use crate::resource::istio::workload_group::ReadinessProbe;

/// Settings of each proxy: `defaultConfig` of the mesh, or the annotation
/// `proxy.istio.io/config` of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfig {
    /// Directory of the configuration that the agent makes. Default: `./etc/istio/proxy`.
    #[serde(skip_serializing_if = "is_default")]
    pub config_path: Option<String>,
    /// Path of the proxy. Default: `/usr/local/bin/envoy`.
    #[serde(skip_serializing_if = "is_default")]
    pub binary_path: Option<String>,
    /// Name of the service in traces. Default: `istio-proxy`. Exclusive with the next field.
    #[serde(skip_serializing_if = "is_default")]
    pub service_cluster: Option<String>,
    /// How the name of the service in traces is made.
    #[serde(skip_serializing_if = "is_default")]
    pub tracing_service_name: Option<TracingServiceName>,
    /// How long connections are drained, in whole seconds. Default: 45 s.
    #[serde(skip_serializing_if = "is_default")]
    pub drain_duration: Option<Duration>,
    /// Address of istiod, with its port. Default: `istiod.istio-system.svc:15012`.
    #[serde(skip_serializing_if = "is_default")]
    pub discovery_address: Option<String>,
    /// Without effect. Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub discovery_refresh_delay: Option<Duration>,
    /// Address of Zipkin. Deprecated: `tracing` takes its place.
    #[serde(skip_serializing_if = "is_default")]
    pub zipkin_address: Option<String>,
    /// Address of a listener for statsd. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub statsd_udp_address: Option<String>,
    /// Address for Envoy's metrics. Deprecated: `envoy_metrics_service` takes its place.
    #[serde(skip_serializing_if = "is_default")]
    pub envoy_metrics_service_address: Option<String>,
    /// Port of Envoy's administration. Default: 15000.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_admin_port: Option<i32>,
    /// Without effect. Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub availability_zone: Option<String>,
    /// How the proxy connects to istiod. Default: with mutual TLS.
    #[serde(skip_serializing_if = "is_default")]
    pub control_plane_auth_policy: Option<AuthenticationPolicy>,
    /// Path of a configuration to use as it is.
    #[serde(skip_serializing_if = "is_default")]
    pub custom_config_file: Option<String>,
    /// Most bytes of a name in statistics. Default: 189.
    #[serde(skip_serializing_if = "is_default")]
    pub stat_name_length: Option<i32>,
    /// Worker threads; 0 for one a core. Default: by the limits of the container.
    #[serde(skip_serializing_if = "is_default")]
    pub concurrency: Option<i32>,
    /// Path of a template for Envoy's bootstrap.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_bootstrap_template_path: Option<String>,
    /// How traffic to the workload gets to the proxy. Default: it is redirected.
    #[serde(skip_serializing_if = "is_default")]
    pub interception_mode: Option<InboundInterceptionMode>,
    /// How requests are traced.
    #[serde(skip_serializing_if = "is_default")]
    pub tracing: Option<Tracing>,
    /// Without effect. Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub sds: Option<Sds>,
    /// Where requests are logged to, with Envoy's access log service.
    #[serde(skip_serializing_if = "is_default")]
    pub envoy_access_log_service: Option<RemoteService>,
    /// Where metrics are sent, with Envoy's metrics service.
    #[serde(skip_serializing_if = "is_default")]
    pub envoy_metrics_service: Option<RemoteService>,
    /// Environment variables of the proxy.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_metadata: BTreeMap<String, String>,
    /// Values of Envoy's runtime.
    #[serde(skip_serializing_if = "is_default")]
    pub runtime_values: BTreeMap<String, String>,
    /// Port of the agent's health. Default: 15020.
    #[serde(skip_serializing_if = "is_default")]
    pub status_port: Option<i32>,
    /// Tags of metrics to tell apart. Without effect. Deprecated.
    #[serde(skip_serializing_if = "is_default")]
    pub extra_stat_tags: Vec<String>,
    /// What stands before a gateway.
    #[serde(skip_serializing_if = "is_default")]
    pub gateway_topology: Option<Topology>,
    /// How long connections have to complete when the proxy stops. Default: 5 s.
    #[serde(skip_serializing_if = "is_default")]
    pub termination_drain_duration: Option<Duration>,
    /// Name of the mesh in telemetry. Default: the trust domain.
    #[serde(skip_serializing_if = "is_default")]
    pub mesh_id: Option<String>,
    /// How the agent of a virtual machine finds out whether the workload is healthy.
    #[serde(skip_serializing_if = "is_default")]
    pub readiness_probe: Option<ReadinessProbe>,
    /// Further statistics of Envoy to keep.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_stats_matcher: Option<ProxyStatsMatcher>,
    /// Whether the workload starts only once the proxy is ready. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub hold_application_until_proxy_starts: Option<bool>,
    /// Further roots of trust between workloads, in PEM.
    #[serde(skip_serializing_if = "is_default")]
    pub ca_certificates_pem: Vec<String>,
    /// Image of the proxy.
    #[serde(skip_serializing_if = "is_default")]
    pub image: Option<ProxyImage>,
    /// Hardware for private keys. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub private_key_provider: Option<PrivateKeyProvider>,
    /// Headers that the proxy adds.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_headers: Option<ProxyHeaders>,
    /// How often files are written. Default: 1000 ms.
    #[serde(skip_serializing_if = "is_default")]
    pub file_flush_interval: Option<Duration>,
    /// How many KiB wait to be written at most. Default: 64.
    #[serde(skip_serializing_if = "is_default")]
    pub file_flush_min_size_kb: Option<u32>,
    /// Whether statistics are offered in compressed form. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    pub stats_compression: Option<bool>,
    /// Limits on connections from clients.
    #[serde(skip_serializing_if = "is_default")]
    pub connection_settings: Option<ConnectionSettings>,
}

/// How the name of the service in traces is made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TracingServiceName {
    /// The label `app` and the namespace.
    #[default]
    AppLabelAndNamespace,
    /// The canonical name.
    CanonicalNameOnly,
    /// The canonical name and the namespace.
    CanonicalNameAndNamespace,
}

/// How the proxy connects to istiod.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthenticationPolicy {
    /// Without TLS.
    #[default]
    None,
    /// With mutual TLS.
    MutualTls,
    /// As the mesh says.
    Inherit,
}

/// How traffic to the workload gets to the proxy.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InboundInterceptionMode {
    /// It is redirected, and the client's address lost.
    #[default]
    Redirect,
    /// It is redirected, and the client's address kept.
    Tproxy,
    /// It is addressed to the proxy.
    None,
}

/// Where secrets come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sds {
    /// Whether they come from a service.
    #[serde(skip_serializing_if = "is_default")]
    pub enabled: bool,
    /// Path of the token for it.
    #[serde(skip_serializing_if = "is_default")]
    pub k8s_sa_jwt_path: String,
}

/// What stands before a gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Topology {
    /// How many addresses from the right of `x-forwarded-for` the client is. Default: 0, the
    /// client is the peer.
    #[serde(skip_serializing_if = "is_default")]
    pub num_trusted_proxies: u32,
    /// What becomes of `x-forwarded-client-cert`. Default: sanitize and set.
    #[serde(skip_serializing_if = "is_default")]
    pub forward_client_cert_details: ForwardClientCertDetails,
    /// Expects a PROXY protocol header. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub proxy_protocol: Option<ProxyProtocolConfiguration>,
}

/// Expects a PROXY protocol header; has no settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyProtocolConfiguration {}

/// What becomes of `x-forwarded-client-cert`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ForwardClientCertDetails {
    /// Not said: a sidecar appends, a gateway sets.
    #[default]
    Undefined,
    /// It is removed.
    Sanitize,
    /// It is passed on if the client used mutual TLS.
    ForwardOnly,
    /// The client's certificate is appended if it used mutual TLS.
    AppendForward,
    /// It is replaced by the client's certificate if it used mutual TLS.
    SanitizeSet,
    /// It is passed on.
    AlwaysForwardOnly,
}

/// Further statistics of Envoy to keep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyStatsMatcher {
    /// Prefixes of their names.
    #[serde(skip_serializing_if = "is_default")]
    pub inclusion_prefixes: Vec<String>,
    /// Suffixes of their names.
    #[serde(skip_serializing_if = "is_default")]
    pub inclusion_suffixes: Vec<String>,
    /// RE2 expressions for their names.
    #[serde(skip_serializing_if = "is_default")]
    pub inclusion_regexps: Vec<String>,
}

/// Hardware for private keys. One member has to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PrivateKeyProvider {
    /// Intel's CryptoMB.
    #[serde(skip_serializing_if = "is_default")]
    pub cryptomb: Option<CryptoMb>,
    /// Intel's QuickAssist.
    #[serde(skip_serializing_if = "is_default")]
    pub qat: Option<Qat>,
}

/// Intel's CryptoMB.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CryptoMb {
    /// How long requests wait for others. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub poll_delay: Option<Duration>,
    /// Does without where there is none. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub fallback: Option<bool>,
}

/// Intel's QuickAssist.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Qat {
    /// Time between looks at the hardware. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub poll_delay: Option<Duration>,
    /// Does without where there is none. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub fallback: Option<bool>,
}

/// A service that the proxy sends something to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RemoteService {
    /// Address, with its port.
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
    /// TLS towards it. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_settings: Option<ClientTlsSettings>,
    /// Probes on idle connections. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub tcp_keepalive: Option<TcpKeepalive>,
}
