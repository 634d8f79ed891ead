//! What the other end of a connection has to prove.

use std::sync::Arc;

use mesh_core::identity::{SpiffeId, TrustDomains};
use mesh_core::watch::Watch;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::known::KnownChains;
use super::presented::{Presented, When};
use super::refusals::Refusals;
use super::trust::{SecretRoots, Trust, Trusted};
use super::{
    ClientVerifier, ExpectedNames, Pins, Revocations, Roots, SanList, ServerVerifier, VerifyError,
};
use crate::certificate::Certificate;
use crate::digest::{NoSha256, Sha256};
use crate::secret::TlsSecret;
use crate::svid::validate_chain;
use crate::trust_bundle::{ExtraAuthorities, TrustBundles};

/// Which side of TLS a certificate was presented on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// The client's.
    Client,
    /// The server's.
    Server,
}

/// Whom to believe, and what the other end has to prove. Cheap to clone.
///
/// See the [module docs](super) for the rules and an example.
#[derive(Clone, Debug)]
pub struct PeerVerifier {
    provider: Arc<CryptoProvider>,
    pub(super) sha256: Sha256,
    pub(super) trust: Trust,
    pub(super) names: ExpectedNames,
    pub(super) domains: Option<Arc<TrustDomains>>,
    pub(super) is_limited_to_domains: bool,
    pub(super) extra: Arc<ExtraAuthorities>,
    has_claimed_identities: bool,
    pins: Arc<Pins>,
    revocations: Option<Watch<Revocations>>,
    more_revocations: Option<Watch<Option<TlsSecret>>>,
    pub(super) known: Arc<KnownChains>,
    refusals: Arc<Refusals>,
}

/// What a peer has proven.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct VerifiedPeer {
    /// Its identity, if it was verified as one of SPIFFE, or claimed where claims are taken
    /// ([`PeerVerifier::with_claimed_identities`]).
    pub id: Option<SpiffeId>,
}

impl PeerVerifier {
    /// Believes the authorities of a trust domain about that trust domain, and demands an X509-SVID.
    ///
    /// Pass a [`Watch`] to replace the bundles: each handshake uses those that are current.
    ///
    /// # Errors
    ///
    /// When the provider has no SHA-256.
    pub fn spiffe(
        bundles: impl Into<Watch<TrustBundles>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, NoSha256> {
        Self::new(Trust::Bundles(bundles.into()), provider)
    }

    /// Believes authorities about anybody. Add [`with_names`](Self::with_names), or every
    /// certificate that they ever signed is accepted.
    ///
    /// Pass a [`Watch`] to replace the authorities: each handshake uses those that are current.
    ///
    /// # Errors
    ///
    /// When the provider has no SHA-256.
    pub fn roots(
        roots: impl Into<Watch<Roots>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, NoSha256> {
        Self::new(Trust::Roots(roots.into()), provider)
    }

    /// Believes the authorities of secrets about anybody, as [`roots`](Self::roots) does.
    ///
    /// # Errors
    ///
    /// When the provider has no SHA-256.
    pub fn secret_roots(
        secrets: SecretRoots,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, NoSha256> {
        Self::new(Trust::Secrets(secrets), provider)
    }

    /// Believes everybody: `insecureSkipVerify`. Only pins are checked, and that the other end has
    /// the key of the certificate that it presents.
    ///
    /// # Errors
    ///
    /// When the provider has no SHA-256.
    pub fn dangerous_insecure_skip_verify(provider: Arc<CryptoProvider>) -> Result<Self, NoSha256> {
        Self::new(Trust::Anybody, provider)
    }

    fn new(trust: Trust, provider: Arc<CryptoProvider>) -> Result<Self, NoSha256> {
        Ok(Self {
            sha256: Sha256::of_provider(&provider)?,
            provider,
            trust,
            names: ExpectedNames::Any,
            domains: None,
            is_limited_to_domains: false,
            extra: Arc::default(),
            has_claimed_identities: false,
            pins: Arc::default(),
            revocations: None,
            more_revocations: None,
            known: Arc::default(),
            refusals: Arc::default(),
        })
    }

    /// Demands names. Default: any.
    #[must_use]
    pub fn with_names(self, names: ExpectedNames) -> Self {
        Self { names, ..self }
    }

    /// Demands a SPIFFE ID of these trust domains, and believes the authorities of the local one
    /// about those of its aliases that have no bundle. Default: any that there is a bundle of.
    #[must_use]
    pub fn with_trust_domains(self, domains: impl Into<Arc<TrustDomains>>) -> Self {
        Self {
            is_limited_to_domains: true,
            ..self.with_aliases(domains)
        }
    }

    /// Believes the authorities of the local trust domain about those of its aliases that have no
    /// bundle. Default: no aliases.
    #[must_use]
    pub fn with_aliases(self, domains: impl Into<Arc<TrustDomains>>) -> Self {
        let domains = Some(domains.into());
        Self { domains, ..self }
    }

    /// Believes these authorities beside those of the bundles, and accepts the trust domains that they
    /// are named for. Default: none.
    #[must_use]
    pub fn with_extra_authorities(self, extra: impl Into<Arc<ExtraAuthorities>>) -> Self {
        let extra = extra.into();
        Self { extra, ..self }
    }

    /// Demands one of these names.
    #[must_use]
    pub fn with_subject_alt_names(self, names: SanList) -> Self {
        self.with_names(ExpectedNames::OneOf(names))
    }

    /// Demands that the certificate or its key is pinned, unless there are no pins. Default: none.
    #[must_use]
    pub fn with_pins(self, pins: Pins) -> Self {
        let pins = Arc::new(pins);
        Self { pins, ..self }
    }

    /// Refuses what is revoked. Default: what the [bundle](crate::trust_bundle::TrustBundle::revocations)
    /// of the trust domain, or the secret of the authorities, says is; else nothing.
    #[must_use]
    pub fn with_revocations(self, revocations: impl Into<Watch<Revocations>>) -> Self {
        Self {
            revocations: Some(revocations.into()),
            ..self
        }
    }

    /// Refuses what the lists of this secret revoke, too, and everybody while it has none. For peers that
    /// are believed by their trust domains.
    pub(crate) fn with_more_revocations(self, secret: Watch<Option<TlsSecret>>) -> Self {
        Self {
            more_revocations: Some(secret),
            ..self
        }
    }

    /// Takes the SPIFFE ID in a certificate of authorities that are believed about anybody for the
    /// identity of the peer, as Envoy does. Default: such certificates have no identity.
    ///
    /// Any of these authorities can then name any workload of any trust domain. Identities of
    /// [`spiffe`](Self::spiffe) are not affected.
    #[must_use]
    pub fn with_claimed_identities(self) -> Self {
        Self {
            has_claimed_identities: true,
            ..self
        }
    }

    /// Whether the identities of peers are claimed: by authorities that are believed about anybody,
    /// rather than by those of their trust domains.
    pub fn takes_claimed_identities(&self) -> bool {
        let is_of_anybody = matches!(self.trust, Trust::Roots(_) | Trust::Secrets(_));
        is_of_anybody && self.has_claimed_identities
    }

    /// The identity in a certificate of an authority that is believed about anybody.
    pub(super) fn claimed_identity(&self, leaf: &Certificate) -> Option<SpiffeId> {
        let is_taken = self.takes_claimed_identities();
        is_taken.then(|| validate_chain(std::slice::from_ref(leaf)).ok())?
    }

    /// Whether everybody is believed, so that what a certificate says proves nothing.
    pub fn is_insecure(&self) -> bool {
        matches!(self.trust, Trust::Anybody)
    }

    /// The cryptography that is used.
    pub fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }

    /// A rustls verifier of servers. rustls does not ask it about a session that is resumed: set
    /// [`Resumption::disabled`](rustls::client::Resumption::disabled) beside it, as
    /// [`LiveIdentity::client_config`](crate::resolve::LiveIdentity::client_config) does, unless nothing
    /// that it verifies by can change.
    pub fn server_verifier(&self) -> Arc<ServerVerifier> {
        Arc::new(ServerVerifier::new(self.clone()))
    }

    /// A rustls verifier of clients, who all have to present a certificate. rustls does not ask it about
    /// a session that is resumed: set
    /// [`NoServerSessionStorage`](rustls::server::NoServerSessionStorage) and no ticketer beside it, as
    /// [`LiveIdentity::server_config`](crate::resolve::LiveIdentity::server_config) does, or clients whose
    /// certificates have expired or are revoked get in by the sessions that they had.
    pub fn client_verifier(&self) -> Arc<ClientVerifier> {
        Arc::new(ClientVerifier::new(self.clone()))
    }

    /// Verifies the certificates that a peer presented, the leaf first. Where the server's name is
    /// expected, use [`verify_server`](Self::verify_server).
    ///
    /// # Errors
    ///
    /// Says what the peer did not prove.
    pub fn verify(
        &self,
        chain: &[CertificateDer<'_>],
        purpose: Purpose,
        now: UnixTime,
    ) -> Result<VerifiedPeer, VerifyError> {
        let (leaf, signers) = chain.split_first().ok_or(VerifyError::NoCertificate)?;
        let presented = Presented { leaf, signers };
        self.verify_presented(&presented, purpose, None, When::of_handshake(now))
    }

    /// Verifies the certificates that the server called `name` presented, the leaf first.
    ///
    /// # Errors
    ///
    /// Says what the server did not prove.
    pub fn verify_server(
        &self,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<VerifiedPeer, VerifyError> {
        let (leaf, signers) = chain.split_first().ok_or(VerifyError::NoCertificate)?;
        let presented = Presented { leaf, signers };
        let when = When::of_handshake(now);
        self.verify_presented(&presented, Purpose::Server, Some(name), when)
    }

    /// Verifies certificates that were accepted at `at`, with what is known now. An authority counts then
    /// though it says that it does only since: it was renewed with its key.
    pub(crate) fn recheck(
        &self,
        chain: &[CertificateDer<'_>],
        purpose: Purpose,
        server_name: Option<&ServerName<'_>>,
        at: UnixTime,
    ) -> Result<VerifiedPeer, VerifyError> {
        let (leaf, signers) = chain.split_first().ok_or(VerifyError::NoCertificate)?;
        let presented = Presented { leaf, signers };
        let when = When { at, is_over: true };
        self.verify_presented(&presented, purpose, server_name, when)
    }

    pub(super) fn verify_presented(
        &self,
        presented: &Presented<'_>,
        purpose: Purpose,
        server_name: Option<&ServerName<'_>>,
        when: When,
    ) -> Result<VerifiedPeer, VerifyError> {
        let leaf = Certificate::from_der(presented.leaf)?;
        let revocations = self.revocations.as_ref().map(Watch::load);
        let revocations = revocations.as_ref().map(|lists| &***lists);
        let mut proven = None;
        let mut claimed = None;
        match &self.trust {
            Trust::Anybody => {
                self.verify_pins(&leaf)?;
                return Ok(VerifiedPeer { id: None });
            }
            Trust::Bundles(bundles) => {
                let id = validate_chain(std::slice::from_ref(&leaf))?;
                let bundles = bundles.load();
                let bundle = self.bundle_of(&id.trust_domain(), &bundles)?;
                let lists = revocations.unwrap_or_else(|| bundle.revocations());
                let more = self.beside(lists)?;
                let trusted = Trusted {
                    anchors: bundle.anchors(),
                    revocations: more.as_ref().or(Some(lists)),
                };
                self.verify_chain(presented, &trusted, purpose, when)?;
                proven = Some(id);
            }
            Trust::Roots(roots) => {
                let roots = roots.load();
                self.verify_chain(presented, &roots.trusted(revocations), purpose, when)?;
                claimed = self.claimed_identity(&leaf);
            }
            Trust::Secrets(secrets) => {
                let (roots, beside) = secrets.load()?;
                let trusted = roots.trusted(revocations.or(beside.as_ref()));
                self.verify_chain(presented, &trusted, purpose, when)?;
                claimed = self.claimed_identity(&leaf);
            }
        }
        self.verify_names(presented, &leaf, proven.as_ref(), server_name)?;
        self.verify_pins(&leaf)?;
        let id = proven.or(claimed);
        Ok(VerifiedPeer { id })
    }

    /// These lists and [more](Self::with_more_revocations), if there have to be more.
    fn beside(&self, lists: &Revocations) -> Result<Option<Revocations>, VerifyError> {
        let Some(secret) = &self.more_revocations else {
            return Ok(None);
        };
        let secret = secret.load();
        let more = Option::as_ref(&secret).and_then(TlsSecret::revocations);
        let more = more.ok_or(VerifyError::RevocationUnknown)?;
        Ok(Some(lists.merge(more)))
    }

    fn verify_pins(&self, leaf: &Certificate) -> Result<(), VerifyError> {
        if self.pins.is_empty() || self.pins.contains(leaf, &self.sha256) {
            return Ok(());
        }
        Err(VerifyError::NotPinned {
            certificate: leaf.fingerprint(&self.sha256),
            public_key: leaf.public_key_fingerprint(&self.sha256),
        })
    }

    /// Who the authorities are, as long as they never change.
    pub(super) fn root_subjects(&self) -> Vec<rustls::DistinguishedName> {
        match &self.trust {
            Trust::Roots(roots) => roots.load().subjects().to_vec(),
            Trust::Anybody | Trust::Bundles(_) | Trust::Secrets(_) => Vec::new(),
        }
    }

    pub(super) fn record(&self, error: VerifyError) {
        self.refusals.record(error);
    }

    /// What this thread refused last. For whoever drives a connection, right after it has failed
    /// on this thread.
    pub fn take_refusal(&self) -> Option<VerifyError> {
        self.refusals.take()
    }
}
