//! The authority: its files, and the renewal of its root.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_core::identity::TrustDomain;
use mesh_core::watch::{self, Publisher, Watch};
use mesh_tls::ca::files::CaFiles;
use mesh_tls::ca::root::{RootRenewal, RootSpec};
use mesh_tls::ca::{Authority, IssuancePolicy, Issuer, OverlapPolicy, SerialNumber, Signer};
use mesh_tls::csr::KeyKind;
use mesh_tls::digest::{NoSha256, Sha256};
use mesh_tls::key::SigningKey;
use mesh_tls::pem;
use mesh_tls::verify::Revocations;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::UnixTime;
use tokio::time::sleep;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Holds the fingerprint of the root that was made here, one a line. A root without it was put there by
/// somebody, who renews it.
const MARKER: &str = "self-made";

/// What an authority may be made of: while any of them is there, none is made.
const FILES: [&str; 8] = [
    "ca-cert.pem",
    "ca-key.pem",
    "root-cert.pem",
    "cert-chain.pem",
    "ca-crl.pem",
    "tls.crt",
    "tls.key",
    "ca.crt",
];

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// An authority that is kept in a directory.
pub(crate) struct MeshAuthority {
    directory: PathBuf,
    trust_domain: TrustDomain,
    provider: Arc<CryptoProvider>,
    authority: Mutex<Authority>,
    publisher: Publisher<Issuer>,
    issuer: Watch<Issuer>,
    /// What was read last.
    files: Mutex<CaFiles>,
    revocations: Publisher<Revocations>,
}

impl MeshAuthority {
    /// Reads the authority, or makes a root if the directory has none of an authority's files.
    ///
    /// A file that cannot be read is not taken for one that is missing, or another root would be made in
    /// the place of that one.
    pub(crate) fn open(
        directory: &Path,
        trust_domain: TrustDomain,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, Failure> {
        if is_empty(directory)? {
            let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256)?);
            let root = sign_root(&trust_domain, key, &provider)?;
            write(directory, &of_root(&root, None, &provider)?)?;
        }
        let files = read(directory)?;
        let signer = Arc::new(files.signer(UnixTime::now(), &provider)?);
        let lists = Revocations::new(files.revocation_lists()?)?;
        let policy = IssuancePolicy::default();
        let authority = Authority::new(signer, policy, OverlapPolicy::default());
        let (publisher, issuer) = watch::channel(authority.issuer());
        Ok(Self {
            directory: directory.to_owned(),
            trust_domain,
            provider,
            authority: Mutex::new(authority),
            publisher,
            issuer,
            files: Mutex::new(files),
            revocations: watch::channel(lists).0,
        })
    }

    pub(crate) fn issuer(&self) -> &Watch<Issuer> {
        &self.issuer
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// What the authority has revoked (`ca-crl.pem`).
    pub(crate) fn revocations(&self) -> Watch<Revocations> {
        self.revocations.watch()
    }

    pub(crate) fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Follows the files, and renews the root when it is due. What fails is reported, and tried again.
    pub(crate) async fn keep(&self) -> Infallible {
        let renewal = RootRenewal::default();
        let mut check_at = renewal.first_check(UnixTime::now(), fastrand::f64());
        loop {
            sleep(LOOK_INTERVAL).await;
            report("the files of the authority", self.reload());
            self.advance();
            if check_at <= UnixTime::now() {
                report("the root", self.renew(renewal));
                let next = UnixTime::now().as_secs() + renewal.check_interval.as_secs();
                check_at = UnixTime::since_unix_epoch(Duration::from_secs(next));
            }
        }
    }

    /// Takes over files that were replaced, as those of a mounted secret are.
    pub(crate) fn reload(&self) -> Result<(), Failure> {
        let files = read(&self.directory)?;
        let mut known = lock(&self.files);
        if *known == files {
            return Ok(());
        }
        let lists = Revocations::new(files.revocation_lists()?)?;
        let now = UnixTime::now();
        let (old, next) = (
            known.signer(now, &self.provider),
            files.signer(now, &self.provider)?,
        );
        if !old.is_ok_and(|old| is_same(&old, &next)) {
            self.replace(next);
        }
        self.revocations.publish(lists);
        *known = files;
        Ok(())
    }

    /// Renews the root if it was made here and is due.
    pub(crate) fn renew(&self, renewal: RootRenewal) -> Result<(), Failure> {
        let signer = Arc::clone(self.issuer.load().signer());
        let validity = signer.certificate().validity();
        if !is_self_made(&self.directory, &signer, &self.provider)
            || !renewal.is_due(validity, UnixTime::now())
        {
            return Ok(());
        }
        let key = Arc::clone(signer.key());
        let root = sign_root(&self.trust_domain, key, &self.provider)?;
        let files = of_root(&root, Some(&signer), &self.provider)?;
        write(&self.directory, &files)?;
        self.reload()
    }

    /// Lets `next` follow, and tells workloads of its root at once.
    pub(crate) fn replace(&self, next: Signer) {
        let mut authority = lock(&self.authority);
        authority.replace(Arc::new(next), UnixTime::now());
        self.publisher.publish(authority.issuer());
    }

    fn advance(&self) {
        let mut authority = lock(&self.authority);
        while authority.advance(UnixTime::now()).is_some() {
            self.publisher.publish(authority.issuer());
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn report(what: &str, done: Result<(), Failure>) {
    if let Err(error) = done {
        eprintln!("{what}: {error}");
    }
}

fn read(directory: &Path) -> Result<CaFiles, Failure> {
    let failed = RefCell::new(None);
    let files = CaFiles::select(|name| {
        let content = read_file(&directory.join(name));
        content.unwrap_or_else(|error| {
            failed.borrow_mut().get_or_insert(error);
            None
        })
    });
    match failed.into_inner() {
        Some(error) => Err(error.into()),
        None => Ok(files?),
    }
}

/// The content of a file; `None` if there is no such file.
fn read_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let why = format!("`{}` cannot be read: {error}", path.display());
            Err(io::Error::new(error.kind(), why))
        }
    }
}

/// Whether there is nothing in the directory that an authority may be made of.
fn is_empty(directory: &Path) -> io::Result<bool> {
    for name in FILES {
        if fs::exists(directory.join(name))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether both sign by the same certificate, below the same roots.
fn is_same(one: &Signer, other: &Signer) -> bool {
    one.certificate() == other.certificate()
        && one.intermediates() == other.intermediates()
        && one.roots() == other.roots()
}

fn is_self_made(directory: &Path, signer: &Signer, provider: &CryptoProvider) -> bool {
    let marked = fs::read_to_string(directory.join(MARKER)).unwrap_or_default();
    let own = fingerprint(signer, provider);
    own.is_ok_and(|own| marked.lines().any(|line| line == own))
}

fn fingerprint(signer: &Signer, provider: &CryptoProvider) -> Result<String, NoSha256> {
    let sha256 = Sha256::of_provider(provider)?;
    Ok(signer.certificate().fingerprint(&sha256).to_string())
}

/// Signs a root of the trust domain.
pub(crate) fn sign_root(
    trust_domain: &TrustDomain,
    key: Arc<SigningKey>,
    provider: &CryptoProvider,
) -> Result<Signer, Failure> {
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

/// The files that keep a root, in the order in which they are written.
///
/// One that follows `old` is marked before it is there, and `old` until it is: whenever writing ends, the
/// root that is there is one that was made here, and is renewed again.
fn of_root(
    root: &Signer,
    old: Option<&Signer>,
    provider: &CryptoProvider,
) -> Result<Vec<(&'static str, String)>, Failure> {
    let certificate = pem::encode_certificates([root.certificate()]);
    let own = fingerprint(root, provider)?;
    let mut files = Vec::new();
    if let Some(old) = old {
        let old = fingerprint(old, provider)?;
        files.push((MARKER, format!("{old}\n{own}")));
    }
    files.extend([
        ("ca-key.pem", root.key().to_pem()),
        ("root-cert.pem", certificate.clone()),
        ("ca-cert.pem", certificate),
        (MARKER, own),
    ]);
    Ok(files)
}

/// Keeps files: each is written beside the old one and renamed over it.
fn write(directory: &Path, files: &[(&str, String)]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> Arc<CryptoProvider> {
        Arc::new(rustls::crypto::aws_lc_rs::default_provider())
    }

    fn open(directory: &Path) -> Result<MeshAuthority, Failure> {
        MeshAuthority::open(directory, "mesh".parse().unwrap(), provider())
    }

    #[test]
    fn no_root_is_made_beside_a_file_of_an_authority() {
        for name in FILES {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join(name);
            fs::write(&file, "of somebody").unwrap();
            assert!(open(directory.path()).is_err(), "{name}");
            assert_eq!(fs::read(&file).unwrap(), b"of somebody", "{name}");
            let files = fs::read_dir(directory.path()).unwrap();
            assert_eq!(files.count(), 1, "{name}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_not_missing() {
        let directory = tempfile::tempdir().unwrap();
        open(directory.path()).unwrap();
        let key = fs::read(directory.path().join("ca-key.pem")).unwrap();
        let certificate = directory.path().join("ca-cert.pem");
        fs::remove_file(&certificate).unwrap();
        // Reading it fails, and not because it is not there.
        fs::create_dir(&certificate).unwrap();
        let error = open(directory.path()).err().unwrap().to_string();
        assert!(error.contains("ca-cert.pem` cannot be read"), "{error}");
        assert_eq!(fs::read(directory.path().join("ca-key.pem")).unwrap(), key);
    }

    #[test]
    fn a_renewal_that_is_broken_off_anywhere_is_followed_by_the_next() {
        let always = RootRenewal {
            grace: 1.0,
            ..RootRenewal::default()
        };
        for written in 0..=5 {
            let directory = tempfile::tempdir().unwrap();
            let authority = open(directory.path()).unwrap();
            let old = Arc::clone(authority.issuer().load().signer());
            let domain = "mesh".parse().unwrap();
            let next = sign_root(&domain, Arc::clone(old.key()), &provider()).unwrap();
            let files = of_root(&next, Some(&old), &provider()).unwrap();
            write(directory.path(), &files[..written]).unwrap();

            let authority = open(directory.path()).unwrap();
            let found = authority.issuer().load().signer().certificate().clone();
            authority.renew(always).unwrap();
            let authority = open(directory.path()).unwrap();
            let renewed = authority.issuer().load().signer().certificate().clone();
            assert_ne!(renewed, found, "after {written} files");
        }
    }
}
