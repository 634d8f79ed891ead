//! Why TLS settings cannot be enforced.

use std::fmt;

use mesh_core::origin::Origin;

use crate::digest::{NoSha256, ParseDigestError};
use crate::foreign::Foreign;
use crate::secret_store::ParseSecretNameError;

/// All that cannot be enforced of some TLS settings.
#[derive(Clone, Debug)]
pub struct TlsConfigErrors(Vec<TlsConfigError>);

impl TlsConfigErrors {
    /// The errors. At least one.
    pub fn as_slice(&self) -> &[TlsConfigError] {
        &self.0
    }
}

impl fmt::Display for TlsConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{error}  [{}]", error.origin)?;
        }
        Ok(())
    }
}

impl std::error::Error for TlsConfigErrors {}

/// One thing that cannot be enforced.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct TlsConfigError {
    origin: Origin,
    kind: TlsConfigErrorKind,
}

impl TlsConfigError {
    /// Where the settings were written.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What cannot be enforced.
    pub fn kind(&self) -> &TlsConfigErrorKind {
        &self.kind
    }
}

/// What cannot be enforced.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigErrorKind {
    /// None of the cipher suites is spoken here.
    #[error("none of the `cipherSuites` is supported")]
    CipherSuites,
    /// A credential is named in a way that is not known.
    #[error(transparent)]
    CredentialName(#[from] ParseSecretNameError),
    /// A curve is not known here.
    #[error("curve `{name}` is not supported")]
    Curve {
        /// Its name.
        name: String,
    },
    /// Verification is both demanded and skipped.
    #[error("`insecureSkipVerify` contradicts `{field}`")]
    InsecureConflict {
        /// What demands verification.
        field: &'static str,
    },
    /// The settings name no certificate, or no key for it.
    #[error("there is no certificate with a key")]
    NoCertificate,
    /// Mesh mTLS is demanded of a workload without identity.
    #[error("mesh mTLS needs an identity of the mesh, and there is none")]
    NoIdentity,
    /// Clients or servers shall be verified, and nobody is believed.
    #[error("there is no authority to verify the other end by")]
    NoRoots,
    /// The cryptography has no SHA-256.
    #[error(transparent)]
    NoSha256(#[from] NoSha256),
    /// A pin is no digest.
    #[error(transparent)]
    Pin(#[from] ParseDigestError),
    /// The cryptography and the settings have nothing in common.
    #[error("the settings cannot be used with this cryptography")]
    Provider(#[source] rustls::Error),
    /// The server's name is none.
    #[error(transparent)]
    ServerName(#[from] ServerNameError),
    /// No version of TLS is left.
    #[error("no version of TLS between `minProtocolVersion` and `maxProtocolVersion` is supported")]
    Versions,
}

/// Collects errors about settings of one origin.
pub(super) struct Problems {
    origin: Origin,
    errors: Vec<TlsConfigError>,
}

impl Problems {
    pub(super) fn new(origin: &Origin) -> Self {
        Self {
            origin: origin.clone(),
            errors: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, kind: impl Into<TlsConfigErrorKind>) {
        self.errors.push(TlsConfigError {
            origin: self.origin.clone(),
            kind: kind.into(),
        });
    }

    /// Keeps the value, or the reason why there is none.
    pub(super) fn take<T, E: Into<TlsConfigErrorKind>>(
        &mut self,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// The value, if there is one and nothing is wrong.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, TlsConfigErrors> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(TlsConfigErrors(self.errors)),
        }
    }
}

/// Why a server has no name.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerNameError {
    /// The host is no name of a server.
    #[error("`{}` is not the name of a server", Foreign(.host))]
    Invalid {
        /// The host.
        host: String,
    },
    /// Neither the settings nor the request name a server.
    #[error("neither the TLS settings nor the request name the server")]
    Missing,
}
