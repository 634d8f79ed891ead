//! The process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// The services of `services.py`. They stop when this is dropped.
#[derive(Debug)]
pub(super) struct Services {
    process: Child,
    /// The authorizer and the rate limit service that are asked by gRPC.
    pub(super) grpc: SocketAddr,
    /// The authorizer that is asked by HTTP.
    pub(super) http: SocketAddr,
}

impl Services {
    /// Starts them, and waits until they listen.
    pub(super) fn start() -> Self {
        let mut process = Command::new("grpcio-python")
            .args(["-c", include_str!("services.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`grpcio-python` is in PATH: see .ci/install");
        let output = process.stdout.take().expect("it is piped");
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        read.expect("it says where it listens");
        let ports: Vec<u16> = line
            .split_whitespace()
            .filter_map(|port| port.parse().ok())
            .collect();
        let [grpc, http] = ports[..] else {
            panic!("two ports are expected: {line}");
        };
        Self {
            process,
            grpc: ([127, 0, 0, 1], grpc).into(),
            http: ([127, 0, 0, 1], http).into(),
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
