//! Authorities and TLS. Source: messages within `MeshConfig`.

use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::resource::istio::destination_rule::ClientTlsSettings;
use crate::resource::istio::is_default;

/// A root of trust. One of `pem` and `spiffe_bundle_url` has to be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateData {
    /// The certificates themselves, in PEM.
    #[serde(skip_serializing_if = "is_default")]
    pub pem: Option<String>,
    /// Where the certificates are, as a SPIFFE trust bundle.
    #[serde(skip_serializing_if = "is_default")]
    pub spiffe_bundle_url: Option<String>,
    /// Signers of Kubernetes that it is for. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub cert_signers: Vec<String>,
    /// Trust domains that it is for. Default: all.
    #[serde(skip_serializing_if = "is_default")]
    pub trust_domains: Vec<String>,
}

/// Another authority.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ca {
    /// Address of the authority, with its port. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub address: String,
    /// TLS towards it.
    #[serde(skip_serializing_if = "is_default")]
    pub tls_settings: Option<ClientTlsSettings>,
    /// How long a request may take. Default: 10 s.
    #[serde(skip_serializing_if = "is_default")]
    pub request_timeout: Option<Duration>,
    /// Whether istiod asks it, rather than each agent. Default: true.
    #[serde(skip_serializing_if = "is_default")]
    pub istiod_side: Option<bool>,
}

/// Limits on TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsConfig {
    /// Lowest version. Default: 1.2.
    #[serde(skip_serializing_if = "is_default")]
    pub min_protocol_version: TlsConfigProtocol,
    /// Curves of the key exchange. Default: Envoy's. Not allowed between workloads.
    #[serde(skip_serializing_if = "is_default")]
    pub ecdh_curves: Vec<String>,
    /// Cipher suites below TLS 1.3, by OpenSSL's names. Default: those with AES-GCM.
    #[serde(skip_serializing_if = "is_default")]
    pub cipher_suites: Vec<String>,
}

/// Version of TLS.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TlsConfigProtocol {
    /// Not said.
    #[default]
    TlsAuto,
    /// TLS 1.2.
    Tlsv1_2,
    /// TLS 1.3.
    Tlsv1_3,
}

/// A certificate to provide.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Certificate {
    /// Secret that it is put in.
    #[serde(skip_serializing_if = "is_default")]
    pub secret_name: String,
    /// Names that it is for.
    #[serde(skip_serializing_if = "is_default")]
    pub dns_names: Vec<String>,
}
