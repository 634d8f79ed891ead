//! Handshakes with OpenSSL and curl, in both directions, with right and wrong certificates.
#![cfg(feature = "tokio")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress, UpstreamTls};
use mesh_core::model::listener::{FilterChain, HttpConnection, NetworkFilter, ServerTls};
use mesh_core::resource::istio::destination_rule::{ClientTlsMode, ClientTlsSettings};
use mesh_core::resource::istio::gateway::{ServerTlsMode, ServerTlsSettings};
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::config::{ApplicationProtocol, TlsCompiler};
use mesh_tls::connect::{ConnectError, TlsConnector};
use mesh_tls::credential::Credential;
use mesh_tls::secret::TlsSecret;
use mesh_tls::secret_store::{SecretName, SecretStore};
use mesh_tls::verify::Roots;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An authority and what it signed, as files.
struct Scene {
    directory: TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let scene = Self { directory };
        for authority in ["root", "stranger"] {
            let issuer = scene.authority(authority);
            scene.leaf(&issuer, &format!("{authority}-server"), "shop.example");
            scene.leaf(&issuer, &format!("{authority}-client"), "client.example");
        }
        scene
    }

    fn authority(&self, name: &str) -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), issuer.pem()).unwrap();
        issuer
    }

    fn leaf(&self, issuer: &CertifiedIssuer<'static, KeyPair>, file: &str, host: &str) {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, issuer).unwrap().pem();
        std::fs::write(self.path(&format!("{file}.pem")), chain).unwrap();
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path(file)).unwrap()
    }

    /// A compiler whose store has the `credential` and believes `root`.
    fn compiler(&self, credential: &str) -> TlsCompiler {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let chain = self.read(&format!("{credential}.pem"));
        let key = self.read(&format!("{credential}.key"));
        let secret = TlsSecret::default()
            .with_credential(Credential::from_pem(&chain, &key, &provider).unwrap())
            .with_roots(Roots::from_pem(&self.read("root.pem")).unwrap());
        let store = SecretStore::default();
        store.publish(&"credential".parse::<SecretName>().unwrap(), secret);
        TlsCompiler::new(provider, store)
    }

    fn acceptor(&self, mode: ServerTlsMode) -> TlsAcceptor {
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

    fn connector(&self, mode: ClientTlsMode, credential: &str) -> TlsConnector {
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

/// A command that is ended after twenty seconds.
fn bounded(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.arg("20").arg(program).stdin(Stdio::piped());
    command
}

fn with_certificate(command: &mut Command, scene: &Scene, credential: Option<&str>) {
    if let Some(credential) = credential {
        command
            .arg("--cert")
            .arg(scene.path(&format!("{credential}.pem")));
        command
            .arg("--key")
            .arg(scene.path(&format!("{credential}.key")));
    }
}

/// Accepts one connection, answers it, and gives the label of what happened.
async fn serve_one(acceptor: TlsAcceptor, listener: TcpListener) -> String {
    let (io, _) = listener.accept().await.unwrap();
    match acceptor.accept(io).await {
        Ok(mut accepted) => {
            let _ = accepted.stream.read(&mut [0; 1024]).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
            let _ = accepted.stream.write_all(answer).await;
            let _ = accepted.stream.shutdown().await;
            "ok".to_owned()
        }
        Err(diagnosis) => diagnosis.label().to_owned(),
    }
}

/// Runs a client against our server; whether the client was content, and the server's label.
async fn against_our_server(
    scene: &Scene,
    mode: ServerTlsMode,
    client: impl FnOnce(u16) -> Command,
) -> (bool, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(serve_one(scene.acceptor(mode), listener));
    let mut command = client(port);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    (output.status.success(), serving.await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs curl"]
async fn curl_calls_our_server() {
    let scene = Scene::new();
    use ServerTlsMode::{Mutual, OptionalMutual, Simple};
    let cases = [
        (Simple, "root.pem", None, true, "ok"),
        (Simple, "stranger.pem", None, false, "our_issuer_untrusted"),
        (Mutual, "root.pem", Some("root-client"), true, "ok"),
        (
            Mutual,
            "root.pem",
            Some("stranger-client"),
            false,
            "peer_issuer_untrusted",
        ),
        (Mutual, "root.pem", None, false, "no_client_certificate"),
        (OptionalMutual, "root.pem", None, true, "ok"),
        (OptionalMutual, "root.pem", Some("root-client"), true, "ok"),
        (
            OptionalMutual,
            "root.pem",
            Some("stranger-client"),
            false,
            "peer_issuer_untrusted",
        ),
    ];
    for (mode, authority, credential, is_content, label) in cases {
        let found = against_our_server(&scene, mode, |port| {
            let mut curl = bounded("curl");
            curl.args(["--silent", "--show-error", "--http1.1"]);
            curl.arg("--cacert").arg(scene.path(authority));
            curl.arg("--connect-to")
                .arg(format!("shop.example:443:127.0.0.1:{port}"));
            with_certificate(&mut curl, &scene, credential);
            curl.arg("https://shop.example/");
            curl
        });
        let expected = (is_content, label.to_owned());
        assert_eq!(found.await, expected, "{mode:?} {authority} {credential:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl"]
async fn openssl_connects_to_our_server_with_each_version() {
    let scene = Scene::new();
    let cases = [
        ("-tls1_2", Some("root-client"), true, "ok"),
        ("-tls1_3", Some("root-client"), true, "ok"),
        ("-tls1_2", None, false, "no_client_certificate"),
        (
            "-tls1_2",
            Some("stranger-client"),
            false,
            "peer_issuer_untrusted",
        ),
        ("-tls1_1", Some("root-client"), false, "no_common_version"),
    ];
    for (version, credential, is_content, label) in cases {
        let found = against_our_server(&scene, ServerTlsMode::Mutual, |port| {
            let mut openssl = bounded("openssl");
            openssl.args(["s_client", "-brief", "-verify_return_error", version]);
            openssl.args([
                "-cipher",
                "DEFAULT@SECLEVEL=0",
                "-servername",
                "shop.example",
            ]);
            openssl.args(["-connect", &format!("127.0.0.1:{port}"), "-CAfile"]);
            openssl.arg(scene.path("root.pem"));
            if let Some(credential) = credential {
                openssl
                    .arg("-cert")
                    .arg(scene.path(&format!("{credential}.pem")));
                openssl
                    .arg("-key")
                    .arg(scene.path(&format!("{credential}.key")));
            }
            openssl
        });
        let expected = (is_content, label.to_owned());
        assert_eq!(found.await, expected, "{version} {credential:?}");
    }
}

/// An OpenSSL server on a port of its own choice, ended when dropped.
struct OpensslServer {
    process: Child,
    port: u16,
}

impl OpensslServer {
    fn start(scene: &Scene, credential: &str, arguments: &[&str]) -> Self {
        // Not through `timeout`, which would leave the server behind when it is killed.
        let mut command = Command::new("openssl");
        command.stdin(Stdio::piped());
        command.args([
            "s_server",
            "-accept",
            "127.0.0.1:0",
            "-naccept",
            "1",
            "-rev",
        ]);
        command
            .arg("-cert")
            .arg(scene.path(&format!("{credential}.pem")));
        command
            .arg("-key")
            .arg(scene.path(&format!("{credential}.key")));
        command
            .arg("-CAfile")
            .arg(scene.path("root.pem"))
            .args(arguments);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let port = listening_port(&mut process);
        Self { process, port }
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The port in `ACCEPT 127.0.0.1:port`.
fn listening_port(process: &mut Child) -> u16 {
    let output = BufReader::new(process.stdout.take().unwrap());
    let mut lines = output.lines().map_while(Result::ok);
    let line = lines.find(|line| line.starts_with("ACCEPT")).unwrap();
    line.rsplit(':').next().unwrap().trim().parse().unwrap()
}

/// The answer to a line, or the label of why there is none.
async fn call(connector: &TlsConnector, port: u16) -> String {
    let io = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut connected = match connector.connect(io, Some("shop.example")).await {
        Ok(connected) => connected,
        Err(ConnectError::Handshake(diagnosis)) => return diagnosis.label().to_owned(),
        Err(error) => return error.to_string(),
    };
    let mut answer = [0; 4];
    let exchange = async {
        connected.stream.write_all(b"abc\n").await?;
        connected.stream.read_exact(&mut answer).await
    };
    match exchange.await {
        Ok(_) => String::from_utf8_lossy(&answer).trim().to_owned(),
        Err(error) => connector.diagnose(&error).label().to_owned(),
    }
}

type Arguments<'a> = &'a [&'a str];

/// What OpenSSL's server demands of clients.
const DEMANDING: [&str; 3] = ["-Verify", "1", "-verify_return_error"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl"]
async fn our_client_verifies_openssl() {
    let scene = Scene::new();
    let old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
    let cases: [(&str, &str, Arguments<'_>, &str); 5] = [
        ("right", "root-server", &[], "cba"),
        ("TLS 1.2", "root-server", &["-tls1_2"], "cba"),
        ("authority", "stranger-server", &[], "peer_issuer_untrusted"),
        ("name", "root-client", &[], "peer_names"),
        ("version", "root-server", &old, "no_common_version"),
    ];
    let connector = scene.connector(ClientTlsMode::Simple, "root-client");
    for (name, server, arguments, expected) in cases {
        let server = OpensslServer::start(&scene, server, arguments);
        let found = call(&connector, server.port).await;
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openssl"]
async fn openssl_verifies_our_client() {
    use ClientTlsMode::{Mutual, Simple};
    let scene = Scene::new();
    let cases = [
        (Mutual, "root-client", "cba"),
        (Mutual, "stranger-client", "our_issuer_untrusted"),
        (Simple, "root-client", "our_certificate_missing"),
    ];
    for (mode, credential, expected) in cases {
        let server = OpensslServer::start(&scene, "root-server", &DEMANDING);
        let found = call(&scene.connector(mode, credential), server.port).await;
        assert_eq!(found, expected, "{mode:?} {credential}");
    }
}

#[test]
#[ignore = "needs openssl"]
fn openssl_reads_the_pem_that_we_write() {
    let scene = Scene::new();
    let certificates = mesh_tls::pem::certificates(&scene.read("root-server.pem")).unwrap();
    let written = mesh_tls::pem::encode_certificates(&certificates);
    let fingerprint = |text: &[u8]| {
        let mut command = bounded("openssl");
        command.args(["x509", "-noout", "-fingerprint", "-sha256"]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        process.stdin.take().unwrap().write_all(text).unwrap();
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let sha256 = mesh_tls::digest::Sha256::of_provider(&provider).unwrap();
    let shown = fingerprint(written.as_bytes());
    let (_, digest) = shown.trim().split_once('=').unwrap();
    let digest = mesh_tls::digest::Digest::from_hex(digest).unwrap();
    assert_eq!(digest, certificates[0].fingerprint(&sha256));
    assert!(Path::new(&scene.path("root.pem")).exists());
}
