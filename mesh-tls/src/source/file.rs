//! An identity in files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mesh_core::identity::TrustDomain;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use rustls::crypto::CryptoProvider;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::SvidSource;
use crate::resolve::Identity;
use crate::svid::{SvidError, X509Svid};
use crate::trust_bundle::{TrustBundle, TrustBundleError, TrustBundles};
use crate::verify::{Revocations, RootsError};

/// How long after a change the files are read: whoever writes one may not be done.
const SETTLING: Duration = Duration::from_millis(100);

/// How often a directory is looked for that is not there to be watched.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// The names of the files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileNames {
    /// The certificates, the leaf first. Default: `cert-chain.pem`, Istio's.
    pub chain: PathBuf,
    /// The private key. Default: `key.pem`.
    pub key: PathBuf,
    /// The roots of the own trust domain. Default: `root-cert.pem`.
    pub roots: PathBuf,
    /// What they have revoked; nothing, if there is no such file, or it was always empty. What was read last
    /// counts on while it cannot be read. Default: `ca-crl.pem`.
    pub revocations: PathBuf,
}

impl Default for FileNames {
    fn default() -> Self {
        Self {
            chain: "cert-chain.pem".into(),
            key: "key.pem".into(),
            roots: "root-cert.pem".into(),
            revocations: "ca-crl.pem".into(),
        }
    }
}

/// Reads an identity from a directory, and watches it.
///
/// The directory is watched, not the files in it: Kubernetes replaces a symbolic link beside them,
/// and other tools rename new files over old ones. While files do not fit together, because only
/// one of them was replaced yet, the fetch fails and the old identity stays. So it does while
/// there is nothing in the file of roots: whoever writes one begins with an empty file, and nobody would be
/// trusted. A tenth of a second after a change they are read.
///
/// Revocation lists are no reason to let an identity expire. While there are none any more in their file, or
/// it cannot be read, the last ones count beside the other files as they are, and
/// [`problem`](SvidSource::problem) says so. Whoever revokes nothing any more removes the file.
///
/// Each fetch watches the directory that has the name by then, before it reads. So one that is removed,
/// renamed or replaced is followed: that is a change as any other, and as long as there is none of the
/// name, it is looked for every five seconds.
#[derive(Debug)]
pub struct FileSource {
    directory: PathBuf,
    names: FileNames,
    aliases: Vec<TrustDomain>,
    provider: Arc<CryptoProvider>,
    changed: Arc<Notify>,
    watcher: Arc<Mutex<RecommendedWatcher>>,
    is_watched: bool,
    /// Whether there was a change that is not told yet.
    is_settling: bool,
    /// Those of the last fetch.
    last_revocations: Revocations,
    /// Why these count on.
    problem: Option<FileSourceError>,
}

impl FileSource {
    /// Reads from `directory`.
    ///
    /// # Errors
    ///
    /// When the directory cannot be watched.
    pub fn new(
        directory: impl Into<PathBuf>,
        names: FileNames,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, FileSourceError> {
        let directory = directory.into();
        let changed = Arc::new(Notify::new());
        let signal = Arc::clone(&changed);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if may_be_change(&event) {
                signal.notify_one();
            }
        });
        let watched = watcher.and_then(|mut watcher| {
            watcher.watch(&directory, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        let watcher = watched.map_err(|source| FileSourceError::Watch {
            directory: directory.clone(),
            source,
        })?;
        Ok(Self {
            directory,
            names,
            aliases: Vec::new(),
            provider,
            changed,
            watcher: Arc::new(Mutex::new(watcher)),
            is_watched: true,
            is_settling: false,
            last_revocations: Revocations::default(),
            problem: None,
        })
    }

    /// Believes the roots about another trust domain too (`meshConfig.trustDomainAliases`).
    #[must_use]
    pub fn with_alias(mut self, alias: TrustDomain) -> Self {
        self.aliases.push(alias);
        self
    }

    /// Watches the directory that has the name now.
    async fn watch(&mut self) {
        let (watcher, directory) = (Arc::clone(&self.watcher), self.directory.clone());
        let watched = tokio::task::spawn_blocking(move || {
            let mut watcher = watcher.lock().unwrap_or_else(PoisonError::into_inner);
            watcher.watch(&directory, RecursiveMode::NonRecursive)
        });
        self.is_watched = watched.await.is_ok_and(|watched| watched.is_ok());
    }

    async fn read(&self, name: &Path) -> Result<Vec<u8>, FileSourceError> {
        let path = self.directory.join(name);
        let content = tokio::task::spawn_blocking(move || match std::fs::read(&path) {
            Ok(content) => Ok(content),
            Err(source) => Err(FileSourceError::Read { path, source }),
        });
        content
            .await
            .unwrap_or_else(|_| Err(FileSourceError::Stopped))
    }

    fn empty(&self, name: &Path) -> FileSourceError {
        let path = self.directory.join(name);
        FileSourceError::Empty { path }
    }

    /// The lists of now, or the last ones, if there were any, with the reason.
    async fn revocations(&self) -> Result<(Revocations, Option<FileSourceError>), FileSourceError> {
        match self.read_revocations().await {
            Ok(lists) => Ok((lists, None)),
            Err(error) if self.last_revocations.is_empty() => Err(error),
            Err(error) => Ok((self.last_revocations.clone(), Some(error))),
        }
    }

    async fn read_revocations(&self) -> Result<Revocations, FileSourceError> {
        match self.read(&self.names.revocations).await {
            Ok(text) if !text.trim_ascii().is_empty() => Ok(Revocations::from_pem(&text)?),
            Ok(_) if !self.last_revocations.is_empty() => Err(self.empty(&self.names.revocations)),
            Ok(_) => Ok(Revocations::default()),
            Err(FileSourceError::Read { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Ok(Revocations::default())
            }
            Err(error) => Err(error),
        }
    }
}

impl SvidSource for FileSource {
    type Error = FileSourceError;

    async fn fetch(&mut self) -> Result<Identity, FileSourceError> {
        self.problem = None;
        self.watch().await;
        let chain = self.read(&self.names.chain).await?;
        let key = self.read(&self.names.key).await?;
        let roots = self.read(&self.names.roots).await?;
        if roots.trim_ascii().is_empty() {
            return Err(self.empty(&self.names.roots));
        }
        let svid = X509Svid::from_pem(&chain, &key, &self.provider)?;
        let domain = svid.id().trust_domain();
        let mut bundles = TrustBundles::default();
        let bundle = TrustBundle::from_pem(domain.clone(), &roots)?;
        let (revocations, problem) = self.revocations().await?;
        self.last_revocations = revocations.clone();
        self.problem = problem;
        bundles.insert(bundle.with_revocations(revocations));
        for alias in &self.aliases {
            bundles.alias(&domain, alias.clone());
        }
        Ok(Identity { svid, bundles })
    }

    /// Why the revocation lists are not those of now.
    fn problem(&self) -> Option<&FileSourceError> {
        self.problem.as_ref()
    }

    async fn changed(&mut self) {
        if !self.is_settling {
            let changed = self.changed.notified();
            if self.is_watched {
                changed.await;
            } else if timeout(LOOK_INTERVAL, changed).await.is_err() {
                // The next fetch says what there is.
                return;
            }
        }
        // Told by the next call, if this one is dropped meanwhile.
        self.is_settling = true;
        sleep(SETTLING).await;
        self.is_settling = false;
    }
}

/// Whether the files may be others after `event`. Reading them is an event too, and no change. A watcher
/// that fails may have missed one.
fn may_be_change(event: &notify::Result<notify::Event>) -> bool {
    event.as_ref().map_or(true, |event| !event.kind.is_access())
}

/// Why there is no identity in a directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileSourceError {
    /// There is nothing in a file that has to hold something, perhaps not yet.
    #[error("`{}` is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be read.
    #[error("`{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The revocation lists are none.
    #[error("revocation lists")]
    Revocations(#[from] RootsError),
    /// The roots are none.
    #[error("roots")]
    Roots(#[from] TrustBundleError),
    /// The runtime is shutting down.
    #[error("the runtime is shutting down")]
    Stopped,
    /// Certificates and key are no SVID.
    #[error("certificates or key")]
    Svid(#[from] SvidError),
    /// The directory cannot be watched.
    #[error("`{}` cannot be watched", directory.display())]
    Watch {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: notify::Error,
    },
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind};
    use notify::{Event, EventKind};
    use tempfile::TempDir;
    use tokio::time::Instant;

    use super::*;
    use crate::pem;
    use crate::testing::{Authority, provider};

    /// Writes a new identity for `path`.
    fn write(directory: &Path, path: &str) {
        std::fs::create_dir_all(directory).unwrap();
        let authority = Authority::new("td");
        let svid = authority.svid(path);
        let names = FileNames::default();
        let key = pem::encode("PRIVATE KEY", svid.private_key().secret_der());
        let roots = pem::encode_certificates([&authority.certificate()]);
        let chain = pem::encode_certificates(svid.chain());
        for (name, text) in [(names.key, key), (names.roots, roots), (names.chain, chain)] {
            std::fs::write(directory.join(name), text).unwrap();
        }
    }

    fn source(directory: &Path) -> FileSource {
        FileSource::new(directory, FileNames::default(), provider()).unwrap()
    }

    /// Waits until the changes so far have been told.
    async fn until_it_is_quiet(source: &mut FileSource) {
        while timeout(Duration::from_millis(200), source.changed())
            .await
            .is_ok()
        {}
    }

    #[tokio::test]
    async fn a_directory_that_is_replaced_is_watched_in_its_place() {
        let above = TempDir::new().unwrap();
        let [directory, old, new] = ["certs", "old", "new"].map(|name| above.path().join(name));
        write(&directory, "/a");
        let mut source = source(&directory);
        write(&new, "/b");
        let rename = || {
            std::fs::rename(&directory, &old).unwrap();
            std::fs::rename(&new, &directory).unwrap();
        };
        let remove = || {
            std::fs::remove_dir_all(&directory).unwrap();
            write(&directory, "/b");
        };
        for replace in [&rename as &dyn Fn(), &remove] {
            replace();
            // Bounded, should no event come.
            let changed = timeout(Duration::from_secs(30), source.changed());
            changed.await.expect("that it was replaced is a change");
            until_it_is_quiet(&mut source).await;
            assert_eq!(source.fetch().await.unwrap().svid.id().path(), "/b");
            write(&directory, "/c");
            let changed = timeout(Duration::from_secs(30), source.changed());
            changed.await.expect("the new directory is watched");
            assert_eq!(source.fetch().await.unwrap().svid.id().path(), "/c");
            until_it_is_quiet(&mut source).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_directory_that_is_not_there_is_looked_for() {
        let above = TempDir::new().unwrap();
        let directory = above.path().join("certs");
        write(&directory, "/a");
        let mut source = source(&directory);
        std::fs::remove_dir_all(&directory).unwrap();
        let error = source.fetch().await.unwrap_err();
        assert!(matches!(error, FileSourceError::Read { .. }), "{error}");
        // The changes so far.
        source.changed().await;
        write(&directory, "/b");
        let start = Instant::now();
        let changed = timeout(2 * LOOK_INTERVAL, source.changed());
        changed.await.expect("it is looked for");
        assert!(start.elapsed() <= LOOK_INTERVAL);
        assert_eq!(source.fetch().await.unwrap().svid.id().path(), "/b");
        assert!(source.is_watched);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_when_whoever_writes_has_had_a_moment() {
        let directory = TempDir::new().unwrap();
        write(directory.path(), "/a");
        let mut source = source(directory.path());
        let start = Instant::now();
        source.changed.notify_one();
        let early = timeout(SETTLING / 2, source.changed()).await;
        assert!(early.is_err(), "it is not told at once");
        source.changed().await;
        assert!(start.elapsed() >= SETTLING, "{:?}", start.elapsed());
        let again = timeout(2 * SETTLING, source.changed()).await;
        assert!(again.is_err(), "and told once");
    }

    #[test]
    fn what_a_watcher_may_have_missed_is_a_change_and_reading_is_none() {
        let cases = [
            (Ok(Event::new(EventKind::Access(AccessKind::Any))), false),
            (Ok(Event::new(EventKind::Create(CreateKind::File))), true),
            (Err(notify::Error::generic("it is broken")), true),
        ];
        for (event, expected) in cases {
            assert_eq!(may_be_change(&event), expected, "{event:?}");
        }
    }
}
