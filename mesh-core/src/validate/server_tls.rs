//! TLS that ends at a gateway or sidecar.
//!
//! ```
//! use mesh_core::resource::istio::gateway::{ServerTlsMode, ServerTlsSettings};
//! use mesh_core::validate::{Report, server_tls};
//!
//! let tls = ServerTlsSettings {
//!     mode: ServerTlsMode::Simple,
//!     server_certificate: "/etc/certs/tls.crt".into(),
//!     ..ServerTlsSettings::default()
//! };
//! let report = Report::default();
//! server_tls::validate_server_tls(&tls, report.root());
//! assert_eq!(report.into_violations()[0].origin.path(), "privateKey");
//! ```

use std::collections::BTreeSet;

use super::At;
use crate::resource::istio::gateway::{
    ServerTlsMode, ServerTlsSettings, TlsCertificate, TlsProtocol,
};

/// Cipher suites of TLS 1.2 and below that Envoy can be given, by OpenSSL's names.
const CIPHER_SUITES: [&str; 15] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
];

/// How many certificates a server can have: one of RSA and one of ECDSA.
const MAX_CERTIFICATES: usize = 2;

/// Checks TLS that ends at a server (`validateTLSOptions`).
pub fn validate_server_tls(tls: &ServerTlsSettings, at: At<'_>) {
    validate_versions(tls, at);
    validate_cipher_suites(&tls.cipher_suites, at.field("cipherSuites"));
    match tls.mode {
        ServerTlsMode::IstioMutual => validate_no_certificates(tls, at),
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => {
            if certificate_fields(tls).any(|(_, is_set)| is_set) || !tls.ca_crl.is_empty() {
                at.warning("certificates have no effect on TLS that is passed through");
            }
            validate_one_source(tls, at);
            validate_revocation(tls, at);
        }
        ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {
            validate_one_source(tls, at);
            if tls.credential_name.is_empty() && tls.credential_names.is_empty() {
                validate_paths(tls, at);
                validate_revocation(tls, at);
            }
        }
    }
}

fn validate_versions(tls: &ServerTlsSettings, at: At<'_>) {
    let is_old = matches!(
        tls.min_protocol_version,
        TlsProtocol::Tlsv1_0 | TlsProtocol::Tlsv1_1
    );
    if is_old && tls.cipher_suites.is_empty() {
        at.field("minProtocolVersion")
            .warning("versions before TLS 1.2 need `cipherSuites` that they have");
    }
}

fn validate_cipher_suites(suites: &[String], at: At<'_>) {
    let mut seen = BTreeSet::new();
    at.each(suites, |suite, at| {
        if !is_cipher_suite(suite) {
            at.warning(format_args!(
                "cipher suite `{suite}` is unknown and ignored"
            ));
        } else if !seen.insert(suite.as_str()) {
            at.warning(format_args!("cipher suite `{suite}` is there twice"));
        }
    });
}

/// Whether this is a cipher suite, or an expression with an operator in front.
fn is_cipher_suite(suite: &str) -> bool {
    let is_expression = suite.starts_with(|c: char| !c.is_alphanumeric());
    suite.is_empty() || suite == "ALL" || is_expression || CIPHER_SUITES.contains(&suite)
}

/// The fields that say which certificates are used, and whether they are set.
fn certificate_fields(tls: &ServerTlsSettings) -> impl Iterator<Item = (&'static str, bool)> {
    [
        ("serverCertificate", !tls.server_certificate.is_empty()),
        ("privateKey", !tls.private_key.is_empty()),
        ("caCertificates", !tls.ca_certificates.is_empty()),
        ("tlsCertificates", !tls.tls_certificates.is_empty()),
        ("credentialName", !tls.credential_name.is_empty()),
        ("credentialNames", !tls.credential_names.is_empty()),
    ]
    .into_iter()
}

/// Checks that a server with Istio's own certificates has no others.
fn validate_no_certificates(tls: &ServerTlsSettings, at: At<'_>) {
    for (field, _) in certificate_fields(tls).filter(|(_, is_set)| *is_set) {
        at.field(field)
            .error(format_args!("`{field}` has no meaning with ISTIO_MUTUAL"));
    }
}

/// Checks that the certificates of the server come from one place.
fn validate_one_source(tls: &ServerTlsSettings, at: At<'_>) {
    let has_pair = !tls.server_certificate.is_empty() && !tls.private_key.is_empty();
    at.at_most_one(&[
        ("serverCertificate", has_pair),
        ("credentialName", !tls.credential_name.is_empty()),
        ("credentialNames", !tls.credential_names.is_empty()),
        ("tlsCertificates", !tls.tls_certificates.is_empty()),
    ]);
    let names = at.field("credentialNames");
    if tls.credential_names.len() > MAX_CERTIFICATES {
        names.error("a server has at most 2 certificates");
    }
    let lists = [
        (names, tls.credential_names.is_empty()),
        (at.field("tlsCertificates"), tls.tls_certificates.is_empty()),
    ];
    for (at, is_empty) in lists {
        at.require(
            !is_empty || !at.is_written(),
            "a list that is written has a certificate",
        );
    }
}

/// Checks that certificate and key are named by path, and the authorities where they are needed.
fn validate_paths(tls: &ServerTlsSettings, at: At<'_>) {
    if tls.mode != ServerTlsMode::Simple && tls.ca_certificates.is_empty() {
        at.field("caCertificates")
            .error("mutual TLS requires authorities of client certificates");
    }
    if tls.tls_certificates.len() > MAX_CERTIFICATES {
        at.field("tlsCertificates")
            .warning("a server uses at most 2 certificates");
    }
    if tls.tls_certificates.is_empty() {
        validate_pair(&tls.server_certificate, &tls.private_key, at);
    }
    at.field("tlsCertificates")
        .each(&tls.tls_certificates, |certificate, at| {
            let TlsCertificate {
                server_certificate,
                private_key,
                ca_certificates: _,
            } = certificate;
            validate_pair(server_certificate, private_key, at);
        });
}

fn validate_pair(certificate: &str, key: &str, at: At<'_>) {
    for (field, path) in [("serverCertificate", certificate), ("privateKey", key)] {
        at.field(field).require(
            !path.is_empty(),
            "a server of TLS requires certificate and key",
        );
    }
}

fn validate_revocation(tls: &ServerTlsSettings, at: At<'_>) {
    if tls.ca_crl.is_empty() {
        return;
    }
    let at = at.field("caCrl");
    if !tls.credential_name.is_empty() {
        at.error("with `credentialName`, revoked certificates are part of the credential");
    }
    if tls.mode == ServerTlsMode::Simple {
        at.error("simple TLS asks for no client certificates that could be revoked");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, assert_warnings, read};

    #[test]
    fn certificates_come_from_one_place() {
        let pair = json!({"serverCertificate": "c", "privateKey": "k"});
        let cases = [
            (json!({}), 0),
            (
                json!({"mode": "SIMPLE", "serverCertificate": "c", "privateKey": "k"}),
                0,
            ),
            (
                json!({"mode": "SIMPLE", "tlsCertificates": [pair, pair]}),
                0,
            ),
            (json!({"mode": "SIMPLE", "credentialName": "a"}), 0),
            (json!({"mode": "SIMPLE", "credentialNames": ["a", "b"]}), 0),
            (json!({"mode": "MUTUAL", "credentialName": "a"}), 0),
            (json!({"mode": "SIMPLE"}), 2),
            (
                json!({"mode": "SIMPLE", "tlsCertificates": [{"serverCertificate": "c"}]}),
                1,
            ),
            (
                json!({"mode": "SIMPLE", "credentialName": "a", "credentialNames": ["b"]}),
                1,
            ),
            (
                json!({"mode": "SIMPLE", "credentialName": "a", "tlsCertificates": [pair]}),
                1,
            ),
            (
                json!({"mode": "SIMPLE", "credentialNames": ["a", "b", "c"]}),
                1,
            ),
            (
                json!({"mode": "MUTUAL", "serverCertificate": "c", "privateKey": "k"}),
                1,
            ),
            (json!({"mode": "OPTIONAL_MUTUAL"}), 3),
            (json!({"mode": "ISTIO_MUTUAL"}), 0),
            (
                json!({"mode": "ISTIO_MUTUAL", "privateKey": "k", "credentialName": "a"}),
                2,
            ),
        ];
        for (tls, errors) in cases {
            assert_errors(&tls.to_string(), errors, |at| {
                validate_server_tls(&read(tls.clone()), at);
            });
        }
    }

    #[test]
    fn certificates_are_revoked_of_clients_only() {
        let paths = json!({"serverCertificate": "c", "privateKey": "k", "caCertificates": "a"});
        for (mode, errors) in [("SIMPLE", 1), ("MUTUAL", 0)] {
            let mut tls = paths.clone();
            tls["mode"] = json!(mode);
            tls["caCrl"] = json!("crl");
            assert_errors(mode, errors, |at| validate_server_tls(&read(tls), at));
        }
    }

    #[test]
    fn what_has_no_effect_is_a_warning() {
        let cases = [
            (json!({"cipherSuites": ["AES128-SHA", "ALL", "-RC4"]}), 0),
            (
                json!({"cipherSuites": ["AES128-SHA", "AES128-SHA", "RC4-MD5"]}),
                2,
            ),
            (json!({"minProtocolVersion": "TLSV1_1"}), 1),
            (
                json!({"minProtocolVersion": "TLSV1_1", "cipherSuites": ["AES128-SHA"]}),
                0,
            ),
            (
                json!({"mode": "AUTO_PASSTHROUGH", "credentialName": "a"}),
                1,
            ),
        ];
        for (tls, warnings) in cases {
            assert_warnings(&tls.to_string(), warnings, |at| {
                validate_server_tls(&read(tls.clone()), at);
            });
        }
    }
}
