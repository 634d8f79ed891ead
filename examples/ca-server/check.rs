//! What the server does, tried out in one process.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::Uri;
use hyper_util::rt::TokioIo;
use mesh_core::identity::TrustDomain;
use mesh_tls::csr::KeyKind;
use mesh_tls::grpc::CertificateClient;
use mesh_tls::key::SigningKey;
use mesh_tls::resolve::{self, Identity, LiveIdentity};
use mesh_tls::source::{CaSource, CaSourceError, SvidSource, TokenSource};
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use mesh_tls::verify::PeerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::time_provider::DefaultTimeProvider;
use rustls_pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use crate::authority::{MeshAuthority, sign_root};
use crate::serve::Server;
use crate::tokens::Tokens;

const ID: &str = "spiffe://cluster.local/ns/shop/sa/cart";

type Failure = Box<dyn Error + Send + Sync>;
type Answer = Result<Identity, CaSourceError>;

/// Issues by token and by certificate, refuses who has neither, and replaces the root.
pub(crate) async fn run(provider: Arc<CryptoProvider>) -> Result<(), Failure> {
    let directory = std::env::temp_dir().join(format!("ca-server-{}", std::process::id()));
    let checked = check(&directory, provider).await;
    std::fs::remove_dir_all(&directory)?;
    checked
}

async fn check(directory: &Path, provider: Arc<CryptoProvider>) -> Result<(), Failure> {
    let domain: TrustDomain = "cluster.local".parse()?;
    let authority = MeshAuthority::open(directory, domain.clone(), Arc::clone(&provider))?;
    let again = MeshAuthority::open(directory, domain.clone(), Arc::clone(&provider))?;
    let root = authority.issuer().load().roots().to_vec();
    assert_eq!(again.issuer().load().roots(), root, "the root is kept");

    let server = Server::new(
        &authority,
        Tokens::parse(&format!("sesame {ID}"))?,
        &["localhost".to_owned()],
        Arc::new(DefaultTimeProvider),
    )?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(server.run(listener));

    let (publisher, live) = resolve::channel();
    let roots = std::fs::read(directory.join("root-cert.pem"))?;
    let bundle = TrustBundle::from_pem(domain.clone(), &roots)?;
    publisher.publish_bundles(TrustBundles::from_iter([bundle]));
    let workload = Workload {
        address,
        live,
        provider: Arc::clone(&provider),
    };

    let identity = workload.ask(Some("sesame")).await??;
    assert_eq!(identity.svid.id().as_str(), ID);
    let refused = workload.ask(Some("open")).await?;
    assert!(
        matches!(refused, Err(CaSourceError::Refused(_))),
        "{refused:?}"
    );
    let refused = workload.ask(None).await?;
    assert!(
        matches!(refused, Err(CaSourceError::Refused(_))),
        "{refused:?}"
    );
    println!("a token gets a certificate, no token and a wrong one get none");

    publisher.publish(identity);
    let renewed = workload.ask(None).await??;
    assert_eq!(renewed.svid.id().as_str(), ID);
    println!("a certificate gets its successor");

    let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP384)?);
    authority.replace(sign_root(&domain, key, &provider)?);
    publisher.publish(renewed);
    let identity = workload.ask(None).await??;
    let bundle = identity.bundles.get(&domain).ok_or("a bundle")?;
    assert_eq!(bundle.authorities().len(), 2, "both roots are trusted");
    assert_eq!(
        bundle.authorities().last(),
        root.last(),
        "the old one signs"
    );
    println!("a new root is announced before it signs");
    serving.abort();
    Ok(())
}

/// Whoever asks for certificates.
struct Workload {
    address: SocketAddr,
    live: LiveIdentity,
    provider: Arc<CryptoProvider>,
}

impl Workload {
    /// Asks for a certificate on a new connection. The outer failure is one to connect.
    async fn ask(&self, token: Option<&'static str>) -> Result<Answer, Failure> {
        let client = CertificateClient::new(self.connect().await?);
        let mut source = CaSource::new(client, ID.parse()?, Arc::clone(&self.provider));
        if let Some(token) = token {
            source = source.with_tokens(Arc::new(Token(token)));
        }
        Ok(source.fetch().await)
    }

    /// Connects, and believes servers of the mesh that are called `localhost`.
    async fn connect(&self) -> Result<Channel, Failure> {
        let bundles = self.live.bundles().clone();
        let verifier = PeerVerifier::spiffe(bundles, Arc::clone(&self.provider))?;
        let mut tls = self.live.client_config(verifier.server_verifier())?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let (tls, address) = (TlsConnector::from(Arc::new(tls)), self.address);
        let connect = service_fn(move |_: Uri| {
            let tls = tls.clone();
            async move {
                let stream = TcpStream::connect(address).await?;
                let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
                Ok::<_, io::Error>(TokioIo::new(tls.connect(name, stream).await?))
            }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        Ok(endpoint.connect_with_connector(connect).await?)
    }
}

struct Token(&'static str);

impl TokenSource for Token {
    fn token(&self) -> Option<String> {
        Some(self.0.to_owned())
    }
}
