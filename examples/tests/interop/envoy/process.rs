//! The process.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::exchange::send;
use crate::lines::Lines;

/// An Envoy, found in `PATH`.
#[derive(Debug)]
pub(crate) struct Envoy {
    _process: Process,
    admin: SocketAddr,
    address: SocketAddr,
    _directory: TempDir,
}

impl Envoy {
    /// Starts an Envoy with one listener and waits until it serves.
    pub(crate) fn start(bootstrap: &Value) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let file = |name: &str| directory.path().join(name);
        fs::write(file("envoy.json"), bootstrap.to_string()).expect("it can be written");
        let mut envoy = Command::new("envoy");
        envoy.arg("--config-path").arg(file("envoy.json"));
        envoy.arg("--admin-address-path").arg(file("admin"));
        envoy.args(["--disable-hot-restart", "--concurrency", "1"]);
        envoy.args([
            "--log-level",
            "warning",
            "--component-log-level",
            "config:info",
        ]);
        let (process, mut lines) = Process::start(&mut envoy);
        // It listens then, and has all that it waits for.
        lines.wait_for("starting workers");
        let admin = fs::read_to_string(file("admin")).expect("it has been written");
        let admin = admin.trim().parse().expect("it is an address");
        Self {
            _process: process,
            admin,
            address: listener(admin).expect("it says where it listens"),
            _directory: directory,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it says of itself at a path.
    pub(crate) fn ask(&self, path: &str) -> Option<String> {
        ask(self.admin, path)
    }
}

/// A process that is killed when it is dropped.
#[derive(Debug)]
struct Process(Child);

impl Process {
    /// Starts it, and reads what it logs.
    fn start(command: &mut Command) -> (Self, Lines) {
        let process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut process = process.expect("the program is in PATH: see .ci/install");
        let log = process.stderr.take().expect("it is piped");
        (Self(process), Lines::of([log]))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address of the listener.
fn listener(admin: SocketAddr) -> Option<SocketAddr> {
    let listeners: Value = serde_json::from_str(&ask(admin, "/listeners?format=json")?).ok()?;
    let socket = listeners.pointer("/listener_statuses/0/local_address/socket_address")?;
    let port = u16::try_from(socket.get("port_value")?.as_u64()?).ok()?;
    Some(([127, 0, 0, 1], port).into())
}

fn ask(admin: SocketAddr, path: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    Some(send(admin, request.as_bytes()).ok()?.body)
}
