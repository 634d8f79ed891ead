//! TLS towards a service. Source: message `ClientTLSSettings`.

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;

/// TLS towards a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTlsSettings {
    /// Whether TLS is used, and what the client presents.
    #[serde(skip_serializing_if = "is_default")]
    pub mode: ClientTlsMode,
    /// Path of the client's certificate, for [`Mutual`](ClientTlsMode::Mutual).
    #[serde(skip_serializing_if = "is_default")]
    pub client_certificate: String,
    /// Path of the client's private key, for [`Mutual`](ClientTlsMode::Mutual).
    #[serde(skip_serializing_if = "is_default")]
    pub private_key: String,
    /// Path of the authorities that may have signed the server's certificate. Default: those of
    /// the operating system, which `system` names, too.
    #[serde(skip_serializing_if = "is_default")]
    pub ca_certificates: String,
    /// Name of the secret with key and certificates, in place of the paths.
    #[serde(skip_serializing_if = "is_default")]
    pub credential_name: String,
    /// Names of which the server's certificate has to have one, exactly.
    #[serde(skip_serializing_if = "is_default")]
    pub subject_alt_names: Vec<String>,
    /// Server name to ask for. Default: the host of the request.
    #[serde(skip_serializing_if = "is_default")]
    pub sni: String,
    /// Trusts any certificate. Default: false.
    #[serde(skip_serializing_if = "is_default")]
    pub insecure_skip_verify: Option<bool>,
    /// Path of the certificates that the authorities revoked. Default: none are.
    #[serde(skip_serializing_if = "is_default")]
    pub ca_crl: String,
}

impl ClientTlsSettings {
    /// Whether a server is verified by the authorities of the operating system: no others are named.
    ///
    /// The path `system` is no file: istiod itself writes it where there is none
    /// (`constructUpstreamTLS`).
    ///
    /// ```
    /// use mesh_core::resource::istio::destination_rule::{ClientTlsMode, ClientTlsSettings};
    ///
    /// let simple = ClientTlsSettings { mode: ClientTlsMode::Simple, ..Default::default() };
    /// assert!(simple.trusts_system());
    /// let own = ClientTlsSettings { ca_certificates: "/etc/ca.pem".into(), ..simple };
    /// assert!(!own.trusts_system());
    /// ```
    pub fn trusts_system(&self) -> bool {
        matches!(self.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual)
            && matches!(self.ca_certificates.as_str(), "" | "system")
            && self.credential_name.is_empty()
            && self.insecure_skip_verify != Some(true)
    }
}

/// Whether TLS is used, and what the client presents.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClientTlsMode {
    /// No TLS.
    #[default]
    Disable,
    /// TLS; the client presents nothing.
    Simple,
    /// TLS; the client presents the certificate that the settings name.
    Mutual,
    /// TLS; the client presents its identity in the mesh. No other field but `sni` and
    /// `subject_alt_names` counts.
    IstioMutual,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_trusted_where_nobody_else_is() {
        let simple = ClientTlsSettings {
            mode: ClientTlsMode::Simple,
            ..ClientTlsSettings::default()
        };
        let with = |change: fn(&mut ClientTlsSettings)| {
            let mut settings = simple.clone();
            change(&mut settings);
            settings.trusts_system()
        };
        assert!(with(|_| {}));
        assert!(with(|tls| tls.mode = ClientTlsMode::Mutual));
        assert!(with(|tls| tls.ca_certificates = "system".into()));
        assert!(with(|tls| tls.ca_crl = "/crl.pem".into()));
        assert!(!with(|tls| tls.ca_certificates = "/ca.pem".into()));
        assert!(!with(|tls| tls.credential_name = "ca".into()));
        assert!(!with(|tls| tls.insecure_skip_verify = Some(true)));
        assert!(!with(|tls| tls.mode = ClientTlsMode::IstioMutual));
        assert!(!with(|tls| tls.mode = ClientTlsMode::Disable));
    }
}
