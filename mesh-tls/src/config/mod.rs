//! rustls configurations from the resolved model.
//!
//! A [`TlsCompiler`] knows what TLS is made of: the cryptography, our identity in the mesh, the
//! secrets that the configuration names. It compiles the TLS of a filter chain into a [`ServerTls`]
//! ([`TlsCompiler::server`]), and that of a cluster into an [`UpstreamTls`]
//! ([`TlsCompiler::upstream`]).
//!
//! What was compiled stays live: certificates, authorities and revocation lists are those that are
//! current at each handshake. What cannot be enforced is refused with its
//! [`Origin`](mesh_core::origin::Origin), all at once, and never weakened. What has no effect, as
//! in Istio, is a [`Notice`](mesh_core::model::Notice).
//!
//! # Differences from Envoy
//!
//! - Versions before TLS 1.2, cipher suites with CBC or without forward secrecy are not spoken. A
//!   server that allows them besides others loses them, with a notice; one that has no others is
//!   refused.
//! - Servers that verify clients do not resume sessions, so that a client is verified on each
//!   connection, by the authorities and revocation lists of then. Nor do clients of the mesh, of
//!   `MUTUAL`, and of `SIMPLE` with authorities or revocation lists that can be replaced. Those of
//!   `SIMPLE` with the system's roots, or without verification, do.
//! - Servers of `ISTIO_MUTUAL` demand what `verifyCertificateSpki` and `verifyCertificateHash` say,
//!   which Istio ignores there.
//! - A server name given as `sni` is also the name that the certificate is verified for, if there
//!   is no list of names. Istio does not verify it then.
//!
//! # Example
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! use mesh_core::model::listener::{self, FilterChain, HttpConnection, NetworkFilter};
//! use mesh_core::resource::istio::gateway::{ServerTlsMode, ServerTlsSettings};
//! use mesh_tls::config::TlsCompiler;
//! use mesh_tls::secret_store::SecretStore;
//!
//! let settings = ServerTlsSettings {
//!     mode: ServerTlsMode::Simple,
//!     credential_name: "shop".into(),
//!     ..ServerTlsSettings::default()
//! };
//! let http = NetworkFilter::Http(HttpConnection::new("https.443"));
//! let mut chain = FilterChain::new(http);
//! chain.tls = Some(listener::ServerTls::Gateway(Box::new(settings)));
//!
//! let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
//! let compiler = TlsCompiler::new(provider, SecretStore::default());
//! let server = compiler.server(&chain)?.expect("TLS ends here");
//! assert!(server.config(&[b"h2"]).alpn_protocols.contains(&b"h2".to_vec()));
//! assert_eq!(compiler.secrets().wanted()[0].to_string(), "kubernetes://shop");
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "tokio")]
mod asked;
mod certificates;
mod client;
mod credential_names;
mod error;
mod host_name;
mod identity;
mod protocol;
mod server;
mod unused;

use std::fmt;
use std::sync::Arc;

use mesh_core::resource::istio::mesh_config::TlsConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};

use crate::drain::{DrainList, Endings};
use crate::secret_store::SecretStore;
use crate::verify::Roots;

pub use certificates::SniCertificates;
pub use client::{ApplicationProtocol, ClientTls, UpstreamTls};
pub use error::{ServerNameError, TlsConfigError, TlsConfigErrorKind, TlsConfigErrors};
pub use identity::MeshIdentity;
pub use server::ServerTls;

/// How many sessions the servers that verify no clients remember together.
const SESSIONS: usize = 1_024;

/// Compiles TLS settings. Cheap to clone.
///
/// See the [module docs](self) for an example.
#[derive(Clone)]
pub struct TlsCompiler {
    provider: Arc<CryptoProvider>,
    time: Arc<dyn TimeProvider>,
    secrets: SecretStore,
    identity: Option<MeshIdentity>,
    system_roots: Option<Roots>,
    mesh: TlsConfig,
    defaults: TlsConfig,
    connections: Option<DrainList>,
    endings: Option<Endings>,
    listener: Arc<str>,
    // Of all servers that verify no clients: a cache for each of thousands would be mostly empty.
    sessions: Arc<dyn StoresServerSessions>,
}

impl TlsCompiler {
    /// Compiles with this cryptography, for secrets that are published to `secrets`. Mesh mTLS
    /// needs an identity ([`with_identity`](Self::with_identity)) as well.
    pub fn new(provider: Arc<CryptoProvider>, secrets: SecretStore) -> Self {
        Self {
            provider,
            time: Arc::new(DefaultTimeProvider),
            secrets,
            identity: None,
            system_roots: None,
            mesh: TlsConfig::default(),
            defaults: TlsConfig::default(),
            connections: None,
            endings: None,
            listener: Arc::default(),
            sessions: ServerSessionMemoryCache::new(SESSIONS),
        }
    }

    /// Proves this identity in the mesh. Default: none.
    #[must_use]
    pub fn with_identity(mut self, identity: MeshIdentity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Compiles for the secrets of another store.
    #[must_use]
    pub fn with_secrets(mut self, secrets: SecretStore) -> Self {
        self.secrets = secrets;
        self
    }

    /// Believes these authorities where the configuration names none. Default: nobody, so that
    /// such a configuration is refused.
    #[must_use]
    pub fn with_system_roots(mut self, roots: Roots) -> Self {
        self.system_roots = Some(roots);
        self
    }

    /// Takes the time from `time`. Default: the system's clock.
    #[must_use]
    pub fn with_time_provider(mut self, time: Arc<dyn TimeProvider>) -> Self {
        self.time = time;
        self
    }

    /// Limits the versions and cipher suites of mesh mTLS (`meshConfig.meshMTLS`). Default: TLS 1.2
    /// and 1.3 with AES-GCM.
    #[must_use]
    pub fn with_mesh_limits(mut self, limits: TlsConfig) -> Self {
        self.mesh = limits;
        self
    }

    /// Limits TLS outside of the mesh where a server's settings say nothing: its lowest version, cipher
    /// suites and curves (`meshConfig.tlsDefaults`). Clients of `SIMPLE` and `MUTUAL` take the cipher
    /// suites and curves, and not the version, as in Istio. Default: TLS 1.2 and 1.3 with all that the
    /// cryptography offers.
    #[must_use]
    pub fn with_defaults(mut self, defaults: TlsConfig) -> Self {
        self.defaults = defaults;
        self
    }

    /// Lists in `list` the connections that the servers accept from clients with a certificate, and those
    /// that the clients make to servers that they verify, so that they can be rechecked. With
    /// [endings](Self::with_endings), all that the servers accept. Default: nobody lists them.
    #[must_use]
    pub fn with_drain_list(mut self, list: DrainList) -> Self {
        self.connections = Some(list);
        self
    }

    /// Writes down in `endings` how the TLS of filter chains ends, so that the connections of those that a
    /// later configuration has no more, or changes, [can be drained](DrainList::keep). Default: nobody does.
    #[must_use]
    pub fn with_endings(mut self, endings: Endings) -> Self {
        self.endings = Some(endings);
        self
    }

    /// What it [writes down](Self::with_endings).
    pub fn endings(&self) -> Option<&Endings> {
        self.endings.as_ref()
    }

    /// Compiles the filter chains of the listener called `name`, which tells them from those of others.
    /// Default: all are of one listener.
    #[must_use]
    pub fn for_listener(mut self, name: &str) -> Self {
        self.listener = name.into();
        self
    }

    /// The secrets that the configuration names.
    pub fn secrets(&self) -> &SecretStore {
        &self.secrets
    }

    /// The cryptography.
    pub fn provider(&self) -> &Arc<CryptoProvider> {
        &self.provider
    }
}

impl fmt::Debug for TlsCompiler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsCompiler")
            .field("identity", &self.identity)
            .field("wanted", &self.secrets.wanted())
            .finish_non_exhaustive()
    }
}
