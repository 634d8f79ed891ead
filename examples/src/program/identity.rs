//! Who a program is in the mesh: by files that are watched, or by certificates of an authority, which
//! are renewed.

use std::error::Error;
use std::fmt::Display;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use http::Uri;
use hyper_util::rt::TokioIo;
use mesh_core::identity::SpiffeId;
use mesh_tls::grpc::CertificateClient;
use mesh_tls::resolve::{self, LiveIdentity};
use mesh_tls::source::{CaSource, FileNames, FileSource, Keeper, Notice, SvidSource, TokenSource};
use mesh_tls::verify::{ExpectedNames, PeerVerifier, Roots};
use rustls::ClientConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::time_provider::DefaultTimeProvider;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

use super::report::chain;

/// Keeps the identity in `directory` fresh, on a thread of its own.
///
/// # Errors
///
/// The directory cannot be watched, or the system refuses the thread.
pub fn of_directory(directory: &Path) -> Result<LiveIdentity, Box<dyn Error>> {
    let source = FileSource::new(directory, FileNames::default(), provider())?;
    keep(move || source)
}

/// An authority that speaks Istio's certificate service: istiod, or the example `ca-server`.
#[derive(Clone, Debug)]
pub struct CertificateAuthority {
    /// Where it is, `https://HOST:PORT`.
    pub url: Uri,
    /// File with the roots that its own certificate is verified by, as PEM.
    pub roots: PathBuf,
    /// File with the token that proves who we are.
    pub token: PathBuf,
}

/// Keeps a certificate of `authority` for `id` fresh, on a thread of its own. Until there is a first
/// one, it is asked for again and again.
///
/// # Errors
///
/// The address is none of HTTPS, or the system refuses the thread.
pub fn of_authority(
    authority: &CertificateAuthority,
    id: SpiffeId,
) -> Result<LiveIdentity, Box<dyn Error>> {
    let connector = Connector::new(authority)?;
    let tokens = Arc::new(TokenFile(authority.token.clone()));
    keep(move || {
        let client = CertificateClient::new(connector.channel());
        CaSource::new(client, id, provider()).with_tokens(tokens)
    })
}

/// Keeps what a source gives fresh. `make` makes it on the thread and the runtime that keep it.
fn keep<S: SvidSource>(
    make: impl FnOnce() -> S + Send + 'static,
) -> Result<LiveIdentity, Box<dyn Error>> {
    let (publisher, live) = resolve::channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let run = async move {
        let keeper = Keeper::new(make(), Arc::new(DefaultTimeProvider), fastrand::f64)
            .with_observer(|notice| tell(&notice));
        keeper.run(publisher).await
    };
    thread::Builder::new()
        .name("identity".to_owned())
        .spawn(move || match runtime.block_on(run) {})?;
    Ok(live)
}

fn tell<E: Error + 'static>(notice: &Notice<'_, E>) {
    let warn = |what: &dyn Display| eprintln!("warning: the identity {what}");
    match notice {
        Notice::Published { identity } => eprintln!("the identity is {}", identity.svid.id()),
        Notice::Failed { error, .. } => warn(&format_args!("cannot be had: {}", chain(*error))),
        Notice::Incomplete { error } => {
            warn(&format_args!("is not all of now: {}", chain(*error)));
        }
        Notice::NotValid { .. } => warn(&"does not count now"),
        Notice::Withdrawn => warn(&"has expired"),
        _ => {}
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// A token that Kubernetes renews in its file.
struct TokenFile(PathBuf);

impl TokenSource for TokenFile {
    fn token(&self) -> Option<String> {
        let token = fs::read_to_string(&self.0).ok()?;
        let token = token.trim();
        (!token.is_empty()).then(|| token.to_owned())
    }
}

/// Connects to an authority, by the roots that the file has at the time.
#[derive(Clone, Debug)]
struct Connector {
    host: String,
    port: u16,
    roots: PathBuf,
}

impl Connector {
    fn new(authority: &CertificateAuthority) -> Result<Self, Box<dyn Error>> {
        let url = &authority.url;
        let https = (url.scheme_str() == Some("https")).then_some(());
        let host = https.and_then(|()| url.host());
        let host = host.ok_or_else(|| {
            format!("`{url}` is no address of an authority, which is https://HOST:PORT")
        })?;
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port_u16().unwrap_or(443),
            roots: authority.roots.clone(),
        })
    }

    /// A channel that connects when something is asked, and again when the connection is lost.
    fn channel(&self) -> Channel {
        let connector = self.clone();
        let connect = service_fn(move |_: Uri| {
            let connector = connector.clone();
            async move { connector.connect().await.map(TokioIo::new) }
        });
        // It is the connector that speaks TLS.
        Endpoint::from_static("http://authority").connect_with_connector_lazy(connect)
    }

    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let tls = self.tls()?;
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        TlsConnector::from(Arc::new(tls))
            .connect(name, stream)
            .await
    }

    fn tls(&self) -> io::Result<ClientConfig> {
        let roots = fs::read(&self.roots).map_err(|error| {
            let file = self.roots.display();
            io::Error::new(error.kind(), format!("the roots `{file}`: {error}"))
        })?;
        let roots = Roots::from_pem(&roots).map_err(io::Error::other)?;
        let verifier = PeerVerifier::roots(roots, provider()).map_err(io::Error::other)?;
        let verifier = verifier.with_names(ExpectedNames::ServerName);
        let mut tls = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(verifier.server_verifier())
            .with_no_client_auth();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(tls)
    }
}
