//! The server's side.

use std::sync::Arc;

use mesh_core::model::Notice;
use mesh_core::model::listener::{self, FilterChain, NetworkFilter};
use mesh_core::origin::Origin;
use mesh_core::resource::istio::gateway::{ServerTlsMode, ServerTlsSettings};
use mesh_core::watch::Watch;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;

use super::certificates::{Own, SecretCertificates};
use super::credential_names::{authority_names, certificate_names};
use super::error::{Problems, TlsConfigErrorKind, TlsConfigErrors};
use super::protocol::{self, Limits, Protocol};
use super::unused::{note_of_mesh, note_of_mutual, note_of_simple};
use super::{MeshIdentity, TlsCompiler};
use crate::certificate::Certificate;
use crate::digest::ParseDigestError;
use crate::drain::{DrainList, Ending};
use crate::secret::TlsSecret;
use crate::secret_store::SecretName;
use crate::verify::{ClientVerifier, PeerVerifier, Pins, SanList, SecretRoots};

/// How a filter chain terminates TLS. Cheap to clone; credentials are live.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    /// The same without application protocols.
    without_alpn: Arc<ServerConfig>,
    verifier: Option<PeerVerifier>,
    own: Own,
    connections: Option<DrainList>,
    ending: Option<Ending>,
    notices: Arc<[Notice]>,
}

impl ServerTls {
    /// The configuration for a client that offers these application protocols.
    ///
    /// If none of them is offered here, the connection goes on without one, as in Envoy. rustls
    /// alone would refuse it, and with it clients of the mesh that offer `istio` alone.
    pub fn config(&self, offered: &[&[u8]]) -> &Arc<ServerConfig> {
        let mut own = self.config.alpn_protocols.iter();
        if own.any(|own| offered.contains(&own.as_slice())) {
            &self.config
        } else {
            &self.without_alpn
        }
    }

    /// How clients are verified; `None` if they are not asked for a certificate.
    pub fn verifier(&self) -> Option<&PeerVerifier> {
        self.verifier.as_ref()
    }

    /// The certificate that clients are shown now; of two, the first. `None` if there is none at the time.
    pub fn own_certificate(&self) -> Option<Certificate> {
        self.own.certificate()
    }

    /// Where connections are [listed](TlsCompiler::with_drain_list). The acceptor does so by itself.
    pub fn drain_list(&self) -> Option<&DrainList> {
        self.connections.as_ref()
    }

    /// By what connections are [kept](DrainList::keep) when the configuration is replaced, if that was
    /// [asked for](TlsCompiler::with_endings). The acceptor heeds it by itself.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// What the settings say without effect.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }
}

impl TlsCompiler {
    /// Compiles the TLS of a filter chain; `None` if it does not end here (`PASSTHROUGH`,
    /// `AUTO_PASSTHROUGH`, plaintext).
    ///
    /// The secrets that it names do not have to exist yet: handshakes fail until they do.
    ///
    /// # Errors
    ///
    /// Says what cannot be enforced, with the origin of the chain.
    pub fn server(&self, chain: &FilterChain) -> Result<Option<ServerTls>, TlsConfigErrors> {
        let compiled = self.compile_server(chain)?;
        Ok(compiled.map(|server| ServerTls {
            ending: self.endings.as_ref().and_then(|endings| {
                let limits = [&self.mesh, &self.defaults];
                endings.add((&self.listener, chain), limits, server.verifier.clone())
            }),
            ..server
        }))
    }

    fn compile_server(&self, chain: &FilterChain) -> Result<Option<ServerTls>, TlsConfigErrors> {
        let is_http = matches!(chain.filter, NetworkFilter::Http(_));
        match &chain.tls {
            None => Ok(None),
            Some(listener::ServerTls::Mesh { alpn }) => {
                let server = Server {
                    compiler: self,
                    origin: &chain.origin,
                    alpn: alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
                };
                server.mesh(&ServerTlsSettings::default()).map(Some)
            }
            Some(
                listener::ServerTls::Gateway(settings) | listener::ServerTls::Sidecar(settings),
            ) => {
                let is_mesh = settings.mode == ServerTlsMode::IstioMutual;
                let alpn: &[&str] = match is_mesh && !is_http {
                    true => &["istio-peer-exchange", "h2", "http/1.1"],
                    false => &["h2", "http/1.1"],
                };
                let server = Server {
                    compiler: self,
                    origin: &chain.origin,
                    alpn: alpn.iter().map(|name| name.as_bytes().to_vec()).collect(),
                };
                server.by_settings(settings)
            }
        }
    }
}

struct Server<'a> {
    compiler: &'a TlsCompiler,
    origin: &'a Origin,
    alpn: Vec<Vec<u8>>,
}

impl Server<'_> {
    fn by_settings(
        &self,
        settings: &ServerTlsSettings,
    ) -> Result<Option<ServerTls>, TlsConfigErrors> {
        match settings.mode {
            ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => Ok(None),
            ServerTlsMode::IstioMutual => self.mesh(settings).map(Some),
            ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {
                self.gateway(settings).map(Some)
            }
        }
    }

    /// By the workload's own identity, for clients of the mesh. Pins count, which Istio ignores here.
    fn mesh(&self, settings: &ServerTlsSettings) -> Result<ServerTls, TlsConfigErrors> {
        let mut problems = Problems::new(self.origin);
        let Some(identity) = &self.compiler.identity else {
            problems.add(TlsConfigErrorKind::NoIdentity);
            return problems.finish(None);
        };
        let provider = &self.compiler.provider;
        let mut protocol = protocol::mesh_protocol(provider, &self.compiler.mesh, &mut problems);
        note_of_mesh(settings, &mut protocol.notices);
        let names = &settings.subject_alt_names;
        let verifier = mesh_verifier(identity, names, &protocol, &mut problems);
        let Some((verifier, pins)) = verifier.zip(problems.take(pins(settings))) else {
            return problems.finish(None);
        };
        let verifier = match self.revocations(settings) {
            Some(lists) => verifier.with_more_revocations(lists),
            None => verifier,
        };
        let clients = Clients::Verified(verifier.with_pins(pins));
        let own = Own::Identity(identity.live.clone());
        let server = self.build(&protocol, clients, own, &mut problems);
        problems.finish(server)
    }

    /// By the settings of a Gateway.
    fn gateway(&self, settings: &ServerTlsSettings) -> Result<ServerTls, TlsConfigErrors> {
        let mut problems = Problems::new(self.origin);
        let limits = Limits::of_server(settings, &self.compiler.defaults);
        let mut protocol = protocol::protocol(&self.compiler.provider, &limits, &mut problems);
        let names = problems
            .take(certificate_names(settings))
            .unwrap_or_default();
        if names.is_empty() {
            problems.add(TlsConfigErrorKind::NoCertificate);
        }
        let secrets = &self.compiler.secrets;
        let certificates = names.iter().map(|name| secrets.watch(name)).collect();
        let own = Own::Secrets(SecretCertificates::new(certificates, protocol.suites()));
        let clients = match settings.mode {
            ServerTlsMode::Simple => {
                note_of_simple(settings, &mut protocol.notices);
                Some(Clients::Unknown)
            }
            mode => {
                note_of_mutual(settings, &mut protocol.notices);
                let verifier = self.client_verifier(settings, &names, &protocol, &mut problems);
                let is_optional = mode == ServerTlsMode::OptionalMutual;
                verifier.map(|verifier| match is_optional {
                    true => Clients::VerifiedIfPresented(verifier),
                    false => Clients::Verified(verifier),
                })
            }
        };
        let server = clients.and_then(|clients| self.build(&protocol, clients, own, &mut problems));
        problems.finish(server)
    }

    /// How a Gateway verifies clients.
    fn client_verifier(
        &self,
        settings: &ServerTlsSettings,
        certificates: &[SecretName],
        protocol: &Protocol,
        problems: &mut Problems,
    ) -> Option<PeerVerifier> {
        let pins = problems.take(pins(settings))?;
        let provider = Arc::clone(&protocol.provider);
        if settings.insecure_skip_verify == Some(true) {
            if !settings.subject_alt_names.is_empty() {
                let field = "subjectAltNames";
                problems.add(TlsConfigErrorKind::InsecureConflict { field });
            }
            let verifier = PeerVerifier::dangerous_insecure_skip_verify(provider);
            return Some(problems.take(verifier)?.with_pins(pins));
        }
        let roots = problems.take(authority_names(settings, certificates))?;
        if roots.is_empty() {
            problems.add(TlsConfigErrorKind::NoRoots);
            return None;
        }
        let secrets = &self.compiler.secrets;
        let mut trusted = SecretRoots::new(roots.iter().map(|name| secrets.watch(name)));
        if let Some(lists) = self.revocations(settings) {
            trusted = trusted.with_revocations(lists);
        }
        let verifier = problems.take(PeerVerifier::secret_roots(trusted, provider))?;
        // As in Istio, `principals` of policies see the URI of whom a Gateway's authorities sign.
        let verifier = verifier.with_claimed_identities().with_pins(pins);
        Some(match settings.subject_alt_names.as_slice() {
            [] => verifier,
            names => verifier.with_subject_alt_names(SanList::from_iter(names)),
        })
    }

    /// The revocation lists that the settings name (`caCrl`).
    fn revocations(&self, settings: &ServerTlsSettings) -> Option<Watch<Option<TlsSecret>>> {
        let path = &settings.ca_crl;
        let name = (!path.is_empty()).then(|| SecretName::RevocationsFile(path.clone()))?;
        Some(self.compiler.secrets.watch(&name))
    }

    fn build(
        &self,
        protocol: &Protocol,
        clients: Clients,
        own: Own,
        problems: &mut Problems,
    ) -> Option<ServerTls> {
        let provider = Arc::clone(&protocol.provider);
        let time = Arc::clone(&self.compiler.time);
        let builder = ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&protocol.versions);
        let builder = problems.take(builder.map_err(TlsConfigErrorKind::Provider))?;
        let (verifier, builder) = match clients {
            Clients::Unknown => (None, builder.with_no_client_auth()),
            Clients::Verified(verifier) => {
                let clients = verifier.client_verifier();
                (Some(verifier), builder.with_client_cert_verifier(clients))
            }
            Clients::VerifiedIfPresented(verifier) => {
                let clients = ClientVerifier::clone(&verifier.client_verifier()).optional();
                let builder = builder.with_client_cert_verifier(Arc::new(clients));
                (Some(verifier), builder)
            }
        };
        let mut config = builder.with_cert_resolver(own.of_server());
        config.session_storage = match verifier {
            // A session that is resumed is not verified again.
            Some(_) => Arc::new(NoServerSessionStorage {}),
            None => Arc::clone(&self.compiler.sessions),
        };
        let without_alpn = Arc::new(config.clone());
        config.alpn_protocols.clone_from(&self.alpn);
        let notices = protocol.notices.iter().map(|message| Notice {
            origin: self.origin.clone(),
            message: message.clone(),
        });
        Some(ServerTls {
            config: Arc::new(config),
            without_alpn,
            verifier,
            own,
            connections: self.compiler.connections.clone(),
            ending: None,
            notices: notices.collect(),
        })
    }
}

/// The certificates and keys of clients that the settings name.
fn pins(settings: &ServerTlsSettings) -> Result<Pins, ParseDigestError> {
    Pins::parse(
        settings.verify_certificate_hash.iter().map(String::as_str),
        settings.verify_certificate_spki.iter().map(String::as_str),
    )
}

/// What is asked of clients.
enum Clients {
    Unknown,
    Verified(PeerVerifier),
    VerifiedIfPresented(PeerVerifier),
}

/// How others of the mesh are verified: by name if names are given, else by trust domain.
pub(super) fn mesh_verifier(
    identity: &MeshIdentity,
    subject_alt_names: &[String],
    protocol: &Protocol,
    problems: &mut Problems,
) -> Option<PeerVerifier> {
    let provider = Arc::clone(&protocol.provider);
    let bundles = identity.live.bundles().clone();
    let verifier = problems.take(PeerVerifier::spiffe(bundles, provider))?;
    let verifier = match &identity.revocations {
        Some(lists) => verifier.with_revocations(lists.clone()),
        None => verifier,
    };
    let verifier = verifier.with_extra_authorities(Arc::clone(&identity.extra));
    let domains = Arc::clone(&identity.trust_domains);
    Some(match subject_alt_names {
        [] => verifier.with_trust_domains(domains),
        names => verifier
            .with_aliases(domains)
            .with_subject_alt_names(SanList::from_iter(names)),
    })
}
