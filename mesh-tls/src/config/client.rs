//! The client's side.

use std::sync::Arc;

use mesh_core::model::Notice;
use mesh_core::model::cluster::{self, Cluster, Endpoint, MeshTls};
use mesh_core::origin::Origin;
use mesh_core::resource::istio::destination_rule::{ClientTlsMode, ClientTlsSettings};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;

#[cfg(feature = "tokio")]
use super::asked::Asked;
use super::certificates::{Own, SecretCertificates};
use super::credential_names::beside;
use super::error::{Problems, ServerNameError, TlsConfigErrorKind, TlsConfigErrors};
use super::protocol::{self, Limits, Protocol};
use super::server::mesh_verifier;
use super::{TlsCompiler, host_name};
use crate::certificate::Certificate;
use crate::drain::DrainList;
use crate::secret_store::{ParseSecretNameError, SecretName};
use crate::verify::{ExpectedNames, PeerVerifier, SanList, SecretRoots};

/// How many servers a cluster remembers sessions with.
const SESSIONS: usize = 32;

/// What is spoken inside of TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ApplicationProtocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Bytes.
    Tcp,
}

/// TLS towards the endpoints of a cluster. Cheap to clone; credentials are live.
#[derive(Clone, Debug)]
pub enum UpstreamTls {
    /// With the endpoints that speak mesh mTLS; the others get plaintext.
    Auto(ClientTls),
    /// With every endpoint.
    Always(ClientTls),
    /// With none.
    Never,
}

impl UpstreamTls {
    /// The TLS towards one endpoint; `None` is plaintext.
    pub fn towards(&self, endpoint: &Endpoint) -> Option<&ClientTls> {
        match self {
            Self::Auto(tls) => endpoint.mesh_tls.then_some(tls),
            Self::Always(tls) => Some(tls),
            Self::Never => None,
        }
    }
}

/// How a client speaks TLS. Cheap to clone; credentials are live.
#[derive(Clone, Debug)]
pub struct ClientTls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    tcp: Arc<ClientConfig>,
    verifier: PeerVerifier,
    server_name: Option<ServerName<'static>>,
    own: Own,
    connections: Option<DrainList>,
    notices: Arc<[Notice]>,
}

impl ClientTls {
    /// The configuration for what is spoken inside.
    pub fn config(&self, protocol: ApplicationProtocol) -> &Arc<ClientConfig> {
        match protocol {
            ApplicationProtocol::Http1 => &self.http1,
            ApplicationProtocol::Http2 => &self.http2,
            ApplicationProtocol::Tcp => &self.tcp,
        }
    }

    /// The certificate that servers are shown now if they ask for one. `None` if there is none at the
    /// time.
    pub fn own_certificate(&self) -> Option<Certificate> {
        self.own.certificate()
    }

    /// The configuration for one connection, and whether its server asks for our certificate. `None`
    /// where we have none to present, as by `SIMPLE`: those connections resume sessions, which rustls
    /// does only with the resolver that they began with.
    #[cfg(feature = "tokio")]
    pub(crate) fn asked(
        &self,
        protocol: ApplicationProtocol,
    ) -> (Arc<ClientConfig>, Option<Arc<Asked>>) {
        let config = self.config(protocol);
        if matches!(self.own, Own::Nothing) {
            return (Arc::clone(config), None);
        }
        let mut config = ClientConfig::clone(config);
        let asked = Arc::new(Asked::new(config.client_auth_cert_resolver));
        config.client_auth_cert_resolver = Arc::clone(&asked) as _;
        (Arc::new(config), Some(asked))
    }

    /// How servers are verified.
    pub fn verifier(&self) -> &PeerVerifier {
        &self.verifier
    }

    /// The name of the server: that of the settings, or else the host of the request (Envoy's
    /// `auto_sni`), whose port is left out. An address is verified, but not sent (RFC 6066
    /// section 3).
    ///
    /// # Errors
    ///
    /// When neither is the name of a server.
    pub fn server_name(&self, host: Option<&str>) -> Result<ServerName<'static>, ServerNameError> {
        if let Some(name) = &self.server_name {
            return Ok(name.clone());
        }
        host_name::of_request(host)
    }

    /// Where connections are [listed](TlsCompiler::with_drain_list). The connector does so by itself.
    pub fn drain_list(&self) -> Option<&DrainList> {
        self.connections.as_ref()
    }

    /// What the settings say without effect.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }
}

impl TlsCompiler {
    /// Compiles the TLS of a cluster.
    ///
    /// The secrets that it names do not have to exist yet: handshakes fail until they do.
    ///
    /// # Errors
    ///
    /// Says what cannot be enforced, with the origin of the destination rule, or of the service if
    /// there is none.
    pub fn upstream(&self, cluster: &Cluster) -> Result<UpstreamTls, TlsConfigErrors> {
        let origin = cluster.policy_origin.as_ref().unwrap_or(&cluster.origin);
        let client = Client {
            compiler: self,
            origin,
        };
        match &cluster.tls {
            cluster::UpstreamTls::Plaintext => Ok(UpstreamTls::Never),
            cluster::UpstreamTls::Auto(mesh) => client.mesh(mesh).map(UpstreamTls::Auto),
            cluster::UpstreamTls::Mesh(mesh) => client.mesh(mesh).map(UpstreamTls::Always),
            cluster::UpstreamTls::Settings(settings) => client.by_settings(settings),
        }
    }
}

struct Client<'a> {
    compiler: &'a TlsCompiler,
    origin: &'a Origin,
}

/// The application protocols of HTTP/1, of HTTP/2 and of bytes.
struct Offered([&'static [&'static str]; 3]);

/// Those that say to servers of the mesh what is inside (the ALPN filter of Istio's proxy).
const MESH: Offered = Offered([
    &["istio-http/1.1", "istio", "http/1.1"],
    &["istio-h2", "istio", "h2"],
    &["istio-peer-exchange", "istio"],
]);

const PLAIN: Offered = Offered([&["http/1.1"], &["h2"], &[]]);

impl Client<'_> {
    /// With our identity, towards servers of the mesh.
    fn mesh(&self, mesh: &MeshTls) -> Result<ClientTls, TlsConfigErrors> {
        let MeshTls {
            sni,
            subject_alt_names,
        } = mesh;
        let mut problems = Problems::new(self.origin);
        let Some(identity) = &self.compiler.identity else {
            problems.add(TlsConfigErrorKind::NoIdentity);
            return problems.finish(None);
        };
        let provider = &self.compiler.provider;
        let protocol = protocol::mesh_protocol(provider, &self.compiler.mesh, &mut problems);
        let verifier = mesh_verifier(identity, subject_alt_names, &protocol, &mut problems);
        let own = Own::Identity(identity.live.clone());
        let client = verifier.and_then(|verifier| {
            let parts = Parts {
                protocol,
                verifier,
                own,
                sni,
                may_resume: false,
                offered: MESH,
            };
            self.build(parts, &mut problems)
        });
        problems.finish(client)
    }

    fn by_settings(&self, settings: &ClientTlsSettings) -> Result<UpstreamTls, TlsConfigErrors> {
        match settings.mode {
            ClientTlsMode::Disable => Ok(UpstreamTls::Never),
            ClientTlsMode::Simple | ClientTlsMode::Mutual => {
                self.originate(settings).map(UpstreamTls::Always)
            }
            ClientTlsMode::IstioMutual => {
                let mesh = MeshTls {
                    sni: settings.sni.clone(),
                    subject_alt_names: settings.subject_alt_names.clone(),
                };
                self.mesh(&mesh).map(UpstreamTls::Always)
            }
        }
    }

    /// By a rule's `SIMPLE` or `MUTUAL` settings.
    fn originate(&self, settings: &ClientTlsSettings) -> Result<ClientTls, TlsConfigErrors> {
        let mut problems = Problems::new(self.origin);
        let provider = &self.compiler.provider;
        let limits = Limits::of_client(&self.compiler.defaults);
        let protocol = protocol::protocol(provider, &limits, &mut problems);
        let credential = match settings.credential_name.as_str() {
            "" => None,
            name => problems.take(credential(name)),
        };
        let own = match settings.mode {
            ClientTlsMode::Mutual => {
                self.certificates(settings, credential.as_ref(), &mut problems)
            }
            _ => Own::Nothing,
        };
        let verifier = self.verifier(settings, credential.as_ref(), &protocol, &mut problems);
        let client = verifier.and_then(|verifier| {
            let sni = &settings.sni;
            let parts = Parts {
                protocol,
                verifier,
                own,
                sni,
                may_resume: may_resume(settings),
                offered: PLAIN,
            };
            self.build(parts, &mut problems)
        });
        problems.finish(client)
    }

    /// What a client of `MUTUAL` presents.
    fn certificates(
        &self,
        settings: &ClientTlsSettings,
        credential: Option<&SecretName>,
        problems: &mut Problems,
    ) -> Own {
        let files = || SecretName::CredentialFiles {
            certificate: settings.client_certificate.clone(),
            key: settings.private_key.clone(),
        };
        let has_files = !settings.client_certificate.is_empty() && !settings.private_key.is_empty();
        let name = match credential {
            Some(SecretName::ConfigMap { .. }) => None,
            Some(name) => Some(name.clone()),
            None => has_files.then(files),
        };
        let Some(name) = name else {
            problems.add(TlsConfigErrorKind::NoCertificate);
            return Own::Nothing;
        };
        let secret = self.compiler.secrets.watch(&name);
        Own::Secrets(SecretCertificates::new(vec![secret], Arc::default()))
    }

    fn verifier(
        &self,
        settings: &ClientTlsSettings,
        credential: Option<&SecretName>,
        protocol: &Protocol,
        problems: &mut Problems,
    ) -> Option<PeerVerifier> {
        let provider = Arc::clone(&protocol.provider);
        if settings.insecure_skip_verify == Some(true) {
            // The credential of `SIMPLE` is nothing but authorities.
            let has_credential = !settings.credential_name.is_empty();
            let is_simple = settings.mode == ClientTlsMode::Simple;
            let demands = [
                ("caCertificates", !settings.ca_certificates.is_empty()),
                ("caCrl", !settings.ca_crl.is_empty()),
                ("credentialName", is_simple && has_credential),
                ("subjectAltNames", !settings.subject_alt_names.is_empty()),
            ];
            for (field, _) in demands.iter().filter(|(_, is_set)| *is_set) {
                problems.add(TlsConfigErrorKind::InsecureConflict { field });
            }
            return problems.take(PeerVerifier::dangerous_insecure_skip_verify(provider));
        }
        let secrets = &self.compiler.secrets;
        let roots = match credential {
            Some(name) => beside(name),
            None if settings.trusts_system() => Vec::new(),
            None => vec![SecretName::AuthoritiesFile(
                settings.ca_certificates.clone(),
            )],
        };
        let revocations = (!settings.ca_crl.is_empty())
            .then(|| secrets.watch(&SecretName::RevocationsFile(settings.ca_crl.clone())));
        let trusted = match (roots.as_slice(), &self.compiler.system_roots) {
            ([], None) => {
                problems.add(TlsConfigErrorKind::NoRoots);
                return None;
            }
            ([], Some(system)) => {
                let secret = crate::secret::TlsSecret::default().with_roots(system.clone());
                SecretRoots::new([Some(secret).into()])
            }
            (names, _) => SecretRoots::new(names.iter().map(|name| secrets.watch(name))),
        };
        let trusted = match revocations {
            Some(secret) => trusted.with_revocations(secret),
            None => trusted,
        };
        let verifier = problems.take(PeerVerifier::secret_roots(trusted, provider))?;
        Some(
            verifier.with_names(match settings.subject_alt_names.as_slice() {
                [] => ExpectedNames::ServerName,
                names => ExpectedNames::OneOf(SanList::from_iter(names)),
            }),
        )
    }

    fn build(&self, parts: Parts<'_>, problems: &mut Problems) -> Option<ClientTls> {
        let Parts {
            protocol,
            verifier,
            own,
            sni,
            may_resume,
            offered: Offered([http1, http2, tcp]),
        } = parts;
        let server_name = match sni {
            "" => None,
            name => problems.take(host_name::of_settings(name)),
        };
        let time = Arc::clone(&self.compiler.time);
        let builder = ClientConfig::builder_with_details(protocol.provider, time)
            .with_protocol_versions(&protocol.versions);
        let builder = problems.take(builder.map_err(TlsConfigErrorKind::Provider))?;
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier.server_verifier());
        let mut config = match own.of_client() {
            Some(certificates) => builder.with_client_cert_resolver(certificates),
            None => builder.with_no_client_auth(),
        };
        config.resumption = match may_resume {
            true => Resumption::in_memory_sessions(SESSIONS),
            false => Resumption::disabled(),
        };
        let offering = |names: &[&str]| {
            let mut config = config.clone();
            config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
            Arc::new(config)
        };
        let notices = protocol.notices.into_iter().map(|message| Notice {
            origin: self.origin.clone(),
            message,
        });
        Some(ClientTls {
            http1: offering(http1),
            http2: offering(http2),
            tcp: offering(tcp),
            verifier,
            server_name,
            own,
            connections: self.compiler.connections.clone(),
            notices: notices.collect(),
        })
    }
}

struct Parts<'a> {
    protocol: Protocol,
    verifier: PeerVerifier,
    own: Own,
    sni: &'a str,
    may_resume: bool,
    offered: Offered,
}

/// Whether nothing that a server is verified by can be replaced. A session that is resumed is not
/// verified again, and presents nothing again.
fn may_resume(settings: &ClientTlsSettings) -> bool {
    let is_insecure = settings.insecure_skip_verify == Some(true);
    let is_by_system = settings.trusts_system() && settings.ca_crl.is_empty();
    settings.mode == ClientTlsMode::Simple && (is_insecure || is_by_system)
}

/// The credential of a rule. Grants are to Gateways: what is called as if one had been given is
/// refused.
fn credential(name: &str) -> Result<SecretName, ParseSecretNameError> {
    match name.parse::<SecretName>()? {
        SecretName::KubernetesGateway { .. } => Err(ParseSecretNameError::Scheme {
            scheme: "kubernetes-gateway".to_owned(),
        }),
        name => Ok(name),
    }
}
