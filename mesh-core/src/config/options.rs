//! Mesh-wide settings, with Istio's defaults where nothing was written.
//!
//! The defaults are those of `DefaultMeshConfig` (`pkg/config/mesh/mesh.go`).
//!
//! # Example
//!
//! ```
//! use mesh_core::config::options::{MeshOptions, OutboundMode};
//! use mesh_core::resource::istio::mesh_config::MeshConfig;
//!
//! let written: MeshConfig = serde_json::from_str(r#"{"trustDomain": "shop.example"}"#)?;
//! let options = MeshOptions::new(written);
//! assert_eq!(options.trust_domain(), "shop.example");
//! assert_eq!(options.root_namespace(), "istio-system");
//! assert_eq!(options.outbound_mode(), OutboundMode::AllowAny);
//! # Ok::<(), serde_json::Error>(())
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::duration;
use crate::identity::{ParseSpiffeIdError, TrustDomain, TrustDomains};
use crate::path::Normalization;
use crate::resource::istio::destination_rule::{
    ConnectionPoolSettings, LocalityLoadBalancerSetting, OutlierDetection, TcpKeepalive,
    ZoneAwareLoadBalancerSetting,
};
use crate::resource::istio::mesh_config::{
    ExtensionProvider, H2UpgradePolicy, InboundTrafficPolicyMode, MeshConfig, NormalizationType,
    OutboundTrafficPolicyMode, Topology,
};
use crate::resource::istio::virtual_service::HttpRetry;

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What becomes of calls to hosts that nobody declared.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OutboundMode {
    /// They are let through to where the client wanted to go. The default.
    AllowAny,
    /// They are let through by resolving the name that the client asked for.
    AllowAnyDynamicDns,
    /// They are refused.
    RegistryOnly,
}

/// What was written of the mesh-wide settings, read with defaults. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct MeshOptions {
    written: Arc<MeshConfig>,
}

impl MeshOptions {
    /// Reads `written`.
    pub fn new(written: MeshConfig) -> Self {
        Self {
            written: Arc::new(written),
        }
    }

    /// The settings as they were written, without defaults.
    pub fn as_written(&self) -> &MeshConfig {
        &self.written
    }

    /// The extension providers, each name once: of several with one name the last counts, whatever its kind
    /// (`ApplyMeshConfig`).
    pub fn extension_providers(&self) -> impl Iterator<Item = &ExtensionProvider> {
        let written = &self.written.extension_providers;
        let named = written.iter().enumerate();
        let last: BTreeMap<&str, usize> = named.map(|(at, one)| (one.name.as_str(), at)).collect();
        let named = written.iter().enumerate();
        named.filter_map(move |(at, one)| (last.get(one.name.as_str()) == Some(&at)).then_some(one))
    }

    /// The namespace whose policies hold for the whole mesh. Default `istio-system`.
    pub fn root_namespace(&self) -> &str {
        non_empty(self.written.root_namespace.as_deref(), "istio-system")
    }

    /// The trust domain of the mesh's identities. Default `cluster.local`.
    pub fn trust_domain(&self) -> &str {
        non_empty(self.written.trust_domain.as_deref(), "cluster.local")
    }

    /// Other names of the trust domain.
    pub fn trust_domain_aliases(&self) -> &[String] {
        &self.written.trust_domain_aliases
    }

    /// The trust domain and its other names, as identities have them.
    ///
    /// # Errors
    ///
    /// When one of them is not a trust domain of SPIFFE, as those with capitals, which Istio
    /// accepts.
    pub fn trust_domains(&self) -> Result<TrustDomains, ParseSpiffeIdError> {
        let local = TrustDomain::from_mesh_config(self.trust_domain())?;
        let mut aliases = self.trust_domain_aliases().iter();
        aliases.try_fold(TrustDomains::new(local), |domains, alias| {
            Ok(domains.with_alias(TrustDomain::from_mesh_config(alias)?))
        })
    }

    /// How long a connection may take to be made, unless a DestinationRule says. Default 10 s.
    pub fn connect_timeout(&self) -> Duration {
        let written = self
            .written
            .connect_timeout
            .and_then(duration::Duration::as_std);
        written.unwrap_or(DEFAULT_CONNECT_TIMEOUT)
    }

    /// How long a protocol is waited for before a connection counts as neither TLS nor HTTP.
    /// `None`, the default, waits for ever; so does zero.
    pub fn protocol_detection_timeout(&self) -> Option<Duration> {
        let written = self.written.protocol_detection_timeout?.as_std()?;
        Some(written).filter(|timeout| !timeout.is_zero())
    }

    /// What becomes of calls to hosts that nobody declared, unless a Sidecar says. Default
    /// [`OutboundMode::AllowAny`].
    pub fn outbound_mode(&self) -> OutboundMode {
        let Some(policy) = &self.written.outbound_traffic_policy else {
            return OutboundMode::AllowAny;
        };
        match policy.mode {
            OutboundTrafficPolicyMode::RegistryOnly => OutboundMode::RegistryOnly,
            OutboundTrafficPolicyMode::AllowAny => OutboundMode::AllowAny,
            OutboundTrafficPolicyMode::AllowAnyDynamicDns => OutboundMode::AllowAnyDynamicDns,
        }
    }

    /// Whether a sidecar connects to its application at the loopback address rather than at the
    /// address that the client connected to. Default false.
    pub fn inbound_to_localhost(&self) -> bool {
        let policy = self.written.inbound_traffic_policy.as_ref();
        policy.is_some_and(|policy| policy.mode == InboundTrafficPolicyMode::Localhost)
    }

    /// Whether mesh mTLS is used with endpoints that speak it, where no DestinationRule says
    /// otherwise. Default true.
    pub fn auto_mtls(&self) -> bool {
        self.written.enable_auto_mtls.unwrap_or(true)
    }

    /// Whether HTTP/1.1 is upgraded to HTTP/2 on ports that are declared as HTTP. Default false.
    pub fn h2_upgrade(&self) -> bool {
        self.written.h2_upgrade_policy == Some(H2UpgradePolicy::Upgrade)
    }

    /// Who sees a service that does not say. Default everybody.
    pub fn default_service_export_to(&self) -> &[String] {
        &self.written.default_service_export_to
    }

    /// Who sees a VirtualService that does not say, an Ingress, and a route of the Gateway API. Default
    /// everybody.
    pub fn default_virtual_service_export_to(&self) -> &[String] {
        &self.written.default_virtual_service_export_to
    }

    /// Whether a DestinationRule that does not say is seen in its own namespace only. Default
    /// false. Of the setting Istio honours `.` and `*` alone.
    pub fn destination_rules_are_private(&self) -> bool {
        let written = &self.written.default_destination_rule_export_to;
        written.iter().any(|token| token == ".")
    }

    /// When requests are tried again, where a route does not say. `None` is Istio's built-in
    /// policy, [`RetryPolicy::default`](crate::model::retry::RetryPolicy::default).
    pub fn default_http_retry_policy(&self) -> Option<&HttpRetry> {
        self.written.default_http_retry_policy.as_ref()
    }

    /// When a sidecar tries its own application again. `None` is Istio's built-in policy.
    pub fn default_inbound_http_retry_policy(&self) -> Option<&HttpRetry> {
        self.written.default_inbound_http_retry_policy.as_ref()
    }

    /// Locality settings where neither a DestinationRule nor the service gives any. Default
    /// enabled, with the default order of localities.
    pub fn locality_lb_setting(&self) -> LocalityLoadBalancerSetting {
        let written = self.written.locality_lb_setting.clone();
        written.unwrap_or_else(|| LocalityLoadBalancerSetting {
            enabled: Some(true),
            ..LocalityLoadBalancerSetting::default()
        })
    }

    /// Zone-aware settings where neither a DestinationRule nor the service gives any. They come
    /// before locality settings. Default none.
    pub fn zone_aware_lb_setting(&self) -> Option<&ZoneAwareLoadBalancerSetting> {
        self.written.zone_aware_lb_setting.as_ref()
    }

    /// How paths are brought into one form before routes and policies look at them. Default:
    /// [`Normalization::Base`].
    pub fn path_normalization(&self) -> Normalization {
        let written = self.written.path_normalization.as_ref();
        match written.map(|written| written.normalization) {
            None | Some(NormalizationType::Default | NormalizationType::Base) => {
                Normalization::Base
            }
            Some(NormalizationType::None) => Normalization::None,
            Some(NormalizationType::MergeSlashes) => Normalization::MergeSlashes,
            Some(NormalizationType::DecodeAndMergeSlashes) => Normalization::DecodeAndMergeSlashes,
        }
    }

    /// Whether the connections to gateways begin with a header of the PROXY protocol
    /// (`gatewayTopology.proxyProtocol`). Default no.
    pub fn proxy_protocol(&self) -> bool {
        let topology = self.gateway_topology();
        topology.is_some_and(|topology| topology.proxy_protocol.is_some())
    }

    /// What is before gateways (`defaultConfig.gatewayTopology`). Default nothing.
    pub fn gateway_topology(&self) -> Option<&Topology> {
        self.written
            .default_config
            .as_ref()?
            .gateway_topology
            .as_ref()
    }

    /// When connections that carry nothing are probed, unless a DestinationRule says. Default
    /// never.
    pub fn tcp_keepalive(&self) -> Option<&TcpKeepalive> {
        self.written.tcp_keepalive.as_ref()
    }

    /// Connection pool of clusters whose DestinationRule gives none.
    pub fn default_connection_pool(&self) -> Option<&ConnectionPoolSettings> {
        let policy = self.written.default_traffic_policy.as_ref()?;
        policy.connection_pool.as_ref()
    }

    /// Outlier detection of clusters whose DestinationRule gives none.
    pub fn default_outlier_detection(&self) -> Option<&OutlierDetection> {
        let policy = self.written.default_traffic_policy.as_ref()?;
        policy.outlier_detection.as_ref()
    }
}

fn non_empty<'a>(written: Option<&'a str>, default: &'a str) -> &'a str {
    written.filter(|text| !text.is_empty()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(written: serde_json::Value) -> MeshOptions {
        MeshOptions::new(serde_json::from_value(written).unwrap())
    }

    #[test]
    fn what_is_not_written_has_istios_defaults() {
        let options = MeshOptions::default();
        assert_eq!(options.root_namespace(), "istio-system");
        assert_eq!(options.connect_timeout(), Duration::from_secs(10));
        assert_eq!(options.protocol_detection_timeout(), None);
        assert!(options.auto_mtls());
        assert!(!options.h2_upgrade());
        assert!(!options.inbound_to_localhost());
        assert!(!options.destination_rules_are_private());
    }

    #[test]
    fn of_providers_of_one_name_the_last_counts() {
        let options = options(json!({"extensionProviders": [
            {"name": "a", "envoyExtAuthzHttp": {"service": "a.example", "port": 80}},
            {"name": "b", "envoyFileAccessLog": {}},
            {"name": "a", "prometheus": {}},
        ]}));
        let found = options.extension_providers();
        let found: Vec<_> = found
            .map(|one| (one.name.as_str(), one.prometheus.is_some()))
            .collect();
        assert_eq!(found, [("b", false), ("a", true)]);
    }

    #[test]
    fn trust_domains_are_those_of_spiffe() {
        let written = json!({"trustDomain": "a@b", "trustDomainAliases": ["c"]});
        let domains = options(written).trust_domains().unwrap();
        let names: Vec<_> = domains.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a.b", "c"]);
        let capital = options(json!({"trustDomainAliases": ["C"]}));
        assert!(capital.trust_domains().is_err());
    }

    #[test]
    fn the_normalization_of_paths_is_read() {
        assert_eq!(
            MeshOptions::default().path_normalization(),
            Normalization::Base
        );
        for (written, expected) in [
            ("DEFAULT", Normalization::Base),
            ("NONE", Normalization::None),
            ("MERGE_SLASHES", Normalization::MergeSlashes),
            (
                "DECODE_AND_MERGE_SLASHES",
                Normalization::DecodeAndMergeSlashes,
            ),
        ] {
            let options = options(json!({"pathNormalization": {"normalization": written}}));
            assert_eq!(options.path_normalization(), expected, "{written}");
        }
    }

    #[test]
    fn the_mode_for_unknown_hosts_is_read() {
        for (written, mode) in [
            ("REGISTRY_ONLY", OutboundMode::RegistryOnly),
            ("ALLOW_ANY", OutboundMode::AllowAny),
            ("ALLOW_ANY_DYNAMIC_DNS", OutboundMode::AllowAnyDynamicDns),
        ] {
            let options = options(json!({"outboundTrafficPolicy": {"mode": written}}));
            assert_eq!(options.outbound_mode(), mode, "{written}");
        }
    }

    #[test]
    fn a_detection_timeout_of_zero_waits_for_ever() {
        let zero = options(json!({"protocolDetectionTimeout": "0s"}));
        assert_eq!(zero.protocol_detection_timeout(), None);
        let short = options(json!({"protocolDetectionTimeout": "100ms"}));
        assert_eq!(
            short.protocol_detection_timeout(),
            Some(Duration::from_millis(100))
        );
    }
}
