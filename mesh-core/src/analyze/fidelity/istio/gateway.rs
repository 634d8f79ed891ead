//! Fields of a Gateway, and of the TLS settings that it shares with Sidecars.

use crate::analyze::fidelity::Capability;
use crate::analyze::fidelity::fields::{Classify, Fields};
use crate::analyze::fidelity::treatment::Support;
use crate::resource::istio::gateway::{Gateway, Port, Server, ServerTlsSettings, TlsCertificate};

const STATISTIC: Support = Support::NotApplicable("names a counter of Envoy");

const UNREAD: Support = Support::NotApplicable("Istio does not read it");

/// Of the addresses that a server or a listener binds.
pub(super) const BIND: Support =
    Support::Differently(Capability::Routing, "no Unix socket is listened at");

const VERSIONS: Support = Support::Differently(
    Capability::ServerTls,
    "TLS 1.0 and 1.1 are not spoken, whatever is asked for",
);

const SUITES: Support = Support::Differently(
    Capability::ServerTls,
    "only suites that rustls has are offered",
);

impl Classify for Gateway {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self { servers, selector } = self;
        fields.nest("servers", servers);
        fields.leaf("selector", selector, Capability::Routing);
    }
}

impl Classify for Server {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            port,
            bind,
            hosts,
            tls,
            default_endpoint,
            name,
        } = self;
        fields.nest("port", port);
        fields.leaf("bind", bind, BIND);
        fields.leaf("hosts", hosts, Capability::Routing);
        fields.nest("tls", tls);
        fields.leaf("defaultEndpoint", default_endpoint, UNREAD);
        fields.leaf("name", name, STATISTIC);
    }
}

impl Classify for Port {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            number,
            protocol,
            name,
            target_port,
        } = self;
        fields.leaf("number", number, Capability::Routing);
        fields.leaf("protocol", protocol, Capability::Routing);
        fields.leaf("name", name, Capability::Routing);
        fields.leaf("targetPort", target_port, UNREAD);
    }
}

impl Classify for ServerTlsSettings {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            https_redirect,
            mode,
            server_certificate,
            private_key,
            ca_certificates,
            ca_crl,
            credential_name,
            credential_names,
            ca_cert_credential_name,
            tls_certificates,
            subject_alt_names,
            verify_certificate_spki,
            verify_certificate_hash,
            min_protocol_version,
            max_protocol_version,
            cipher_suites,
            ecdh_curves,
            insecure_skip_verify,
        } = self;
        fields.leaf("httpsRedirect", https_redirect, Capability::Routing);
        fields.leaf("mode", mode, Capability::ServerTls);
        fields.leaf(
            "serverCertificate",
            server_certificate,
            Capability::ServerTls,
        );
        fields.leaf("privateKey", private_key, Capability::ServerTls);
        fields.leaf("caCertificates", ca_certificates, Capability::ServerTls);
        fields.leaf("caCrl", ca_crl, Capability::ServerTls);
        fields.leaf("credentialName", credential_name, Capability::ServerTls);
        fields.leaf("credentialNames", credential_names, Capability::ServerTls);
        fields.leaf(
            "caCertCredentialName",
            ca_cert_credential_name,
            Capability::ServerTls,
        );
        fields.nest("tlsCertificates", tls_certificates);
        fields.leaf("subjectAltNames", subject_alt_names, Capability::ServerTls);
        fields.leaf(
            "verifyCertificateSpki",
            verify_certificate_spki,
            Capability::ServerTls,
        );
        fields.leaf(
            "verifyCertificateHash",
            verify_certificate_hash,
            Capability::ServerTls,
        );
        fields.leaf("minProtocolVersion", min_protocol_version, VERSIONS);
        fields.leaf("maxProtocolVersion", max_protocol_version, VERSIONS);
        fields.leaf("cipherSuites", cipher_suites, SUITES);
        fields.leaf("ecdhCurves", ecdh_curves, Capability::ServerTls);
        fields.leaf(
            "insecureSkipVerify",
            insecure_skip_verify,
            Capability::ServerTls,
        );
    }
}

impl Classify for TlsCertificate {
    fn classify(&self, fields: &mut Fields<'_>) {
        let Self {
            server_certificate,
            private_key,
            ca_certificates,
        } = self;
        fields.leaf(
            "serverCertificate",
            server_certificate,
            Capability::ServerTls,
        );
        fields.leaf("privateKey", private_key, Capability::ServerTls);
        fields.leaf("caCertificates", ca_certificates, Capability::ServerTls);
    }
}
