//! Whom a verifier believes.

use mesh_core::watch::Watch;

use super::{Anchors, Revocations, Roots, VerifyError};
use crate::secret::TlsSecret;
use crate::trust_bundle::TrustBundles;

/// Whom a verifier believes.
#[derive(Clone, Debug)]
pub(super) enum Trust {
    Anybody,
    Bundles(Watch<TrustBundles>),
    Roots(Watch<Roots>),
    Secrets(SecretRoots),
}

/// Authorities in secrets, which may come and go.
#[derive(Clone, Debug)]
pub struct SecretRoots {
    roots: Vec<Watch<Option<TlsSecret>>>,
    revocations: Option<Watch<Option<TlsSecret>>>,
}

impl SecretRoots {
    /// The authorities of the first of these secrets that has any, with the revocation lists that
    /// are beside them. Nobody is believed while there are none.
    pub fn new(secrets: impl IntoIterator<Item = Watch<Option<TlsSecret>>>) -> Self {
        Self {
            roots: secrets.into_iter().collect(),
            revocations: None,
        }
    }

    /// Takes the revocation lists from this secret. Nobody is believed while it has none.
    #[must_use]
    pub fn with_revocations(mut self, secret: Watch<Option<TlsSecret>>) -> Self {
        self.revocations = Some(secret);
        self
    }

    pub(super) fn load(&self) -> Result<(Roots, Option<Revocations>), VerifyError> {
        let found = self.roots.iter().find_map(|secret| {
            let secret = secret.load();
            let secret = Option::as_ref(&secret)?;
            Some((secret.roots()?.clone(), secret.revocations().cloned()))
        });
        let (roots, beside) = found.unwrap_or_default();
        let Some(secret) = &self.revocations else {
            return Ok((roots, beside));
        };
        let secret = secret.load();
        let lists = Option::as_ref(&secret).and_then(TlsSecret::revocations);
        let lists = lists.ok_or(VerifyError::RevocationUnknown)?;
        Ok((roots, Some(lists.clone())))
    }
}

/// The authorities of one handshake.
pub(super) struct Trusted<'a> {
    pub(super) anchors: &'a Anchors,
    pub(super) revocations: Option<&'a Revocations>,
}
