//! What the settings of a server say without effect.

use mesh_core::resource::istio::gateway::{ServerTlsSettings, TlsProtocol};

use super::credential_names::names_credentials;

/// Notes settings about clients that are not asked for a certificate.
pub(super) fn note_of_simple(settings: &ServerTlsSettings, notices: &mut Vec<String>) {
    let why = "SIMPLE asks clients for no certificate";
    let fields = [
        ("subjectAltNames", !settings.subject_alt_names.is_empty()),
        (
            "verifyCertificateSpki",
            !settings.verify_certificate_spki.is_empty(),
        ),
        (
            "verifyCertificateHash",
            !settings.verify_certificate_hash.is_empty(),
        ),
        ("caCertificates", !settings.ca_certificates.is_empty()),
        (
            "caCertCredentialName",
            !settings.ca_cert_credential_name.is_empty(),
        ),
    ];
    note(&fields, why, notices);
}

/// Notes settings about the authorities of clients that others take the place of.
pub(super) fn note_of_mutual(settings: &ServerTlsSettings, notices: &mut Vec<String>) {
    let is_file_unread = !settings.ca_certificates.is_empty() && names_credentials(settings);
    let why = "authorities are beside the credentials";
    note(&[("caCertificates", is_file_unread)], why, notices);
}

/// Notes settings that mesh mTLS has from the mesh, or does not give way to.
pub(super) fn note_of_mesh(settings: &ServerTlsSettings, notices: &mut Vec<String>) {
    let is_set = |version| version != TlsProtocol::TlsAuto;
    let of_mesh = [
        ("minProtocolVersion", is_set(settings.min_protocol_version)),
        ("maxProtocolVersion", is_set(settings.max_protocol_version)),
        ("cipherSuites", !settings.cipher_suites.is_empty()),
        ("ecdhCurves", !settings.ecdh_curves.is_empty()),
    ];
    let why = "ISTIO_MUTUAL is limited by `meshMTLS` of the mesh";
    note(&of_mesh, why, notices);
    let skips = settings.insecure_skip_verify == Some(true);
    let why = "ISTIO_MUTUAL verifies its clients";
    note(&[("insecureSkipVerify", skips)], why, notices);
}

fn note(fields: &[(&str, bool)], why: &str, notices: &mut Vec<String>) {
    let fields = fields.iter().filter(|(_, is_set)| *is_set);
    notices.extend(fields.map(|(field, _)| format!("`{field}` has no effect: {why}")));
}
