//! TLS of the clients of the suites, who are asked to trust whoever answers.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificates::Issued;

/// The type of a record that is part of a handshake, as a ServerHello is (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// How a client speaks TLS.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    /// The name that it calls the server by. None is sent if this is empty.
    pub(crate) server_name: String,
    /// The application protocols that it offers.
    pub(crate) protocols: Vec<String>,
    /// What it proves, if it is asked.
    pub(crate) credential: Option<Arc<Issued>>,
}

impl Tls {
    /// Calls `server_name`, with nothing to prove.
    pub(crate) fn to(server_name: &str) -> Self {
        Self {
            server_name: server_name.to_owned(),
            ..Self::default()
        }
    }
}

/// Connects, and takes any certificate for the server's.
pub(super) async fn connect(
    stream: TcpStream,
    address: SocketAddr,
    tls: &Tls,
) -> Result<TlsStream<TcpStream>, String> {
    if !is_sendable(&tls.server_name) {
        return knock(stream, tls).await.map(|never| match never {});
    }
    let config = config(tls).map_err(|error| error.to_string())?;
    let name = match tls.server_name.as_str() {
        "" => ServerName::IpAddress(address.ip().into()),
        name => ServerName::try_from(name.to_owned())
            .map_err(|_| format!("`{name}` cannot be sent as a server name"))?,
    };
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    connecting.await.map_err(|error| error.to_string())
}

/// Whether `name` can be sent as a server name. Some that Istio has meaning for cannot: their
/// characters are not those of host names.
fn is_sendable(name: &str) -> bool {
    name.is_empty() || ServerName::try_from(name).is_ok()
}

/// Sends a ClientHello with a server name that is none of a host. The error says what became of
/// the connection: no client goes on with the handshake from here.
async fn knock(mut stream: TcpStream, tls: &Tls) -> Result<Infallible, String> {
    let text = |error: &dyn fmt::Display| error.to_string();
    let stand_in: String = tls.server_name.replace(|c: char| !is_of_host(c), "_");
    let name = ServerName::try_from(stand_in.clone()).map_err(|error| text(&error))?;
    let config = config(tls).map_err(|error| text(&error))?;
    let client = ClientConnection::new(Arc::new(config), name);
    let mut hello = Vec::new();
    let mut client = client.map_err(|error| text(&error))?;
    client.write_tls(&mut hello).map_err(|error| text(&error))?;
    let at = hello
        .windows(stand_in.len())
        .position(|window| window == stand_in.as_bytes());
    let at = at.ok_or("the ClientHello has no server name")?;
    hello[at..at + stand_in.len()].copy_from_slice(tls.server_name.as_bytes());
    stream
        .write_all(&hello)
        .await
        .map_err(|error| text(&error))?;
    match stream.read_u8().await {
        Ok(HANDSHAKE) => Err("needs a client that goes on with the handshake".into()),
        Ok(_) => Err("the handshake was refused".into()),
        Err(_) => Err("the connection was closed".into()),
    }
}

fn is_of_host(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

fn config(tls: &Tls) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)));
    let mut config = match &tls.credential {
        Some(issued) => config.with_client_auth_cert(issued.chain(), issued.key())?,
        None => config.with_no_client_auth(),
    };
    let protocols = tls.protocols.iter();
    config.alpn_protocols = protocols.map(|name| name.clone().into_bytes()).collect();
    Ok(config)
}

/// Takes everybody for the server who has the key of the certificate that is presented.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
