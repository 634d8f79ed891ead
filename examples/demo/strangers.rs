//! Callers that have to be refused, and why they were.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use examples::authority::Authority;
use examples::serve::Refused;
use mesh_core::identity::TrustDomains;
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, MeshTls, UpstreamTls};
use mesh_core::resource::istio::destination_rule::{ClientTlsMode, ClientTlsSettings};
use mesh_core::service::ClusterName;
use mesh_tls::config::{ApplicationProtocol, MeshIdentity, TlsCompiler};
use mesh_tls::connect::{ConnectError, TlsConnector};
use mesh_tls::diagnose::Cause;
use mesh_tls::resolve::{self, Identity};
use mesh_tls::secret::TlsSecret;
use mesh_tls::secret_store::{SecretName, SecretStore};
use mesh_tls::verify::{Roots, VerifyError};
use rustls_pki_types::UnixTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::members::{Failure, account, id};
use crate::services::Bookstore;

/// The service that the strangers call.
const SERVICE: &str = "ratings";
const HOST: &str = "ratings.bookstore.svc.cluster.local";
const TWO_DAYS: u64 = 2 * 24 * 60 * 60;

/// What a caller presents.
enum Stranger {
    /// No TLS.
    Plaintext,
    /// TLS without a certificate.
    Anonymous,
    /// The SVID of an identity.
    Holder(Box<Identity>),
}

/// Its name, what it presents, and whether it was refused for the right reason.
type Case = (&'static str, Stranger, fn(&Refused) -> bool);

/// Calls a service as those who may not, and as one who may.
pub(crate) fn call_all(bookstore: &Bookstore) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let address = bookstore.address(SERVICE).ok_or("nobody listens")?;
    let authority = bookstore.members().authority();
    for (name, stranger, expected) in strangers(authority)? {
        bookstore.forget_refused();
        let answer = runtime.block_on(call(authority, address, stranger));
        let Err(told) = answer else {
            return Err(format!("{name} was served").into());
        };
        let why = bookstore.refused();
        let why = why.ok_or_else(|| format!("{name}: the service refused nobody"))?;
        if !expected(&why) {
            return Err(format!("{name} was refused for another reason: {why}").into());
        }
        println!("{name} is refused: {why} (the caller: {told})");
    }
    let member = Stranger::Holder(Box::new(authority.identity(&reviews(), &[])?));
    let answer = runtime.block_on(call(authority, address, member))?;
    match answer.starts_with("HTTP/1.1 200") && answer.contains(&reviews()) {
        true => Ok(()),
        false => Err(format!("a member of the mesh is served: {answer}").into()),
    }
}

fn reviews() -> String {
    id("bookstore", &account("reviews"))
}

fn strangers(authority: &Authority) -> Result<[Case; 4], Failure> {
    let elsewhere = Authority::new("elsewhere.example".parse()?)?;
    let mut foreign =
        elsewhere.identity("spiffe://elsewhere.example/ns/bookstore/sa/reviews", &[])?;
    let seconds = UnixTime::now().as_secs() - TWO_DAYS;
    let long_ago = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let expired = authority.identity_at(&reviews(), &[], long_ago)?;
    // It believes the bookstore, or it would not go on.
    foreign.bundles = expired.bundles.clone();
    let strangers: [Case; 4] = [
        ("a caller in plaintext", Stranger::Plaintext, |why| {
            matches!(cause(why), Some(Cause::Plaintext))
        }),
        (
            "a caller without a certificate",
            Stranger::Anonymous,
            |why| matches!(cause(why), Some(Cause::NoClientCertificate)),
        ),
        (
            "a caller of another trust domain",
            Stranger::Holder(Box::new(foreign)),
            |why| matches!(verdict(why), Some(VerifyError::TrustDomain { .. })),
        ),
        (
            "a caller whose certificate has expired",
            Stranger::Holder(Box::new(expired)),
            |why| matches!(verdict(why), Some(VerifyError::Expired { .. })),
        ),
    ];
    Ok(strangers)
}

fn cause(why: &Refused) -> Option<&Cause> {
    match why {
        Refused::Handshake(diagnosis) | Refused::Plaintext(diagnosis) => Some(diagnosis.cause()),
        _ => None,
    }
}

fn verdict(why: &Refused) -> Option<&VerifyError> {
    match cause(why)? {
        Cause::PeerRefused(error) => Some(error.as_ref()),
        _ => None,
    }
}

/// The answer of the service; else what the caller is told.
async fn call(
    authority: &Authority,
    address: SocketAddr,
    stranger: Stranger,
) -> Result<String, Failure> {
    let io = TcpStream::connect(address).await?;
    let (compiler, tls) = match stranger {
        Stranger::Plaintext => return Ok(ask(io).await.map_err(|_| "the connection is closed")?),
        Stranger::Anonymous => anonymous(authority)?,
        Stranger::Holder(identity) => holder(authority, *identity)?,
    };
    let mut cluster = Cluster::new(ClusterName::outbound(9080, "", HOST));
    cluster.tls = tls;
    let upstream = compiler.upstream(&cluster)?;
    let endpoint = Endpoint::new(EndpointAddress::Ip(address));
    let tls = upstream.towards(&endpoint).ok_or("the endpoint gets TLS")?;
    let connector = TlsConnector::new(tls.clone(), ApplicationProtocol::Http1);
    match connector.connect(io, None).await {
        // In TLS 1.3, what the service thinks of the caller comes with the first read.
        Ok(connected) => ask(connected.stream)
            .await
            .map_err(|error| connector.diagnose(&error).into()),
        Err(ConnectError::Handshake(diagnosis)) => Err(diagnosis.into()),
        Err(error) => Err(error.into()),
    }
}

/// Whoever has no certificate expects the service all the same.
fn anonymous(authority: &Authority) -> Result<(TlsCompiler, UpstreamTls), Failure> {
    let (store, path) = (SecretStore::default(), "roots.pem".to_owned());
    let secret = TlsSecret::default().with_roots(Roots::new([authority.root().clone()])?);
    store.publish(&SecretName::AuthoritiesFile(path.clone()), secret);
    let settings = ClientTlsSettings {
        mode: ClientTlsMode::Simple,
        ca_certificates: path,
        sni: HOST.into(),
        subject_alt_names: vec![id("bookstore", &account(SERVICE))],
        ..ClientTlsSettings::default()
    };
    let compiler = TlsCompiler::new(Arc::clone(authority.provider()), store);
    Ok((compiler, UpstreamTls::Settings(Box::new(settings))))
}

fn holder(
    authority: &Authority,
    identity: Identity,
) -> Result<(TlsCompiler, UpstreamTls), Failure> {
    let (publisher, live) = resolve::channel();
    publisher.publish(identity);
    let identity = MeshIdentity::new(live, TrustDomains::new("cluster.local".parse()?));
    let compiler = TlsCompiler::new(Arc::clone(authority.provider()), SecretStore::default());
    let tls = MeshTls {
        sni: format!("outbound_.9080_._.{HOST}"),
        subject_alt_names: vec![id("bookstore", &account(SERVICE))],
    };
    Ok((compiler.with_identity(identity), UpstreamTls::Mesh(tls)))
}

/// Sends a request, and reads the whole answer.
async fn ask(mut io: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<String> {
    let request = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    // A service that has closed the connection has said why before.
    let _ = io.write_all(request.as_bytes()).await;
    let mut answer = String::new();
    io.read_to_string(&mut answer).await?;
    match answer.is_empty() {
        true => Err(std::io::ErrorKind::UnexpectedEof.into()),
        false => Ok(answer),
    }
}
