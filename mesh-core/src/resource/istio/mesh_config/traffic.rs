//! What becomes of traffic in general. Source: messages within `MeshConfig`.

use serde::{Deserialize, Serialize};

use crate::resource::istio::destination_rule::{
    ClientTlsSettings, ConnectionPoolSettings, OutlierDetection,
};
use crate::resource::istio::is_default;

/// Which Ingresses are obeyed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum IngressControllerMode {
    /// Not said.
    #[default]
    Unspecified,
    /// None.
    Off,
    /// Those of the mesh's class and those without one.
    Default,
    /// Those of the mesh's class.
    Strict,
}

/// Encoding of the access log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AccessLogEncoding {
    /// Text.
    #[default]
    Text,
    /// JSON.
    Json,
}

/// What becomes of traffic to unknown destinations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutboundTrafficPolicy {
    /// Whether it is let through.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: OutboundTrafficPolicyMode,
    /// TLS towards them, with [`OutboundTrafficPolicyMode::AllowAnyDynamicDns`] only.
    #[serde(skip_serializing_if = "is_default")]
    pub tls: Option<ClientTlsSettings>,
}

/// Whether traffic to unknown destinations is let through.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OutboundTrafficPolicyMode {
    /// It is not. This is what an empty policy means.
    #[default]
    RegistryOnly,
    /// It is, to the address that the client connected to.
    AllowAny,
    /// It is, to the host that the client names.
    AllowAnyDynamicDns,
}

/// Where sidecars send traffic to their workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InboundTrafficPolicy {
    /// The address.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: InboundTrafficPolicyMode,
}

/// Address of the workload, as its sidecar sees it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InboundTrafficPolicyMode {
    /// The address that the client connected to.
    #[default]
    Passthrough,
    /// Localhost.
    Localhost,
}

/// Whether HTTP/1.1 connections are made HTTP/2.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum H2UpgradePolicy {
    /// No.
    #[default]
    DoNotUpgrade,
    /// Yes.
    Upgrade,
}

/// How the paths of requests are normalized, before anything else looks at them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyPathNormalization {
    /// What is done.
    #[serde(skip_serializing_if = "is_default")]
    pub normalization: NormalizationType,
}

/// What is done to paths; each but the first two includes the one before it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NormalizationType {
    /// Istio's default, which is [`Base`](Self::Base).
    #[default]
    Default,
    /// Nothing.
    None,
    /// Dots are resolved as RFC 3986 says, and backslashes made slashes.
    Base,
    /// Slashes in a row are made one.
    MergeSlashes,
    /// Slashes and backslashes in percent encoding are decoded first.
    DecodeAndMergeSlashes,
}

/// Blocks of policy for services whose destination rule does not set them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DefaultTrafficPolicy {
    /// Limits on connections and requests.
    #[serde(skip_serializing_if = "is_default")]
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When an endpoint is left alone for a while.
    #[serde(skip_serializing_if = "is_default")]
    pub outlier_detection: Option<OutlierDetection>,
}
