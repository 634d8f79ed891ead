//! An authority given as files, in the layout of Istio's secret `cacerts`.
//!
//! | entry | holds |
//! |---|---|
//! | `ca-cert.pem` | the signing certificate |
//! | `ca-key.pem` | its key |
//! | `root-cert.pem` | the roots to trust, one or more |
//! | `cert-chain.pem` | certificates from the signing one towards the root; may be empty or absent |
//! | `ca-crl.pem` | revocation lists; may be absent |
//!
//! A secret of the type `kubernetes.io/tls` has `tls.crt` (the signing certificate, then those above
//! it), `tls.key` and `ca.crt` (the roots) instead. If both layouts are there the first counts, as
//! in istiod.
//!
//! istiod sends `cert-chain.pem` as it is, and nothing works if the signing certificate is missing
//! from it. Here the order is put right, and roots are left out ([`Signer::intermediates`]).
//!
//! # Example
//!
//! ```
//! use mesh_tls::ca::files::{CaFiles, CaFilesError};
//!
//! let files = CaFiles::select(|name| (name == "ca-cert.pem").then(|| b"...".to_vec()));
//! assert!(matches!(files, Err(CaFilesError::Missing { name: "ca-key.pem" })));
//! ```

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls_pki_types::{CertificateRevocationListDer, UnixTime};

use super::signer::{Signer, SignerError, SignerMaterial};
use crate::certificate::Certificate;
use crate::key::{KeyError, SigningKey};
use crate::pem::{self, PemError};

const CA_CERT: &str = "ca-cert.pem";
const CA_KEY: &str = "ca-key.pem";
const ROOT_CERT: &str = "root-cert.pem";
const CERT_CHAIN: &str = "cert-chain.pem";
const CA_CRL: &str = "ca-crl.pem";
const TLS_CERT: &str = "tls.crt";
const TLS_KEY: &str = "tls.key";
const TLS_ROOT: &str = "ca.crt";

/// The files of an authority.
///
/// Its [`Debug`](fmt::Debug) form does not show their content.
#[derive(Clone, Eq, PartialEq)]
pub struct CaFiles {
    certificate: Entry,
    key: Entry,
    roots: Entry,
    chain: Option<Entry>,
    crl: Option<Entry>,
}

#[derive(Clone, Eq, PartialEq)]
struct Entry {
    name: &'static str,
    content: Vec<u8>,
}

impl CaFiles {
    /// Takes the entries of a secret or the files of a directory by name.
    ///
    /// # Errors
    ///
    /// When one that has to be there is missing.
    pub fn select(read: impl Fn(&str) -> Option<Vec<u8>>) -> Result<Self, CaFilesError> {
        let entry = |name: &'static str| read(name).map(|content| Entry { name, content });
        let required = |name| entry(name).ok_or(CaFilesError::Missing { name });
        let is_tls = entry(CA_CERT).is_none() && entry(TLS_CERT).is_some();
        let [certificate, key, roots] = if is_tls {
            [TLS_CERT, TLS_KEY, TLS_ROOT]
        } else {
            [CA_CERT, CA_KEY, ROOT_CERT]
        };
        Ok(Self {
            certificate: required(certificate)?,
            key: required(key)?,
            roots: required(roots)?,
            chain: entry(CERT_CHAIN).filter(|_| !is_tls),
            crl: entry(CA_CRL),
        })
    }

    /// Parses the files and checks that they are those of an authority that can sign at `now`.
    ///
    /// # Errors
    ///
    /// When a file is not PEM of what it should hold, and those of [`Signer::new`].
    pub fn signer(&self, now: UnixTime, provider: &CryptoProvider) -> Result<Signer, CaFilesError> {
        let mut certificates = self.certificate.certificates()?.into_iter();
        let certificate = certificates.next().ok_or(CaFilesError::NoCertificate {
            name: self.certificate.name,
        })?;
        let mut intermediates: Vec<Certificate> = certificates.collect();
        if let Some(chain) = &self.chain {
            intermediates.extend(chain.certificates()?);
        }
        let material = SignerMaterial {
            certificate,
            key: self.key.key()?,
            intermediates,
            roots: self.roots.certificates()?,
        };
        Ok(Signer::new(material, now, provider)?)
    }

    /// The revocation lists, whose content is not looked at.
    ///
    /// # Errors
    ///
    /// When the file is not PEM.
    pub fn revocation_lists(
        &self,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, CaFilesError> {
        let Some(entry) = &self.crl else {
            return Ok(Vec::new());
        };
        pem::revocation_lists(&entry.content).map_err(|source| entry.error(source))
    }
}

impl Entry {
    fn certificates(&self) -> Result<Vec<Certificate>, CaFilesError> {
        pem::certificates(&self.content).map_err(|source| self.error(source))
    }

    fn key(&self) -> Result<Arc<SigningKey>, CaFilesError> {
        let key = SigningKey::from_pem(&self.content);
        key.map(Arc::new).map_err(|source| CaFilesError::Key {
            name: self.name,
            source,
        })
    }

    fn error(&self, source: PemError) -> CaFilesError {
        CaFilesError::Pem {
            name: self.name,
            source,
        }
    }
}

impl fmt::Debug for CaFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [Some(&self.certificate), Some(&self.key), Some(&self.roots)];
        let all = all
            .into_iter()
            .chain([self.chain.as_ref(), self.crl.as_ref()]);
        let lengths = all.flatten().map(|entry| (entry.name, entry.content.len()));
        f.debug_map().entries(lengths).finish()
    }
}

/// Why files are not those of an authority.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CaFilesError {
    /// The key is malformed or not supported.
    #[error("`{name}`")]
    Key {
        /// The file.
        name: &'static str,
        /// What is wrong with it.
        source: KeyError,
    },
    /// A file that has to be there is not.
    #[error("`{name}` is missing")]
    Missing {
        /// The file.
        name: &'static str,
    },
    /// The file has no certificate.
    #[error("`{name}` has no certificate")]
    NoCertificate {
        /// The file.
        name: &'static str,
    },
    /// A file is not PEM.
    #[error("`{name}`")]
    Pem {
        /// The file.
        name: &'static str,
        /// What is wrong with it.
        source: PemError,
    },
    /// They do not fit together.
    #[error(transparent)]
    Signer(#[from] SignerError),
}
