//! An identity in files.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mesh_core::identity::TrustDomain;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use rustls::crypto::CryptoProvider;
use tokio::sync::Notify;

use super::SvidSource;
use crate::resolve::Identity;
use crate::svid::{SvidError, X509Svid};
use crate::trust_bundle::{TrustBundle, TrustBundleError, TrustBundles};
use crate::verify::{Revocations, RootsError};

/// The names of the files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FileNames {
    /// The certificates, the leaf first. Default: `cert-chain.pem`, Istio's.
    pub chain: PathBuf,
    /// The private key. Default: `key.pem`.
    pub key: PathBuf,
    /// The roots of the own trust domain. Default: `root-cert.pem`.
    pub roots: PathBuf,
    /// What they have revoked; nothing, if there is no such file or it is empty. Default:
    /// `ca-crl.pem`.
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
/// one of them was replaced yet, the fetch fails and the old identity stays.
#[derive(Debug)]
pub struct FileSource {
    directory: PathBuf,
    names: FileNames,
    aliases: Vec<TrustDomain>,
    provider: Arc<CryptoProvider>,
    changed: Arc<Notify>,
    _watcher: RecommendedWatcher,
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
            // Reading the files is an event too, and no change.
            if event.is_ok_and(|event| !event.kind.is_access()) {
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
            _watcher: watcher,
        })
    }

    /// Believes the roots about another trust domain too (`meshConfig.trustDomainAliases`).
    #[must_use]
    pub fn with_alias(mut self, alias: TrustDomain) -> Self {
        self.aliases.push(alias);
        self
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

    async fn revocations(&self) -> Result<Revocations, FileSourceError> {
        match self.read(&self.names.revocations).await {
            Ok(text) if !text.trim_ascii().is_empty() => Ok(Revocations::from_pem(&text)?),
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
        let chain = self.read(&self.names.chain).await?;
        let key = self.read(&self.names.key).await?;
        let roots = self.read(&self.names.roots).await?;
        let svid = X509Svid::from_pem(&chain, &key, &self.provider)?;
        let domain = svid.id().trust_domain();
        let mut bundles = TrustBundles::default();
        let bundle = TrustBundle::from_pem(domain.clone(), &roots)?;
        bundles.insert(bundle.with_revocations(self.revocations().await?));
        for alias in &self.aliases {
            bundles.alias(&domain, alias.clone());
        }
        Ok(Identity { svid, bundles })
    }

    async fn changed(&mut self) {
        self.changed.notified().await;
    }
}

/// Why there is no identity in a directory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileSourceError {
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
