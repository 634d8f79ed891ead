//! Certificates of hosts, by an authority that is believed and by a stranger.

use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, UpstreamTls};
use mesh_core::model::listener::{FilterChain, HttpConnection, NetworkFilter, ServerTls};
use mesh_core::resource::istio::destination_rule::{ClientTlsMode, ClientTlsSettings};
use mesh_core::resource::istio::gateway::{ServerTlsMode, ServerTlsSettings};
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::config::{ApplicationProtocol, TlsCompiler};
use mesh_tls::connect::TlsConnector;
use mesh_tls::credential::Credential;
use mesh_tls::secret::TlsSecret;
use mesh_tls::secret_store::{SecretName, SecretStore};
use mesh_tls::verify::Roots;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};

use crate::files::{Files, provider};

/// `root-server` and `stranger-server` of `shop.example`, `root-client` and `stranger-client` of
/// `client.example`; `root.pem` and `stranger.pem` are those who signed them.
#[derive(Debug)]
pub(crate) struct Hosts {
    pub(crate) files: Files,
}

impl Hosts {
    pub(crate) fn new() -> Self {
        let hosts = Self {
            files: Files::new(),
        };
        for authority in ["root", "stranger"] {
            let issuer = hosts.authority(authority);
            hosts.leaf(&issuer, &format!("{authority}-server"), "shop.example");
            hosts.leaf(&issuer, &format!("{authority}-client"), "client.example");
        }
        hosts
    }

    fn authority(&self, name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        self.files.write(&format!("{name}.pem"), &issuer.pem());
        issuer
    }

    fn leaf(&self, issuer: &CertifiedIssuer<'static, KeyPair>, name: &str, host: &str) {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, issuer).unwrap().pem();
        self.files
            .write_credential(name, &chain, &key.serialize_pem());
    }

    /// A compiler whose store has the `credential` and believes `root`.
    fn compiler(&self, credential: &str) -> TlsCompiler {
        let chain = self.files.read(&format!("{credential}.pem"));
        let key = self.files.read(&format!("{credential}.key"));
        let secret = TlsSecret::default()
            .with_credential(Credential::from_pem(&chain, &key, &provider()).unwrap())
            .with_roots(Roots::from_pem(&self.files.read("root.pem")).unwrap());
        let store = SecretStore::default();
        store.publish(&"credential".parse::<SecretName>().unwrap(), secret);
        TlsCompiler::new(provider(), store)
    }

    /// Our server: a Gateway of this mode with `root-server`.
    pub(crate) fn acceptor(&self, mode: ServerTlsMode) -> TlsAcceptor {
        let http = NetworkFilter::Http(HttpConnection::new("https.443"));
        let mut chain = FilterChain::new(http);
        chain.tls = Some(ServerTls::Gateway(Box::new(ServerTlsSettings {
            mode,
            credential_name: "credential".into(),
            ..ServerTlsSettings::default()
        })));
        let compiled = self.compiler("root-server").server(&chain).unwrap();
        TlsAcceptor::new(compiled.unwrap())
    }

    /// Our client: a DestinationRule of this mode with `credential`.
    pub(crate) fn connector(&self, mode: ClientTlsMode, credential: &str) -> TlsConnector {
        let mut cluster = Cluster::new("outbound|443||shop.example".into());
        cluster.tls = UpstreamTls::Settings(Box::new(ClientTlsSettings {
            mode,
            credential_name: "credential".into(),
            ..ClientTlsSettings::default()
        }));
        let upstream = self.compiler(credential).upstream(&cluster).unwrap();
        let endpoint = Endpoint::new(EndpointAddress::Ip("127.0.0.1:443".parse().unwrap()));
        let tls = upstream.towards(&endpoint).unwrap().clone();
        TlsConnector::new(tls, ApplicationProtocol::Http1)
    }
}
