//! The authority: its files, and the renewal of its root.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use mesh_core::identity::TrustDomain;
use mesh_core::watch::{self, Publisher, Watch};
use mesh_tls::ca::files::{CaFiles, CaFilesError};
use mesh_tls::ca::root::{RootRenewal, RootSpec};
use mesh_tls::ca::{Authority, IssuancePolicy, Issuer, OverlapPolicy, SerialNumber, Signer};
use mesh_tls::csr::KeyKind;
use mesh_tls::key::SigningKey;
use mesh_tls::pem;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::UnixTime;
use tokio::time::sleep;

/// An authority that is kept in a directory.
pub(crate) struct MeshAuthority {
    directory: PathBuf,
    trust_domain: TrustDomain,
    provider: Arc<CryptoProvider>,
    authority: Mutex<Authority>,
    publisher: Publisher<Issuer>,
    issuer: Watch<Issuer>,
}

impl MeshAuthority {
    /// Reads the authority, or makes a root if there is none.
    pub(crate) fn open(
        directory: &Path,
        trust_domain: TrustDomain,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let read = CaFiles::select(|name| fs::read(directory.join(name)).ok());
        let signer = match read {
            Ok(files) => files.signer(UnixTime::now(), &provider)?,
            Err(CaFilesError::Missing {
                name: "ca-cert.pem",
            }) => {
                let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256)?);
                let root = sign_root(&trust_domain, key, &provider)?;
                write(directory, &root)?;
                root
            }
            Err(error) => return Err(error.into()),
        };
        let policy = IssuancePolicy::default();
        let authority = Authority::new(Arc::new(signer), policy, OverlapPolicy::default());
        let (publisher, issuer) = watch::channel(authority.issuer());
        Ok(Self {
            directory: directory.to_owned(),
            trust_domain,
            provider,
            authority: Mutex::new(authority),
            publisher,
            issuer,
        })
    }

    pub(crate) fn issuer(&self) -> &Watch<Issuer> {
        &self.issuer
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    pub(crate) fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Renews the root when it is due, until the process ends.
    pub(crate) async fn keep(&self) -> Box<dyn Error + Send + Sync> {
        let renewal = RootRenewal::default();
        loop {
            sleep(renewal.check_interval).await;
            if let Err(error) = self.check(renewal) {
                return error;
            }
        }
    }

    fn check(&self, renewal: RootRenewal) -> Result<(), Box<dyn Error + Send + Sync>> {
        let signer = Arc::clone(self.issuer.load().signer());
        let is_own = signer.roots().contains(signer.certificate());
        let validity = signer.certificate().validity();
        if is_own && renewal.is_due(validity, UnixTime::now()) {
            let key = Arc::clone(signer.key());
            let root = sign_root(&self.trust_domain, key, &self.provider)?;
            write(&self.directory, &root)?;
            self.replace(root);
        }
        self.advance();
        Ok(())
    }

    /// Lets `next` follow, and tells workloads of its root at once.
    pub(crate) fn replace(&self, next: Signer) {
        let mut authority = self
            .authority
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        authority.replace(Arc::new(next), UnixTime::now());
        self.publisher.publish(authority.issuer());
    }

    fn advance(&self) {
        let mut authority = self
            .authority
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while authority.advance(UnixTime::now()).is_some() {
            self.publisher.publish(authority.issuer());
        }
    }
}

/// Signs a root of the trust domain.
pub(crate) fn sign_root(
    trust_domain: &TrustDomain,
    key: Arc<SigningKey>,
    provider: &CryptoProvider,
) -> Result<Signer, Box<dyn Error + Send + Sync>> {
    let spec = RootSpec {
        organization: trust_domain.to_string(),
        ..RootSpec::default()
    };
    Ok(spec.sign(key, UnixTime::now(), serial(provider)?, provider)?)
}

/// A random serial number.
pub(crate) fn serial(provider: &CryptoProvider) -> io::Result<SerialNumber> {
    let mut random = [0; 16];
    let filled = provider.secure_random.fill(&mut random);
    filled.map_err(|_| io::Error::other("there are no random numbers"))?;
    Ok(SerialNumber::new(random))
}

/// Keeps a root: each file is written beside the old one and renamed over it.
fn write(directory: &Path, root: &Signer) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let certificate = pem::encode_certificates([root.certificate()]);
    let files = [
        ("ca-key.pem", root.key().to_pem()),
        ("root-cert.pem", certificate.clone()),
        ("ca-cert.pem", certificate),
    ];
    for (name, content) in files {
        let new = directory.join(format!(".{name}"));
        create(&new, content.as_bytes())?;
        fs::rename(new, directory.join(name))?;
    }
    Ok(())
}

/// Writes a file that only its owner can read.
fn create(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::io::Write;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(content)
}
