//! What an element says about the client's certificate.

use mesh_core::resource::istio::mesh_config::SetCurrentClientCertDetails;

/// The parts of the client's certificate that an element shows, besides `By` and `Hash`, which are
/// always there.
///
/// The default is that of Istio's sidecars: subject, DNS names and URIs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientCertDetails {
    /// The certificate, as `Cert`.
    pub cert: bool,
    /// The certificate and its intermediates, as `Chain`.
    pub chain: bool,
    /// The subject, as `Subject`.
    pub subject: bool,
    /// The URIs, as `URI`.
    pub uri: bool,
    /// The DNS names, as `DNS`.
    pub dns: bool,
}

impl ClientCertDetails {
    /// What an Istio gateway shows, whatever the mesh configuration says: the certificate besides what
    /// is shown by default.
    pub fn for_gateway() -> Self {
        Self {
            cert: true,
            ..Self::default()
        }
    }
}

impl Default for ClientCertDetails {
    fn default() -> Self {
        Self {
            cert: false,
            chain: false,
            subject: true,
            uri: true,
            dns: true,
        }
    }
}

impl From<&SetCurrentClientCertDetails> for ClientCertDetails {
    /// Takes the details of the mesh configuration; what it leaves out is as by default.
    fn from(details: &SetCurrentClientCertDetails) -> Self {
        let SetCurrentClientCertDetails {
            subject,
            cert,
            chain,
            dns,
            uri,
        } = details;
        let default = Self::default();
        Self {
            cert: cert.unwrap_or(default.cert),
            chain: chain.unwrap_or(default.chain),
            subject: subject.unwrap_or(default.subject),
            uri: uri.unwrap_or(default.uri),
            dns: dns.unwrap_or(default.dns),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_mesh_configuration_leaves_out_is_as_by_default() {
        let details = SetCurrentClientCertDetails {
            cert: Some(true),
            dns: Some(false),
            ..SetCurrentClientCertDetails::default()
        };
        let expected = ClientCertDetails {
            cert: true,
            chain: false,
            subject: true,
            uri: true,
            dns: false,
        };
        assert_eq!(ClientCertDetails::from(&details), expected);
    }

    #[test]
    fn a_gateway_shows_the_certificate_too() {
        let gateway = ClientCertDetails::for_gateway();
        assert!(gateway.cert && gateway.subject && gateway.uri && gateway.dns);
        assert!(!gateway.chain && !ClientCertDetails::default().cert);
    }
}
