//! TLS towards a destination.

use crate::resource::istio::destination_rule::{ClientTlsMode, ClientTlsSettings};
use crate::validate::At;

/// Checks TLS towards a destination of a rule in `namespace` (`ValidateTLS`).
pub fn validate_client_tls(tls: &ClientTlsSettings, namespace: &str, at: At<'_>) {
    let with_certificates = matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual);
    if let Some(name) = tls.credential_name.strip_prefix("configmap://") {
        validate_config_map(name, namespace, at.field("credentialName"));
    }
    if tls.insecure_skip_verify == Some(true) && with_certificates {
        validate_unverified(tls, at);
    }
    if with_certificates && !tls.credential_name.is_empty() {
        validate_only_credential(tls, at);
    } else if tls.mode == ClientTlsMode::Mutual {
        for (field, path) in [
            ("clientCertificate", &tls.client_certificate),
            ("privateKey", &tls.private_key),
        ] {
            at.field(field)
                .require(!path.is_empty(), "mutual TLS requires certificate and key");
        }
    }
}

/// Checks a reference to a config map, which has to be in the namespace of the rule.
fn validate_config_map(name: &str, namespace: &str, at: At<'_>) {
    let mut parts = name.split('/');
    match (parts.next(), parts.next()) {
        (Some(written), Some(name)) if !written.is_empty() && !name.is_empty() => {
            if written != namespace {
                at.error(format_args!(
                    "config map `{written}/{name}` is of another namespace"
                ));
            }
        }
        _ => {
            at.error("a config map is referred to as `configmap://namespace/name`");
        }
    }
}

fn validate_unverified(tls: &ClientTlsSettings, at: At<'_>) {
    let credential_is_ca = tls.mode == ClientTlsMode::Simple;
    for (field, is_set) in [
        ("caCertificates", !tls.ca_certificates.is_empty()),
        ("subjectAltNames", !tls.subject_alt_names.is_empty()),
        (
            "credentialName",
            credential_is_ca && !tls.credential_name.is_empty(),
        ),
    ] {
        if is_set {
            at.field(field).error(format_args!(
                "`{field}` has no meaning with `insecureSkipVerify`"
            ));
        }
    }
}

fn validate_only_credential(tls: &ClientTlsSettings, at: At<'_>) {
    for (field, path) in [
        ("clientCertificate", &tls.client_certificate),
        ("privateKey", &tls.private_key),
        ("caCertificates", &tls.ca_certificates),
        ("caCrl", &tls.ca_crl),
    ] {
        if !path.is_empty() {
            at.field(field).error(format_args!(
                "only one of `credentialName` and `{field}` can be set"
            ));
        }
    }
}
