//! Certificates of secrets, chosen at each handshake.

use std::sync::Arc;

use mesh_core::watch::Watch;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureAlgorithm, SignatureScheme, SupportedCipherSuite};

use crate::certificate::Certificate;
use crate::resolve::LiveIdentity;
use crate::secret::TlsSecret;
use crate::server_names::ServerNames;

/// The certificates of one or two secrets, of which one is chosen that the other end can verify: an
/// RSA and an ECDSA certificate for one name serve clients of either.
#[derive(Clone, Debug)]
pub(super) struct SecretCertificates {
    secrets: Vec<Watch<Option<TlsSecret>>>,
    /// The cipher suites of the configuration. Those of TLS 1.2 are for one kind of key only. Clients,
    /// which have no choice by them, need none.
    suites: Arc<[SupportedCipherSuite]>,
}

impl SecretCertificates {
    pub(super) fn new(
        secrets: Vec<Watch<Option<TlsSecret>>>,
        suites: Arc<[SupportedCipherSuite]>,
    ) -> Self {
        Self { secrets, suites }
    }

    fn first(&self) -> Option<Certificate> {
        self.secrets.iter().find_map(|secret| {
            let secret = secret.load();
            let credential = Option::as_ref(&secret)?.credential()?;
            Some(credential.leaf().clone())
        })
    }

    fn choose(&self, is_usable: impl Fn(&CertifiedKey) -> bool) -> Option<Arc<CertifiedKey>> {
        let current = self.secrets.iter().filter_map(|secret| {
            let secret = secret.load();
            let credential = Option::as_ref(&secret)?.credential()?;
            Some(Arc::clone(credential.certified_key()))
        });
        let mut usable = current.filter(|key| is_usable(key));
        let first = usable.next()?;
        // Signing with ECDSA costs a server a tenth of what RSA does.
        let is_ecdsa = |key: &CertifiedKey| key.key.algorithm() == SignatureAlgorithm::ECDSA;
        if is_ecdsa(&first) {
            return Some(first);
        }
        usable.find(|key| is_ecdsa(key)).or(Some(first))
    }

    fn choose_for(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let offered = hello.cipher_suites();
        self.choose(|key| {
            let kind = key.key.algorithm();
            let mut common = self
                .suites
                .iter()
                .filter(|suite| offered.contains(&suite.suite()));
            let has_suite = common.any(|suite| suite.usable_for_signature_algorithm(kind));
            has_suite && key.key.choose_scheme(hello.signature_schemes()).is_some()
        })
    }
}

/// What the other end is shown.
#[derive(Clone, Debug)]
pub(super) enum Own {
    Identity(LiveIdentity),
    Nothing,
    Secrets(SecretCertificates),
}

impl Own {
    /// The first of the certificates of now.
    pub(super) fn certificate(&self) -> Option<Certificate> {
        match self {
            Self::Identity(live) => Some(live.svid()?.leaf().clone()),
            Self::Nothing => None,
            Self::Secrets(certificates) => certificates.first(),
        }
    }

    pub(super) fn of_server(&self) -> Arc<dyn ResolvesServerCert> {
        match self {
            Self::Identity(live) => live.resolver(),
            Self::Nothing => Arc::new(SecretCertificates::new(Vec::new(), Arc::default())),
            Self::Secrets(certificates) => Arc::new(certificates.clone()),
        }
    }

    pub(super) fn of_client(&self) -> Option<Arc<dyn ResolvesClientCert>> {
        match self {
            Self::Identity(live) => Some(live.resolver()),
            Self::Nothing => None,
            Self::Secrets(certificates) => Some(Arc::new(certificates.clone())),
        }
    }
}

/// Certificates by server name, for one rustls configuration that serves many hosts. Cheap to
/// clone; certificates are live.
///
/// ```
/// use mesh_tls::config::SniCertificates;
/// use mesh_tls::secret_store::SecretStore;
///
/// let store = SecretStore::default();
/// let [shop, rest] = ["shop", "wildcard"].map(|name| store.watch(&name.parse().unwrap()));
/// let names = [("shop.example", vec![shop]), ("*.example", vec![rest])];
/// let provider = rustls::crypto::aws_lc_rs::default_provider();
/// let certificates = SniCertificates::new(&provider, names);
/// assert_eq!(certificates.len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct SniCertificates {
    names: Arc<ServerNames<SecretCertificates>>,
}

impl SniCertificates {
    /// Names with the secrets of their certificates: one of RSA and one of ECDSA, say. `provider` is that of
    /// the configuration: of two, a client of TLS 1.2 gets one that a cipher suite of both sides is for.
    pub fn new<'a>(
        provider: &CryptoProvider,
        names: impl IntoIterator<Item = (&'a str, Vec<Watch<Option<TlsSecret>>>)>,
    ) -> Self {
        let suites: Arc<[_]> = provider.cipher_suites.as_slice().into();
        let names = names.into_iter().map(|(name, secrets)| {
            let certificates = SecretCertificates::new(secrets, Arc::clone(&suites));
            (name, certificates)
        });
        Self {
            names: Arc::new(names.collect()),
        }
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no name, so that every handshake fails.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

impl ResolvesServerCert for SniCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.names.get(hello.server_name())?;
        certificates.choose_for(&hello)
    }
}

impl ResolvesServerCert for SecretCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose_for(&hello)
    }
}

impl ResolvesClientCert for SecretCertificates {
    fn resolve(
        &self,
        _authorities: &[&[u8]],
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.choose(|key| key.key.choose_scheme(schemes).is_some())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
