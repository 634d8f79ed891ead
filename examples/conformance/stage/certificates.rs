//! Certificates, made when they are needed.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Who issues certificates.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes an authority of that name.
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
        ];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer })
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for `names`: of hosts, or URIs.
    pub(crate) fn issue(&self, names: &[&str]) -> Result<Issued, Error> {
        let key = KeyPair::generate()?;
        let certificate = params(names)?.signed_by(&key, &*self.issuer)?;
        Ok(Issued::new(&certificate, &key))
    }
}

/// A certificate for `names` that nobody vouches for.
pub(crate) fn self_signed(names: &[&str]) -> Result<Issued, Error> {
    let key = KeyPair::generate()?;
    let certificate = params(names)?.self_signed(&key)?;
    Ok(Issued::new(&certificate, &key))
}

/// A certificate with its key.
#[derive(Debug)]
pub(crate) struct Issued {
    pem: String,
    key_pem: String,
    der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl Issued {
    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            der: certificate.der().clone(),
            key_der: key.serialize_der(),
        }
    }

    /// The certificate as a chain.
    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.der.clone()]
    }

    pub(super) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key_der.clone()).into()
    }

    /// A Secret that holds it.
    pub(crate) fn secret(&self, namespace: &str, name: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": name, "namespace": namespace},
            "data": {
                "tls.crt": STANDARD.encode(&self.pem),
                "tls.key": STANDARD.encode(&self.key_pem),
            },
        })
    }

    /// A server that presents it, and takes any of `protocols` that a client offers.
    pub(crate) fn server(&self, protocols: &[&str]) -> Result<Arc<ServerConfig>, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth();
        let mut config = config.with_single_cert(self.chain(), self.key())?;
        let protocols = protocols.iter();
        config.alpn_protocols = protocols.map(|name| name.as_bytes().to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// A ConfigMap that holds the certificate of an authority.
pub(crate) fn config_map(authority: &Authority, namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"ca.crt": authority.pem()},
    })
}

fn params(names: &[&str]) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("default");
    for name in names {
        let name = match name.contains("://") {
            true => SanType::URI((*name).try_into()?),
            false => SanType::DnsName((*name).try_into()?),
        };
        params.subject_alt_names.push(name);
    }
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    named.push(DnType::CommonName, name);
    named
}
