//! The gateway under load, while its configuration is replaced again and again.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

const CHANGES: usize = 200;
/// How long each change is served: longer than the quiet time after which files are read.
const PAUSE: Duration = Duration::from_millis(100);
/// How often, with such a pause, something is looked for that is to happen.
const LOOKS: usize = 100;

#[test]
#[ignore = "needs wrk"]
fn no_request_fails_while_the_configuration_is_replaced_two_hundred_times() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shop.yaml");
    write(&file, 0);
    let mut gateway = Program::gateway(&file, &directory);
    let address = gateway.address();

    let seconds = CHANGES as u64 * PAUSE.as_millis() as u64 / 1000 + 5;
    let wrk = Command::new("wrk")
        .args(["--threads", "1", "--connections", "16", "--duration"])
        .arg(format!("{seconds}s"))
        .arg(format!("http://{address}/"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("`wrk` is in PATH: see .ci/install");
    for change in 1..=CHANGES {
        write(&file, change);
        sleep(PAUSE);
    }
    let report = wrk.wait_with_output().unwrap();
    let report = String::from_utf8(report.stdout).unwrap();

    assert!(report.contains("requests in"), "{report}");
    assert!(!report.contains("Socket errors"), "{report}");
    assert!(!report.contains("Non-2xx"), "{report}");
    let served = gateway.log().matches("is served\n").count();
    assert!(served > CHANGES / 2, "{served} changes took effect");
    gateway.waits_for(&format!("generation {} is served", served + 1));
}

/// A configuration of its own for each change, put in the place of the last as a whole.
fn write(file: &Path, change: usize) {
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
kind: VirtualService
metadata: {{ name: shop, namespace: shop }}
spec:
  hosts: ['*']
  gateways: [shop]
  http:
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
    log: std::path::PathBuf,
}

impl Program {
    fn gateway(config: &Path, directory: &TempDir) -> Self {
        let log = directory.path().join("log");
        let cargo = |command| {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args([command, "--quiet", "-p", "examples"]);
            cargo.args(["--example", "ingress-gateway"]);
            cargo
        };
        assert!(cargo("build").status().unwrap().success());
        // On Unix cargo becomes the program that it runs.
        let process = cargo("run")
            .args(["--", "--config"])
            .arg(config)
            .args([
                "--bind",
                "127.0.0.1",
                "--map-port",
                "80=0",
                "--threads",
                "1",
            ])
            .args(["--admin", "127.0.0.1:0"])
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        Self { process, log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Where it serves port 80, once it does.
    fn address(&mut self) -> String {
        self.waits_for("port 80 is served at ");
        let log = self.log();
        let (_, rest) = log.split_once("port 80 is served at ").unwrap();
        rest.lines().next().unwrap().to_owned()
    }

    fn waits_for(&mut self, line: &str) {
        for _ in 0..LOOKS {
            if self.log().contains(line) {
                return;
            }
            assert!(self.process.try_wait().unwrap().is_none(), "{}", self.log());
            sleep(PAUSE);
        }
        panic!("no `{line}` in:\n{}", self.log());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
