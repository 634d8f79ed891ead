//! X.509 certificates, parsed once ([RFC 5280]).
//!
//! A [`Certificate`] holds the DER and what people and policies ask of it: names, validity, key
//! usage, serial number, fingerprints. Whether it can be trusted is the question of
//! [`verify`](crate::verify); nothing here checks a signature.
//!
//! [RFC 5280]: https://www.rfc-editor.org/rfc/rfc5280
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use mesh_tls::certificate::{Certificate, SubjectAltName};
//!
//! let key = rcgen::generate_simple_self_signed(["shop.example".to_owned()])?;
//! let certificate = Certificate::from_der(key.cert.der())?;
//! assert_eq!(certificate.names(), [SubjectAltName::Dns("shop.example".into())]);
//! assert!(!certificate.is_ca());
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

use crate::digest::{Digest, Sha256};
use crate::distinguished_name::to_rfc2253;
use crate::validity::Validity;

/// A certificate. Cheap to clone; two are equal if their DER is.
#[derive(Clone)]
pub struct Certificate(Arc<Parsed>);

struct Parsed {
    der: CertificateDer<'static>,
    subject: String,
    issuer: String,
    serial: Vec<u8>,
    validity: Validity,
    names: Vec<SubjectAltName>,
    is_ca: bool,
    is_self_issued: bool,
    has_extensions: bool,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Option<ExtendedKeyUsage>,
    public_key: Range<usize>,
}

impl Certificate {
    /// Parses a certificate.
    ///
    /// # Errors
    ///
    /// When the bytes are no certificate, something follows it, an extension occurs twice or one
    /// that is read here is malformed.
    pub fn from_der(der: &[u8]) -> Result<Self, ParseCertificateError> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| ParseCertificateError::Malformed)?;
        if !rest.is_empty() {
            let len = rest.len();
            return Err(ParseCertificateError::TrailingBytes { len });
        }
        let extension = |_| ParseCertificateError::Extension;
        certificate.extensions_map().map_err(extension)?;
        let basic_constraints = certificate.basic_constraints().map_err(extension)?;
        let key_usage = certificate.key_usage().map_err(extension)?;
        let extended = certificate.extended_key_usage().map_err(extension)?;
        let validity = certificate.validity();
        Ok(Self(Arc::new(Parsed {
            subject: to_rfc2253(certificate.subject()),
            issuer: to_rfc2253(certificate.issuer()),
            serial: certificate.raw_serial().to_vec(),
            validity: Validity::new(unix(validity.not_before), unix(validity.not_after)),
            names: names(&certificate)?,
            is_ca: basic_constraints.is_some_and(|constraints| constraints.value.ca),
            is_self_issued: certificate.subject().as_raw() == certificate.issuer().as_raw(),
            has_extensions: !certificate.extensions().is_empty(),
            key_usage: key_usage.map(|usage| KeyUsage(usage.value.flags)),
            extended_key_usage: extended.map(|usage| ExtendedKeyUsage {
                any: usage.value.any,
                client_auth: usage.value.client_auth,
                server_auth: usage.value.server_auth,
            }),
            public_key: offset(der, certificate.public_key().raw),
            der: CertificateDer::from(der.to_vec()),
        })))
    }

    /// The bytes.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.0.der
    }

    /// Whose certificate it is, in the form of RFC 2253: `CN=reviews,O=Acme`. Empty in certificates
    /// of the mesh, which have names only.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Who signed it, in the form of RFC 2253.
    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The serial number, big-endian, as it is in the DER.
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// When it counts.
    pub fn validity(&self) -> Validity {
        self.0.validity
    }

    /// The subject alternative names, in their order.
    pub fn names(&self) -> &[SubjectAltName] {
        &self.0.names
    }

    /// The URIs among the names.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.0.names.iter().filter_map(|name| match name {
            SubjectAltName::Uri(uri) => Some(uri.as_str()),
            _ => None,
        })
    }

    /// The DNS names among the names.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        self.0.names.iter().filter_map(|name| match name {
            SubjectAltName::Dns(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether it is an authority's (basic constraints, `cA`).
    pub fn is_ca(&self) -> bool {
        self.0.is_ca
    }

    /// Whether it is signed by whom it is about, as far as its names say.
    pub fn is_self_issued(&self) -> bool {
        self.0.is_self_issued
    }

    /// Whether it can be an authority's: it [is one's](Self::is_ca), or it is [self-issued](Self::is_self_issued)
    /// and has no extensions to say so, as a root of X.509 v1; and its key may sign certificates, if it
    /// says what that may be used for. BoringSSL demands as much, and of roots without extensions that they
    /// are of v1.
    pub fn can_be_ca(&self) -> bool {
        let is_ca = self.0.is_ca || (self.0.is_self_issued && !self.0.has_extensions);
        is_ca && self.0.key_usage.is_none_or(KeyUsage::key_cert_sign)
    }

    /// What its key may be used for; `None` if it does not say.
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.0.key_usage
    }

    /// For which purposes; `None` if it does not say.
    pub fn extended_key_usage(&self) -> Option<ExtendedKeyUsage> {
        self.0.extended_key_usage
    }

    /// The `SubjectPublicKeyInfo` in DER.
    pub fn public_key(&self) -> &[u8] {
        &self.0.der[self.0.public_key.clone()]
    }

    /// The digest of the certificate, as in `verifyCertificateHash`.
    pub fn fingerprint(&self, sha256: &Sha256) -> Digest {
        sha256.digest(&self.0.der)
    }

    /// The digest of the public key, as in `verifyCertificateSpki`.
    pub fn public_key_fingerprint(&self, sha256: &Sha256) -> Digest {
        sha256.digest(self.public_key())
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.0.subject)
            .field("issuer", &self.0.issuer)
            .field("names", &self.0.names)
            .field("validity", &self.0.validity)
            .finish_non_exhaustive()
    }
}

/// A name that a certificate is for (RFC 5280 section 4.2.1.6).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum SubjectAltName {
    /// A domain name; the first label may be `*`.
    Dns(String),
    /// A mailbox.
    Email(String),
    /// An address.
    Ip(IpAddr),
    /// A name of another kind, which is not read.
    Other,
    /// A URI, such as a SPIFFE ID.
    Uri(String),
}

impl fmt::Display for SubjectAltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::Email(text) | Self::Uri(text) => f.write_str(text),
            Self::Ip(address) => fmt::Display::fmt(address, f),
            Self::Other => f.write_str("(a name of another kind)"),
        }
    }
}

/// What a key may be used for (RFC 5280 section 4.2.1.3).
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// To sign in a handshake.
    pub const fn digital_signature(self) -> bool {
        self.0 & 1 != 0
    }

    /// To encrypt keys, as RSA key exchange does.
    pub const fn key_encipherment(self) -> bool {
        self.0 & (1 << 2) != 0
    }

    /// To sign certificates.
    pub const fn key_cert_sign(self) -> bool {
        self.0 & (1 << 5) != 0
    }

    /// To sign revocation lists.
    pub const fn crl_sign(self) -> bool {
        self.0 & (1 << 6) != 0
    }
}

impl fmt::Debug for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyUsage")
            .field("digital_signature", &self.digital_signature())
            .field("key_encipherment", &self.key_encipherment())
            .field("key_cert_sign", &self.key_cert_sign())
            .field("crl_sign", &self.crl_sign())
            .finish_non_exhaustive()
    }
}

/// The purposes of a key that TLS knows (RFC 5280 section 4.2.1.12).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ExtendedKeyUsage {
    /// Any purpose.
    pub any: bool,
    /// The client's side of TLS.
    pub client_auth: bool,
    /// The server's side of TLS.
    pub server_auth: bool,
}

fn names(certificate: &X509Certificate<'_>) -> Result<Vec<SubjectAltName>, ParseCertificateError> {
    let extension = certificate.subject_alternative_name();
    let extension = extension.map_err(|_| ParseCertificateError::Extension)?;
    let Some(extension) = extension else {
        return Ok(Vec::new());
    };
    extension.value.general_names.iter().map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Result<SubjectAltName, ParseCertificateError> {
    Ok(match name {
        GeneralName::DNSName(name) => SubjectAltName::Dns((*name).to_owned()),
        GeneralName::RFC822Name(mailbox) => SubjectAltName::Email((*mailbox).to_owned()),
        GeneralName::URI(uri) => SubjectAltName::Uri((*uri).to_owned()),
        GeneralName::IPAddress(bytes) => SubjectAltName::Ip(address(bytes)?),
        GeneralName::Invalid(..) => return Err(ParseCertificateError::Extension),
        GeneralName::OtherName(..)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::RegisteredID(_) => SubjectAltName::Other,
    })
}

fn address(bytes: &[u8]) -> Result<IpAddr, ParseCertificateError> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    let v6 = || <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into());
    v4.or_else(|_| v6())
        .map_err(|_| ParseCertificateError::Extension)
}

/// Times before 1970 count as its beginning.
fn unix(time: ASN1Time) -> UnixTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

/// Where `part`, a slice of `whole`, is in it.
fn offset(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// Why bytes are not a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseCertificateError {
    /// An extension occurs twice, or one that has to be read is malformed.
    #[error("the certificate has an extension that is malformed or occurs twice")]
    Extension,
    /// It is not the DER of a certificate.
    #[error("not an X.509 certificate")]
    Malformed,
    /// Bytes follow the certificate.
    #[error("{len} bytes follow the certificate")]
    TrailingBytes {
        /// How many.
        len: usize,
    },
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;
    use crate::testing;

    fn certificate() -> Certificate {
        let mut params = CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.subject_alt_names.extend([
            SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
            SanType::IpAddress(Ipv6Addr::LOCALHOST.into()),
            SanType::URI("spiffe://td/w".try_into().unwrap()),
            SanType::Rfc822Name("a@b.example".try_into().unwrap()),
        ]);
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, "Acme, Inc.");
        name.push(DnType::CommonName, "a");
        params.not_before = time::OffsetDateTime::from_unix_timestamp(1_000).unwrap();
        params.not_after = time::OffsetDateTime::from_unix_timestamp(2_000).unwrap();
        params.serial_number = Some(vec![1, 2, 3].into());
        params.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap()
    }

    #[test]
    fn all_that_is_asked_of_a_certificate_is_read() {
        let certificate = certificate();
        assert_eq!(certificate.subject(), r"CN=a,O=Acme\, Inc.");
        assert_eq!(certificate.issuer(), certificate.subject());
        assert_eq!(certificate.serial(), [1, 2, 3]);
        let names: Vec<String> = certificate
            .names()
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = [
            "a.example",
            "127.0.0.1",
            "::1",
            "spiffe://td/w",
            "a@b.example",
        ];
        assert_eq!(names, expected);
        assert_eq!(certificate.uris().collect::<Vec<_>>(), ["spiffe://td/w"]);
        assert_eq!(certificate.dns_names().collect::<Vec<_>>(), ["a.example"]);
        let validity = certificate.validity();
        let seconds = (
            validity.not_before().as_secs(),
            validity.not_after().as_secs(),
        );
        assert_eq!(seconds, (1_000, 2_000));
        let usage = certificate.key_usage().unwrap();
        assert!(usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign());
        let extended = certificate.extended_key_usage().unwrap();
        assert!(extended.client_auth && !extended.server_auth && !extended.any);
    }

    #[test]
    fn the_public_key_is_that_of_the_certificate() {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(Vec::new()).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let certificate = Certificate::from_der(certificate.der()).unwrap();
        assert_eq!(
            certificate.public_key(),
            rcgen::PublicKeyData::subject_public_key_info(&key)
        );
        let sha256 = Sha256::of_provider(&testing::provider()).unwrap();
        let digest = sha256.digest(certificate.public_key());
        assert_eq!(certificate.public_key_fingerprint(&sha256), digest);
    }

    #[test]
    fn a_certificate_cut_anywhere_is_refused() {
        let certificate = certificate();
        let der = certificate.der();
        for end in 0..der.len() {
            assert!(Certificate::from_der(&der[..end]).is_err(), "{end}");
        }
        let mut longer = der.to_vec();
        longer.push(0);
        assert_eq!(
            Certificate::from_der(&longer),
            Err(ParseCertificateError::TrailingBytes { len: 1 })
        );
    }

    #[test]
    fn a_certificate_with_any_byte_changed_does_not_panic() {
        let der = certificate().der().to_vec();
        for index in 0..der.len() {
            for bit in 0..8 {
                let mut changed = der.clone();
                changed[index] ^= 1 << bit;
                let _ = Certificate::from_der(&changed);
            }
        }
    }
}
