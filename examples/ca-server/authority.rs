//! The authority: its files, and the renewal of its root.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mesh_core::identity::TrustDomain;
use mesh_core::watch::{self, Publisher, Watch};
use mesh_tls::ca::files::CaFiles;
use mesh_tls::ca::root::{RootRenewal, RootSpec};
use mesh_tls::ca::{Authority, Issuer, SerialNumber, Signer};
use mesh_tls::csr::KeyKind;
use mesh_tls::key::SigningKey;
use mesh_tls::verify::Revocations;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::UnixTime;
use tokio::time::sleep;

use crate::{overlap, state};

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

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
    /// Reads the authority, or makes a root if the directory has none of an authority's files. If that was
    /// broken off before, it is gone on with, and so is the replacement of one root by another. A root that
    /// was made here and expired meanwhile is renewed.
    pub(crate) fn open(
        directory: &Path,
        trust_domain: TrustDomain,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, Failure> {
        state::complete(directory, &provider)?;
        if state::is_empty(directory)? {
            let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256)?);
            let root = sign_root(&trust_domain, key, &provider)?;
            state::create(directory, &root, &provider)?;
        }
        let now = UnixTime::now();
        if let Some(old) = state::expired(directory, now, &provider)? {
            let root = sign_root(&trust_domain, Arc::clone(old.key()), &provider)?;
            state::renew(directory, &root, &old, &provider)?;
        }
        let files = state::read(directory)?;
        let signer = Arc::new(files.signer(now, &provider)?);
        let lists = Revocations::new(files.revocation_lists()?)?;
        let authority = overlap::load(directory, signer, now, &provider)?;
        keep_overlap(directory, &authority);
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
        let files = state::read(&self.directory)?;
        let mut known = lock(&self.files);
        if *known == files {
            return Ok(());
        }
        let lists = Revocations::new(files.revocation_lists()?)?;
        // Who truncates a file before writing it must not let the revoked in meanwhile.
        if lists.is_empty() && !self.revocations.watch().load().is_empty() {
            return Err("`ca-crl.pem` has no list any more: those of before count on".into());
        }
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

    /// Renews the root if it was made here, is due and is not to be followed by another, whose files are in
    /// its place.
    pub(crate) fn renew(&self, renewal: RootRenewal) -> Result<(), Failure> {
        if lock(&self.authority).next().is_some() {
            return Ok(());
        }
        let signer = Arc::clone(self.issuer.load().signer());
        let validity = signer.certificate().validity();
        if !state::is_self_made(&self.directory, &signer, &self.provider)
            || !renewal.is_due(validity, UnixTime::now())
        {
            return Ok(());
        }
        let key = Arc::clone(signer.key());
        let root = sign_root(&self.trust_domain, key, &self.provider)?;
        state::renew(&self.directory, &root, &signer, &self.provider)?;
        self.reload()
    }

    /// Lets `next` follow, and tells workloads of its root at once.
    pub(crate) fn replace(&self, next: Signer) {
        let mut authority = lock(&self.authority);
        authority.replace(Arc::new(next), UnixTime::now());
        self.changed(&authority);
    }

    /// Does what is due.
    pub(crate) fn advance(&self) {
        let mut authority = lock(&self.authority);
        while authority.advance(UnixTime::now()).is_some() {
            self.changed(&authority);
        }
    }

    /// Keeps and publishes what has changed.
    fn changed(&self, authority: &Authority) {
        keep_overlap(&self.directory, authority);
        self.publisher.publish(authority.issuer());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn keep_overlap(directory: &Path, authority: &Authority) {
    let kept = overlap::save(directory, authority);
    report("what a restart needs to know is not kept", kept);
}

fn report(what: &str, done: Result<(), Failure>) {
    if let Err(error) = done {
        eprintln!("{what}: {error}");
    }
}

/// Whether both sign by the same certificate, below the same roots.
pub(crate) fn is_same(one: &Signer, other: &Signer) -> bool {
    one.certificate() == other.certificate()
        && one.intermediates() == other.intermediates()
        && one.roots() == other.roots()
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
