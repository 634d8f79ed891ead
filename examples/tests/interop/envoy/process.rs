//! The process.

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::exchange::send;

/// How often, and how long in between, it is asked whether Envoy is up.
const LOOKS: u32 = 600;
const PAUSE: Duration = Duration::from_millis(50);

/// An Envoy, found in `PATH`. It is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Envoy {
    process: Child,
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
        let log = fs::File::create(file("log")).expect("it can be written");
        let mut process = Command::new("envoy")
            .arg("--config-path")
            .arg(file("envoy.json"))
            .arg("--admin-address-path")
            .arg(file("admin"))
            .args(["--disable-hot-restart", "--concurrency", "1"])
            .args(["--log-level", "warning"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("`envoy` is in PATH: see .ci/install");
        for _ in 0..LOOKS {
            let admin = fs::read_to_string(file("admin")).ok();
            let admin: Option<SocketAddr> = admin.and_then(|admin| admin.trim().parse().ok());
            if let Some((admin, address)) = admin.and_then(|admin| Some((admin, listener(admin)?)))
            {
                return Self {
                    process,
                    admin,
                    address,
                    _directory: directory,
                };
            }
            let ended = process.try_wait().expect("it was not waited for");
            let log = || fs::read_to_string(file("log")).unwrap_or_default();
            assert!(ended.is_none(), "envoy ended: {}\n{bootstrap:#}", log());
            sleep(PAUSE);
        }
        let _ = process.kill();
        panic!("envoy does not serve after {:?}", PAUSE * LOOKS);
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

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address of the listener, once Envoy serves.
fn listener(admin: SocketAddr) -> Option<SocketAddr> {
    if ask(admin, "/ready")? != "LIVE\n" {
        return None;
    }
    let listeners: Value = serde_json::from_str(&ask(admin, "/listeners?format=json")?).ok()?;
    let socket = listeners.pointer("/listener_statuses/0/local_address/socket_address")?;
    let port = u16::try_from(socket.get("port_value")?.as_u64()?).ok()?;
    Some(([127, 0, 0, 1], port).into())
}

fn ask(admin: SocketAddr, path: &str) -> Option<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    Some(send(admin, request.as_bytes()).ok()?.body)
}
