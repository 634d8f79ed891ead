//! The gateway while its configuration is replaced again and again: under load, and how soon a change
//! is served.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../mesh-tls/tests/interop/lines.rs"]
mod lines;

use std::convert::Infallible;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use examples::body::Body;
use examples::serve::{Connection, Limits, Workers};
use http::{Request, Response};
use hyper::body::Incoming;
use tower::service_fn;

use crate::lines::Lines;

const CHANGES: usize = 200;

#[test]
#[ignore = "needs wrk"]
fn no_request_fails_while_the_configuration_is_replaced_two_hundred_times() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.yaml");
    let endpoints = [late(), late()].map(|(workers, address)| (workers, address.port()));
    let [(_, first), (_, second)] = endpoints;
    // Each change has other endpoints than the last one: one, both, the other, both.
    let turns = [
        vec![first],
        vec![first, second],
        vec![second],
        vec![second, first],
    ];
    let mut turns = turns.iter().cycle();
    let mut next = |change| write_with(&file, change, turns.next().unwrap());
    next(0);
    let mut gateway = Program::gateway(&file);
    let address = gateway.address();

    // What is answered at once, and what is owed an answer while the configuration changes.
    let loads = ["", "late"].map(|path| load(&format!("http://{address}/{path}")));
    for change in 1..=CHANGES {
        next(change);
        let served = format!("generation {} is served", change + 1);
        gateway.log.wait_for(&served);
    }
    for report in loads.map(interrupt) {
        assert!(report.contains("requests in"), "{report}");
        assert!(!report.contains(" 0 requests in"), "{report}");
        assert!(!report.contains("Socket errors"), "{report}");
        assert!(!report.contains("Non-2xx"), "{report}");
    }
}

/// Asks for the URL again and again, on 16 connections.
fn load(url: &str) -> Child {
    Command::new("wrk")
        .args(["--threads", "1", "--connections", "16"])
        // At most: it is interrupted when all is done.
        .args(["--duration", "120s"])
        .arg(url)
        .stdout(Stdio::piped())
        .spawn()
        .expect("`wrk` is in PATH: see .ci/install")
}

/// How long [`late`] takes to answer: most changes come while an answer is owed.
const LATE: Duration = Duration::from_millis(20);

/// A service that answers late.
fn late() -> (Workers, SocketAddr) {
    let workers = Workers::start(1, Limits::default(), || {
        |_: &Connection| {
            service_fn(|_: Request<Incoming>| async {
                tokio::time::sleep(LATE).await;
                Ok::<_, Infallible>(Response::new(Body::from(Bytes::from_static(b"late"))))
            })
        }
    });
    let workers = workers.unwrap();
    let address = workers.listen(0, ([127, 0, 0, 1], 0).into()).unwrap();
    (workers, address)
}

/// How soon a change is to be served.
const SOON: Duration = Duration::from_millis(200);
/// How long is waited for a change that is late.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
#[ignore = "measures time"]
fn a_change_of_the_file_is_served_within_two_hundred_milliseconds_and_no_request_fails() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.yaml");
    write(&file, 0);
    let mut gateway = Program::gateway(&file);
    let address = gateway.address();
    let mut took: Vec<Duration> = (1..=9)
        .map(|change| served(&file, address, change))
        .collect();
    took.sort();
    // The machine may be busy with something else once or twice.
    let median = took[took.len() / 2];
    assert!(median <= SOON, "{took:?}");
}

/// Changes the file, and asks until the change is served; gives how long that took.
#[expect(
    clippy::disallowed_methods,
    reason = "the time is that of whoever waits"
)]
fn served(file: &Path, address: SocketAddr, change: usize) -> Duration {
    let (before, after) = (format!("change {}", change - 1), format!("change {change}"));
    assert_eq!(get(address), before);
    let begin = Instant::now();
    write(file, change);
    loop {
        let body = get(address);
        let took = begin.elapsed();
        if body == after {
            return took;
        }
        assert_eq!(body, before);
        assert!(took < PATIENCE, "change {change} is not served");
    }
}

/// The body of an answer of `200`.
fn get(address: SocketAddr) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n";
    client.write_all(request).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Ends wrk, which reports then.
fn interrupt(wrk: Child) -> String {
    let pid = wrk.id().to_string();
    let interrupted = Command::new("kill").args(["-INT", &pid]).status();
    assert!(interrupted.unwrap().success(), "it has not ended by itself");
    let output = wrk.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A configuration of its own for each change, put in the place of the last as a whole.
fn write(file: &Path, change: usize) {
    // Nobody asks for it.
    write_with(file, change, &[9]);
}

/// The same, with a service at these ports for `/late`.
fn write_with(file: &Path, change: usize, ports: &[u16]) {
    let endpoints = ports.iter();
    let endpoints =
        endpoints.map(|port| format!("{{ address: 127.0.0.1, ports: {{ http: {port} }} }}"));
    let endpoints = endpoints.collect::<Vec<_>>().join(", ");
    let yaml = format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{ name: shop, namespace: shop }}
spec:
  selector: {{ istio: ingressgateway }}
  servers: [{{ port: {{ number: 80, name: http, protocol: HTTP }}, hosts: ['*'] }}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: late, namespace: shop }}
spec:
  hosts: [late.example]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints: [{endpoints}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: shop, namespace: shop }}
spec:
  hosts: ['*']
  gateways: [shop]
  http:
  - name: late-{change}
    match: [{{ uri: {{ exact: /late }} }}]
    route: [{{ destination: {{ host: late.example }} }}]
  - name: change-{change}
    directResponse: {{ status: 200, body: {{ string: 'change {change}' }} }}
"
    );
    let next = file.with_extension("next");
    fs::write(&next, yaml).unwrap();
    fs::rename(&next, file).unwrap();
}

/// The `ingress-gateway` example. It is killed when it is dropped.
struct Program {
    process: Child,
    log: Lines,
}

impl Program {
    fn gateway(config: &Path) -> Self {
        let cargo = |command| {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args([command, "--quiet", "-p", "examples"]);
            cargo.args(["--example", "ingress-gateway"]);
            cargo
        };
        assert!(cargo("build").status().unwrap().success());
        // On Unix cargo becomes the program that it runs.
        let mut process = cargo("run")
            .args(["--", "--config"])
            .arg(config)
            .args(["--bind", "127.0.0.1", "--map-port", "80=0"])
            .args(["--threads", "1", "--admin", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Lines::of(process.stderr.take());
        Self { process, log }
    }

    /// Where port 80 is served, once it is.
    fn address(&mut self) -> SocketAddr {
        let line = self.log.wait_for("port 80 is served at ");
        let (_, address) = line.rsplit_once(' ').unwrap();
        address.parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
