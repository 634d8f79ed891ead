//! Settings of injection: the part of Istio's Helm values that templates read.
//!
//! Names and defaults are those of the chart `istiod`, to which [`MeshSidecar`] is added. Values that concern other parts of an
//! installation are not read.
//!
//! # Example
//!
//! ```
//! use mesh_policy::admission::values::Values;
//!
//! let values: Values = serde_json::from_str(
//!     r#"{"global": {"hub": "registry.example/mesh", "proxy": {"logLevel": "info"}}}"#,
//! )?;
//! assert_eq!(values.global.proxy.log_level, "info");
//! assert_eq!(values.global.proxy.status_port, 15020);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

/// The values that templates read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Values {
    /// Settings of the whole installation.
    pub global: Global,
    /// Settings of the control plane.
    pub pilot: Pilot,
    /// Settings of gateways.
    pub gateways: Gateways,
    /// Settings of the template `mesh-sidecar`.
    pub mesh_sidecar: MeshSidecar,
    /// Revision of the control plane, by which its Service is named. Empty leaves it to the
    /// injector.
    pub revision: String,
    /// Settings of the webhook.
    pub sidecar_injector_webhook: SidecarInjectorWebhook,
}

/// Settings of the whole installation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Global {
    /// Namespace of the control plane. Default: `istio-system`.
    pub istio_namespace: String,
    /// Registry of images.
    pub hub: String,
    /// Tag of images. Default: `latest`.
    pub tag: String,
    /// Variant of images, such as `distroless`.
    pub variant: String,
    /// When images are pulled; empty leaves it to the cluster.
    pub image_pull_policy: String,
    /// Secrets with which images are pulled.
    pub image_pull_secrets: Vec<String>,
    /// Whether proxies log JSON.
    pub log_as_json: bool,
    /// Levels of logging.
    pub logging: Logging,
    /// Whether captured traffic is redirected by nftables.
    pub native_nftables: bool,
    /// The proxy.
    pub proxy: Proxy,
    /// The init container that redirects traffic.
    #[serde(rename = "proxy_init")]
    pub proxy_init: ProxyInit,
    /// Address of the certificate authority; empty is istiod.
    pub ca_address: String,
    /// Name of the certificate authority.
    pub ca_name: String,
    /// Name of the mesh; empty is the trust domain.
    #[serde(rename = "meshID")]
    pub mesh_id: String,
    /// Trust domain where the mesh configuration has none.
    pub trust_domain: String,
    /// Name of the ConfigMap or trust bundle with the roots; empty is the default of either.
    pub trust_bundle_name: String,
    /// Whether certificates are mounted from a Secret.
    pub mount_mtls_certs: bool,
    /// The cluster.
    pub multi_cluster: MultiCluster,
    /// Network of the workloads; empty is the default one.
    pub network: String,
    /// Who issues istiod's certificate. Default: `istiod`.
    pub pilot_cert_provider: String,
    /// Tokens for the certificate authority.
    pub sds: Sds,
    /// The token service of the agent.
    pub sts: Sts,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            istio_namespace: "istio-system".into(),
            hub: "registry.istio.io/release".into(),
            tag: "latest".into(),
            variant: String::new(),
            image_pull_policy: String::new(),
            image_pull_secrets: Vec::new(),
            log_as_json: false,
            logging: Logging::default(),
            native_nftables: false,
            proxy: Proxy::default(),
            proxy_init: ProxyInit::default(),
            ca_address: String::new(),
            ca_name: String::new(),
            mesh_id: String::new(),
            trust_domain: String::new(),
            trust_bundle_name: String::new(),
            mount_mtls_certs: false,
            multi_cluster: MultiCluster::default(),
            network: String::new(),
            pilot_cert_provider: "istiod".into(),
            sds: Sds::default(),
            sts: Sts::default(),
        }
    }
}

/// Levels of logging.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Logging {
    /// Levels by scope. Default: `default:info`.
    pub level: String,
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: "default:info".into(),
        }
    }
}

/// The proxy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Proxy {
    /// Name of its image, or a whole reference if it has a slash. Default: `proxyv2`.
    pub image: String,
    /// Suffix of service names. Default: `cluster.local`.
    pub cluster_domain: String,
    /// Envoy's level. Default: `warning`.
    pub log_level: String,
    /// Envoy's levels by component. Default: `misc:error`.
    pub component_log_level: String,
    /// Ports whose inbound traffic is captured. Default: `*`.
    pub include_inbound_ports: String,
    /// Ports whose inbound traffic is not captured.
    pub exclude_inbound_ports: String,
    /// Networks to which traffic is captured. Default: `*`.
    #[serde(rename = "includeIPRanges")]
    pub include_ip_ranges: String,
    /// Networks to which traffic is not captured.
    #[serde(rename = "excludeIPRanges")]
    pub exclude_ip_ranges: String,
    /// Ports to which traffic is captured, beside the networks.
    pub include_outbound_ports: String,
    /// Ports to which traffic is not captured.
    pub exclude_outbound_ports: String,
    /// Whether it may bind ports below 1024: `true` or empty.
    pub cap_net_bind_service: String,
    /// Whether its containers are privileged.
    pub privileged: bool,
    /// Port of the agent's health and metrics; 0 has no readiness probe. Default: 15020.
    pub status_port: u16,
    /// Seconds before the first readiness probe. Default: 0.
    pub readiness_initial_delay_seconds: u32,
    /// Seconds between readiness probes. Default: 15.
    pub readiness_period_seconds: u32,
    /// Probes that may fail. Default: 4.
    pub readiness_failure_threshold: u32,
    /// The startup probe.
    pub startup_probe: StartupProbe,
    /// Whether the application starts after the proxy.
    pub hold_application_until_proxy_starts: bool,
    /// Hooks of its container, in place of those of the template.
    pub lifecycle: Value,
    /// Its resources; what is null is left out.
    pub resources: Value,
    /// Its seccomp profile.
    pub seccomp_profile: Value,
    /// Where ejections are logged.
    pub outlier_log_path: String,
    /// Its tracer: `datadog` gets variables, and `lightstep` a volume. Default: `none`.
    pub tracer: String,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            image: "proxyv2".into(),
            cluster_domain: "cluster.local".into(),
            log_level: "warning".into(),
            component_log_level: "misc:error".into(),
            include_inbound_ports: "*".into(),
            exclude_inbound_ports: String::new(),
            include_ip_ranges: "*".into(),
            exclude_ip_ranges: String::new(),
            include_outbound_ports: String::new(),
            exclude_outbound_ports: String::new(),
            cap_net_bind_service: String::new(),
            privileged: false,
            status_port: 15020,
            readiness_initial_delay_seconds: 0,
            readiness_period_seconds: 15,
            readiness_failure_threshold: 4,
            startup_probe: StartupProbe::default(),
            hold_application_until_proxy_starts: false,
            lifecycle: Value::Null,
            resources: json!({
                "requests": {"cpu": "100m", "memory": "128Mi"},
                "limits": {"cpu": "2", "memory": "1Gi"},
            }),
            seccomp_profile: Value::Null,
            outlier_log_path: String::new(),
            tracer: "none".into(),
        }
    }
}

/// The startup probe of the proxy.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StartupProbe {
    /// Whether it has one. Default: yes.
    pub enabled: bool,
    /// Probes that may fail, one a second. Default: 600.
    pub failure_threshold: u32,
}

impl Default for StartupProbe {
    fn default() -> Self {
        Self {
            enabled: true,
            failure_threshold: 600,
        }
    }
}

/// The init container that redirects traffic.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyInit {
    /// Name of its image, or a whole reference if it has a slash. Default: `proxyv2`.
    pub image: String,
    /// Whether rules are applied even where some are already.
    pub force_apply_iptables: bool,
}

impl Default for ProxyInit {
    fn default() -> Self {
        Self {
            image: "proxyv2".into(),
            force_apply_iptables: false,
        }
    }
}

/// The cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MultiCluster {
    /// Its name; empty is `Kubernetes`.
    pub cluster_name: String,
}

/// Tokens for the certificate authority.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sds {
    /// The token.
    pub token: Token,
}

/// A projected token.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Token {
    /// For whom it is. Default: `istio-ca`.
    pub aud: String,
}

impl Default for Token {
    fn default() -> Self {
        Self {
            aud: "istio-ca".into(),
        }
    }
}

/// The token service of the agent.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sts {
    /// Its port; 0 has none.
    pub service_port: u16,
}

/// Settings of the control plane.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Pilot {
    /// The plugin that redirects traffic in place of an init container.
    pub cni: Cni,
    /// Environment of istiod.
    pub env: BTreeMap<String, Value>,
    /// ConfigMap with revoked certificates; empty is `istio-ca-crl`.
    pub crl_config_map_name: String,
}

/// The plugin that redirects traffic.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Cni {
    /// Whether it is there.
    pub enabled: bool,
    /// `default` or `multus`.
    pub provider: String,
}

impl Default for Cni {
    fn default() -> Self {
        Self {
            enabled: false,
            provider: "default".into(),
        }
    }
}

/// Settings of gateways.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateways {
    /// Security context of their pods, in place of the template's.
    pub security_context: Value,
}

/// Settings of the template `mesh-sidecar`; Istio's chart has none of them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MeshSidecar {
    /// Reference of the image, whose entry point is the example `sidecar`, which is in its `PATH`.
    /// Default: `mesh-sidecar:latest`.
    pub image: String,
    /// ConfigMap with the configuration of the mesh, in the namespace of the pod: each entry is a
    /// file of resources. Pods wait for it. Default: `mesh-sidecar`.
    pub config_map_name: String,
}

impl Default for MeshSidecar {
    fn default() -> Self {
        Self {
            image: "mesh-sidecar:latest".into(),
            config_map_name: "mesh-sidecar".into(),
        }
    }
}

/// Settings of the webhook.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarInjectorWebhook {
    /// Whether probes of the application go through the agent. Default: yes.
    #[serde(rename = "rewriteAppHTTPProbe")]
    pub rewrite_app_http_probe: bool,
    /// Annotations that every injected pod gets.
    pub injected_annotations: BTreeMap<String, String>,
    /// Templates of pods that name none; empty is `sidecar`.
    pub default_templates: Vec<String>,
}

impl Default for SidecarInjectorWebhook {
    fn default() -> Self {
        Self {
            rewrite_app_http_probe: true,
            injected_annotations: BTreeMap::new(),
            default_templates: Vec::new(),
        }
    }
}
