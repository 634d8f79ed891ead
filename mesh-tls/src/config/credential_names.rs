//! Which secrets the settings of a server name.

use mesh_core::resource::istio::gateway::{ServerTlsSettings, TlsCertificate};

use super::error::TlsConfigErrorKind;
use crate::secret_store::SecretName;

/// Where the certificates of a server are: in the first source that is given.
pub(super) fn certificate_names(
    settings: &ServerTlsSettings,
) -> Result<Vec<SecretName>, TlsConfigErrorKind> {
    let credentials = match settings.credential_name.as_str() {
        "" => settings
            .credential_names
            .iter()
            .map(String::as_str)
            .collect(),
        name => vec![name],
    };
    if !credentials.is_empty() {
        let names = credentials.into_iter().map(str::parse);
        return Ok(names.collect::<Result<_, _>>()?);
    }
    let pair = TlsCertificate {
        server_certificate: settings.server_certificate.clone(),
        private_key: settings.private_key.clone(),
        ca_certificates: String::new(),
    };
    let pairs = match settings.tls_certificates.as_slice() {
        [] => std::slice::from_ref(&pair),
        pairs => pairs,
    };
    let is_whole =
        |pair: &TlsCertificate| !pair.server_certificate.is_empty() && !pair.private_key.is_empty();
    if !pairs.iter().all(is_whole) {
        return Err(TlsConfigErrorKind::NoCertificate);
    }
    let names = pairs.iter().map(|pair| SecretName::CredentialFiles {
        certificate: pair.server_certificate.clone(),
        key: pair.private_key.clone(),
    });
    Ok(names.collect())
}

/// Where the authorities of clients are, in the order in which they are looked for.
pub(super) fn authority_names(
    settings: &ServerTlsSettings,
    certificates: &[SecretName],
) -> Result<Vec<SecretName>, TlsConfigErrorKind> {
    if !settings.ca_cert_credential_name.is_empty() {
        return Ok(vec![settings.ca_cert_credential_name.parse()?]);
    }
    if !settings.ca_certificates.is_empty() && !names_credentials(settings) {
        let path = settings.ca_certificates.clone();
        return Ok(vec![SecretName::AuthoritiesFile(path)]);
    }
    let names = certificates.first().into_iter();
    Ok(names.flat_map(beside).collect())
}

/// Whether the certificates are in secrets; then files have no effect, as in Istio.
pub(super) fn names_credentials(settings: &ServerTlsSettings) -> bool {
    !settings.credential_name.is_empty() || !settings.credential_names.is_empty()
}

/// Where the authorities of a credential are: in a secret of their own, or in the same one.
pub(super) fn beside(name: &SecretName) -> Vec<SecretName> {
    match name {
        SecretName::CredentialFiles { .. } => Vec::new(),
        name => name
            .of_authorities()
            .into_iter()
            .chain([name.clone()])
            .collect(),
    }
}
