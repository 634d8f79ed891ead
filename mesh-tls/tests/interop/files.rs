//! Certificates and keys in files, where other programs find them.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use tempfile::TempDir;

/// A directory that is removed with this value.
#[derive(Debug)]
pub(crate) struct Files {
    directory: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// The path as the configuration of a program has it.
    pub(crate) fn name(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }

    pub(crate) fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).unwrap()
    }

    pub(crate) fn write(&self, file: &str, content: &str) {
        std::fs::write(self.path(file), content).unwrap();
    }

    /// Writes a chain as `NAME.pem`, and its key as `NAME.key`.
    pub(crate) fn write_credential(&self, name: &str, chain: &str, key: &str) {
        self.write(&format!("{name}.pem"), chain);
        self.write(&format!("{name}.key"), key);
    }
}

/// The cryptography of our side.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
