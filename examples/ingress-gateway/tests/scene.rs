use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::Parser;
use examples::program::Refused;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::IngressGateway;
use crate::options::Options;

/// Long enough for a slow machine, short enough for a test that has already failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A Gateway for port 80, whose requests `rules` route.
pub(super) fn routed(rules: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: shop, namespace: shop }}
spec:
  selector: {{ istio: ingressgateway }}
  servers: [{{ port: {{ number: 80, name: http, protocol: HTTP }}, hosts: ['*'] }}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop, namespace: shop }}
spec:
  hosts: [shop.example]
  gateways: [shop]
  http:
{rules}
"
    )
}

/// As [`routed`], where all requests are answered with `body`.
pub(super) fn answering(body: &str) -> String {
    let answer = format!("directResponse: {{ status: 200, body: {{ string: {body} }} }}");
    routed(&format!("  - name: all\n    {answer}"))
}

/// The file that the program is started with.
pub(super) struct Config {
    directory: TempDir,
}

impl Config {
    pub(super) fn new(yaml: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = Self { directory };
        config.write(yaml);
        config
    }

    /// Puts another file in the place of the last one.
    pub(super) fn write(&self, yaml: &str) {
        let next = self.directory.path().join("next");
        fs::write(&next, yaml).unwrap();
        fs::rename(&next, self.file()).unwrap();
    }

    pub(super) fn file(&self) -> PathBuf {
        self.directory.path().join("mesh.yaml")
    }

    /// The options of a program that reads the file, with ports of the system's choice.
    pub(super) fn options(&self) -> Options {
        self.options_with(&[])
    }

    /// The same with `further` arguments.
    pub(super) fn options_with(&self, further: &[&str]) -> Options {
        let file = self.file().display().to_string();
        let arguments = [
            "ingress-gateway",
            "--bind=127.0.0.1",
            "--map-port=80=0",
            "--map-port=443=0",
            "--admin=127.0.0.1:0",
            "--threads=1",
            "--metrics",
            "--config",
            &file,
        ];
        Options::parse_from(arguments.iter().chain(further))
    }
}

/// The parts of a program that serves, and a runtime for them.
pub(super) struct Program {
    pub(super) config: Config,
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    gateway: IngressGateway,
}

impl Program {
    pub(super) fn start(yaml: &str) -> Self {
        Self::start_with(yaml, &[])
    }

    /// The same with `further` arguments.
    pub(super) fn start_with(yaml: &str, further: &[&str]) -> Self {
        let config = Config::new(yaml);
        let gateway = IngressGateway::start(&config.options_with(further)).unwrap();
        Self {
            address: gateway.proxy.gateway().address(80).unwrap(),
            admin: gateway.admin.local_addr().unwrap(),
            config,
            gateway,
        }
    }

    /// Whether a port is served that a Gateway declares.
    pub(super) fn serves(&self, declared: u16) -> bool {
        self.gateway.proxy.gateway().address(declared).is_some()
    }

    /// Puts `yaml` in the place of the file, and gives what becomes of it.
    pub(super) fn change(&mut self, yaml: &str) -> Result<u64, Refused> {
        self.config.write(yaml);
        let change = async { timeout(PATIENCE, self.gateway.proxy.change()).await };
        runtime().block_on(change).unwrap().unwrap()
    }

    /// Serves while `client` asks, and is then told to end.
    pub(super) fn serve<T>(
        self,
        client: impl FnOnce(SocketAddr, SocketAddr) -> T + Send + 'static,
    ) -> T
    where
        T: Send + 'static,
    {
        let (address, admin) = (self.address, self.admin);
        let (end, told_to_end) = oneshot::channel::<()>();
        let client = thread::spawn(move || {
            // It ends when this does, well or not.
            let _end = end;
            client(address, admin)
        });
        self.gateway
            .serve(async {
                let _ = told_to_end.await;
                Ok(())
            })
            .unwrap();
        client.join().unwrap()
    }
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// What is answered to a request for `path`.
pub(super) fn get(address: SocketAddr, path: &str) -> String {
    let mut client = request(address, path);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

/// A connection on which `path` is asked for.
pub(super) fn request(address: SocketAddr, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    client
}

/// The body of an answer of `200`.
pub(super) fn body(answer: &str) -> &str {
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1
}

/// What `make` makes once it is as `expected`, or when patience ends.
pub(super) fn eventually<T>(make: impl Fn() -> T, expected: impl Fn(&T) -> bool) -> T {
    let begin = Instant::now();
    loop {
        let made = make();
        if expected(&made) || begin.elapsed() > PATIENCE {
            return made;
        }
        thread::yield_now();
    }
}

/// A service that answers its first request with `done`, and only once it is let to.
pub(super) struct SlowService {
    pub(super) address: SocketAddr,
    pub(super) asked: mpsc::Receiver<()>,
    pub(super) answer: mpsc::Sender<()>,
}

impl SlowService {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (is_asked, asked) = mpsc::channel();
        let (answer, may_answer) = mpsc::channel();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            is_asked.send(()).unwrap();
            may_answer.recv_timeout(PATIENCE).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
            stream.write_all(answer).unwrap();
        });
        Self {
            address,
            asked,
            answer,
        }
    }
}
