//! Certificates for tests.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::identity::TrustDomain;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RevocationReason, RevokedCertParams, SanType, SerialNumber,
    SignatureAlgorithm,
};
use rustls::crypto::CryptoProvider;
#[cfg(feature = "aws-lc-rs")]
use rustls::crypto::aws_lc_rs as cryptography;
#[cfg(not(feature = "aws-lc-rs"))]
use rustls::crypto::ring as cryptography;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::{CertificateRevocationListDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use time::OffsetDateTime;

use crate::certificate::Certificate;
use crate::client_hello::{Detected, detect};
use crate::credential::Credential;
use crate::svid::X509Svid;
use crate::trust_bundle::TrustBundle;
use crate::verify::Revocations;

/// When tests take place.
pub(crate) const NOW: u64 = 1_800_000_000;

/// One day, in seconds.
pub(crate) const DAY: u64 = 86_400;

pub(crate) fn now() -> UnixTime {
    at(NOW)
}

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// The cryptography of the feature that is on.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(cryptography::default_provider())
}

/// A key of RSA with 2048 bits, as PEM: ring makes none.
pub(crate) const RSA: &str = include_str!("testing/rsa.pem");

/// A key of this algorithm: a new one, or [`RSA`].
pub(crate) fn key_pair(algorithm: &'static SignatureAlgorithm) -> KeyPair {
    match *algorithm == PKCS_RSA_SHA256 {
        true => KeyPair::from_pem(RSA).unwrap(),
        false => KeyPair::generate_for(algorithm).unwrap(),
    }
}

/// A root of a trust domain, valid for ten days around [`NOW`].
#[derive(Debug)]
pub(crate) struct Authority {
    trust_domain: TrustDomain,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(trust_domain: &str) -> Self {
        let params = Self::params(trust_domain);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let trust_domain = trust_domain.parse().unwrap();
        Self {
            trust_domain,
            issuer,
        }
    }

    /// An authority below this one.
    pub(crate) fn intermediate(&self) -> Self {
        self.named_intermediate("intermediate")
    }

    /// An authority of this name below this one.
    pub(crate) fn named_intermediate(&self, name: &str) -> Self {
        self.sign_authority(Self::params(name))
    }

    /// An authority below this one whose key may not sign certificates.
    pub(crate) fn powerless_intermediate(&self) -> Self {
        let mut params = Self::params("intermediate");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
        self.sign_authority(params)
    }

    fn sign_authority(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self {
            trust_domain: self.trust_domain.clone(),
            issuer: CertifiedIssuer::signed_by(params, key, &self.issuer).unwrap(),
        }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid(&mut params, NOW - 5 * DAY, NOW + 5 * DAY);
        params
    }

    pub(crate) fn certificate(&self) -> Certificate {
        Certificate::from_der(self.issuer.der()).unwrap()
    }

    /// The certificate of this authority's next root, which has its key and counts from then on.
    pub(crate) fn renewed(&self, from: u64) -> Certificate {
        let mut params = Self::params(self.trust_domain.as_str());
        valid(&mut params, from, from + 10 * DAY);
        let renewed = params.self_signed(self.issuer.key()).unwrap();
        Certificate::from_der(renewed.der()).unwrap()
    }

    pub(crate) fn issuer(&self) -> &CertifiedIssuer<'static, KeyPair> {
        &self.issuer
    }

    pub(crate) fn bundle(&self) -> TrustBundle {
        let domain = self.trust_domain.clone();
        TrustBundle::new(domain, [self.certificate()]).unwrap()
    }

    /// An identity with this path, valid for a day from [`NOW`].
    pub(crate) fn svid(&self, path: &str) -> X509Svid {
        let uri = format!("spiffe://{}{path}", self.trust_domain);
        let name = SanType::URI(uri.try_into().unwrap());
        self.leaf(leaf_params([name])).try_into().unwrap()
    }

    /// As [`svid`](Self::svid), with this serial number.
    pub(crate) fn numbered_svid(&self, path: &str, serial: u64) -> X509Svid {
        let uri = format!("spiffe://{}{path}", self.trust_domain);
        let mut params = leaf_params([SanType::URI(uri.try_into().unwrap())]);
        params.serial_number = Some(SerialNumber::from(serial));
        self.leaf(params).try_into().unwrap()
    }

    /// As [`revocation_list`](Self::revocation_list), alone.
    pub(crate) fn revocations(&self, serials: &[u64]) -> Revocations {
        Revocations::new([self.revocation_list(serials)]).unwrap()
    }

    /// The list of what is revoked, out of date a day after [`NOW`].
    pub(crate) fn revocation_list(&self, serials: &[u64]) -> CertificateRevocationListDer<'static> {
        self.revocation_list_until(NOW + DAY, serials)
    }

    /// The list of what is revoked, out of date then.
    pub(crate) fn revocation_list_until(
        &self,
        next_update: u64,
        serials: &[u64],
    ) -> CertificateRevocationListDer<'static> {
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: time(NOW - 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: time(NOW - DAY),
            next_update: time(next_update),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().into()
    }

    /// A certificate of a host, valid for a day from [`NOW`].
    pub(crate) fn host(&self, name: &str) -> Credential {
        self.leaf(leaf_params([SanType::DnsName(name.try_into().unwrap())]))
    }

    pub(crate) fn leaf(&self, params: CertificateParams) -> Credential {
        self.leaf_with(params, KeyPair::generate().unwrap())
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads better in tests")]
    pub(crate) fn leaf_with(&self, params: CertificateParams, key: KeyPair) -> Credential {
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let leaf = Certificate::from_der(leaf.der()).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        Credential::new(vec![leaf], PrivateKeyDer::Pkcs8(key), &provider()).unwrap()
    }
}

/// A leaf with these names, valid for a day from [`NOW`].
pub(crate) fn leaf_params(names: impl IntoIterator<Item = SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names.extend(names);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    valid(&mut params, NOW, NOW + DAY);
    params
}

fn time(seconds: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap()
}

/// Sets the validity of a certificate, in seconds since 1970.
pub(crate) fn valid(params: &mut CertificateParams, from: u64, to: u64) {
    params.not_before = time(from);
    params.not_after = time(to);
}

/// The ClientHello of a client that offers these application protocols.
pub(crate) fn client_hello(alpn: &[&str]) -> Detected {
    detect(&client_bytes("shop.example", alpn))
}

/// The first bytes of a client.
pub(crate) fn client_bytes(name: &str, alpn: &[&str]) -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(provider());
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(RootCertStore::empty());
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}
