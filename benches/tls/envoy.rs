//! What a full handshake of mutual TLS costs a server, beside Envoy, where there is one in `PATH`.
//!
//! Both servers have the same SVID, verify the same client by its trust domain, and give back the
//! byte that it sends. The client is ours, the same each time, so that our server has verified its
//! chain before. What is counted is the time that the threads of each server were running, as Linux
//! tells it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use criterion::Criterion;
use mesh_tls::accept::TlsAcceptor;
use mesh_tls::ca::Issuer;
use mesh_tls::connect::TlsConnector;
use mesh_tls::csr::KeyKind;
use mesh_tls::pem;
use rustls_pki_types::UnixTime;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use crate::fixture::{id, issuer};
use crate::handshake::{Mesh, svid};
use crate::lines::Lines;

/// Handshakes in a round.
const HANDSHAKES: u32 = 500;

/// Rounds, in which the servers take turns.
const ROUNDS: usize = 5;

pub(crate) fn handshakes(_: &mut Criterion) {
    // Envoy looks at the clock.
    let now = UnixTime::now();
    let issuer = issuer(KeyKind::EcdsaP256, now);
    let Some(envoy) = Envoy::start(&issuer, now) else {
        return eprintln!("handshakes beside Envoy: there is no `envoy` in PATH");
    };
    let Mesh {
        acceptor,
        connector,
    } = Mesh::new(&issuer, now);
    let ours = serve(acceptor);
    let theirs = envoy.server();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let round = |server: &Server| {
        let before = server.running();
        runtime.block_on(call(&connector, server.port));
        (server.running() - before) / HANDSHAKES
    };
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| (round(&ours), round(&theirs)))
        .collect();
    let ours = median(&mut rounds, |(ours, _)| ours);
    let theirs = median(&mut rounds, |(_, theirs)| theirs);
    let times = theirs.as_secs_f64() / ours.as_secs_f64();
    eprintln!("mTLS handshake, the server: {ours:.1?}; Envoy: {theirs:.1?}, {times:.2} times that");
}

fn median(
    rounds: &mut [(Duration, Duration)],
    of: impl Fn((Duration, Duration)) -> Duration,
) -> Duration {
    rounds.sort_by_key(|round| of(*round));
    of(rounds[rounds.len() / 2])
}

/// A server on loopback.
struct Server {
    port: u16,
    /// Of its threads, below `/proc`.
    tasks: Vec<PathBuf>,
}

impl Server {
    /// For how long its threads have been running.
    fn running(&self) -> Duration {
        let of_task = |task: &PathBuf| {
            let text = fs::read_to_string(task.join("schedstat")).unwrap();
            let nanoseconds = text.split(' ').next().unwrap().parse().unwrap();
            Duration::from_nanos(nanoseconds)
        };
        self.tasks.iter().map(of_task).sum()
    }
}

/// Serves on a thread of its own, for as long as the process is there.
fn serve(acceptor: TlsAcceptor) -> Server {
    let (started, server) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let task = fs::read_link("/proc/thread-self").unwrap();
            let server = Server {
                port: listener.local_addr().unwrap().port(),
                tasks: vec![Path::new("/proc").join(task)],
            };
            started.send(server).unwrap();
            loop {
                let (io, _) = listener.accept().await.unwrap();
                tokio::spawn(echo(acceptor.clone(), io));
            }
        });
    });
    server.recv().unwrap()
}

async fn echo(acceptor: TlsAcceptor, io: TcpStream) {
    let mut stream = acceptor.accept(io).await.unwrap().stream;
    let mut byte = [0];
    while stream.read_exact(&mut byte).await.is_ok() {
        stream.write_all(&byte).await.unwrap();
    }
}

/// Shakes hands again and again, and gets an answer each time.
async fn call(connector: &TlsConnector, port: u16) {
    for _ in 0..HANDSHAKES {
        let io = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        io.set_nodelay(true).unwrap();
        let mut stream = connector.connect(io, None).await.unwrap().stream;
        stream.write_all(b"!").await.unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"!");
        stream.shutdown().await.unwrap();
    }
}

struct Envoy {
    process: Child,
    port: u16,
    directory: TempDir,
}

impl Envoy {
    /// Starts an Envoy that is `cart`; `None` if there is none.
    fn start(issuer: &Issuer, now: UnixTime) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str| directory.path().join(name);
        let cart = svid(issuer, "cart", now);
        let key = pem::encode("PRIVATE KEY", cart.private_key().secret_der());
        fs::write(file("chain"), pem::encode_certificates(cart.chain())).unwrap();
        fs::write(file("key"), key).unwrap();
        fs::write(file("roots"), pem::encode_certificates(issuer.roots())).unwrap();
        fs::write(file("envoy.json"), bootstrap(directory.path()).to_string()).unwrap();
        let mut command = Command::new("envoy");
        command.arg("--config-path").arg(file("envoy.json"));
        command.arg("--admin-address-path").arg(file("admin"));
        command.args(["--disable-hot-restart", "--concurrency", "1"]);
        command.args([
            "--log-level",
            "error",
            "--component-log-level",
            "config:info",
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut envoy = Self {
            process: command.spawn().ok()?,
            port: 0,
            directory,
        };
        // It listens then, and has all that it waits for.
        Lines::of(envoy.process.stderr.take()).wait_for("starting workers");
        let admin = fs::read_to_string(envoy.directory.path().join("admin")).unwrap();
        envoy.port = port(admin.trim()).unwrap();
        Some(envoy)
    }

    fn server(&self) -> Server {
        let tasks = format!("/proc/{}/task", self.process.id());
        let tasks = fs::read_dir(tasks).unwrap();
        Server {
            port: self.port,
            tasks: tasks.map(|task| task.unwrap().path()).collect(),
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The port of the listener.
fn port(admin: &str) -> Option<u16> {
    let mut stream = StdTcpStream::connect(admin).ok()?;
    let request = b"GET /listeners HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n";
    stream.write_all(request).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let mut lines = answer.lines();
    let address = lines.find_map(|line| line.strip_prefix("echo::"))?;
    Some(address.parse::<SocketAddr>().ok()?.port())
}

fn bootstrap(directory: &Path) -> Value {
    const TYPE: &str = "type.googleapis.com/envoy.extensions";
    let file = |name: &str| json!({"filename": directory.join(name)});
    let any_port = json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}});
    let trust_domain = id("cart").trust_domain().to_string();
    let tls = json!({
        "@type": format!("{TYPE}.transport_sockets.tls.v3.DownstreamTlsContext"),
        "require_client_certificate": true,
        "disable_stateless_session_resumption": true,
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [{"certificate_chain": file("chain"), "private_key": file("key")}],
            "validation_context": {"custom_validator_config": {
                "name": "envoy.tls.cert_validator.spiffe",
                "typed_config": {
                    "@type": format!("{TYPE}.transport_sockets.tls.v3.SPIFFECertValidatorConfig"),
                    "trust_domains": [{"name": trust_domain, "trust_bundle": file("roots")}],
                },
            }},
        },
    });
    let echo = format!("{TYPE}.filters.network.echo.v3.Echo");
    json!({
        "admin": {"address": any_port},
        "static_resources": {"listeners": [{
            "name": "echo",
            "address": any_port,
            "filter_chains": [{
                "filters": [{"name": "echo", "typed_config": {"@type": echo}}],
                "transport_socket": {"name": "tls", "typed_config": tls},
            }],
        }]},
    })
}
