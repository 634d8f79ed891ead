//! An authority above the one that issues.

use std::sync::Arc;

use mesh_tls::ca::{Signer, SignerMaterial};
use mesh_tls::certificate::Certificate;
use mesh_tls::key::SigningKey;
use mesh_tls::pem;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls_pki_types::UnixTime;

/// A root that is kept elsewhere, and signs intermediates.
pub(crate) struct Above {
    params: CertificateParams,
    key: KeyPair,
    root: Certificate,
}

impl Above {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap().pem();
        let root = pem::certificates(root.as_bytes()).unwrap().remove(0);
        Self { params, key, root }
    }

    /// An intermediate with a key of its own.
    pub(crate) fn intermediate(&self, now: UnixTime) -> Arc<Signer> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "intermediate");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let above = rcgen::Issuer::from_params(&self.params, &self.key);
        let signed = params.signed_by(&key, &above).unwrap();
        let material = SignerMaterial {
            certificate: Certificate::from_der(signed.der()).unwrap(),
            key: Arc::new(SigningKey::from_pem(key.serialize_pem().as_bytes()).unwrap()),
            intermediates: Vec::new(),
            roots: vec![self.root.clone()],
        };
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Arc::new(Signer::new(material, now, &provider).unwrap())
    }
}
