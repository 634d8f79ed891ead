use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use examples::program::terminated;
use tokio::signal::unix::{SignalKind, signal};

use super::scene::{Config, PATIENCE, SlowService, eventually, get, request, routed, runtime};
use crate::IngressGateway;

#[test]
fn sigterm_lets_open_requests_finish_and_ends_the_program() {
    // Once somebody waits for the signal it does not end the process of the tests.
    let runtime = runtime();
    let _handled = {
        let _entered = runtime.enter();
        signal(SignalKind::terminate()).unwrap()
    };
    let service = SlowService::start();
    let config = Config::new(&to(&service));
    let options = config.options();
    let (started, at) = mpsc::channel();
    let program = thread::spawn(move || {
        let gateway = IngressGateway::start(&options).unwrap();
        let address = gateway.proxy.gateway().address(80).unwrap();
        let admin = gateway.admin.local_addr().unwrap();
        started.send((address, admin)).unwrap();
        gateway
            .serve(terminated())
            .map_err(|error| error.to_string())
    });
    let (address, admin) = at.recv_timeout(PATIENCE).unwrap();
    // Whoever gets an answer knows that signals are waited for, too.
    assert!(get(admin, "/healthz/ready").ends_with("ready\n"));
    let mut open = request(address, "/");
    service.asked.recv_timeout(PATIENCE).unwrap();

    let terminate = format!("kill -TERM {}", std::process::id());
    let told = Command::new("sh").args(["-c", &terminate]).status();
    assert!(told.unwrap().success());
    let taken = eventually(|| TcpStream::connect(address), Result::is_err);
    assert!(taken.is_err(), "nobody listens any more");
    assert!(!program.is_finished(), "a request is open");
    service.answer.send(()).unwrap();

    let mut answer = String::new();
    open.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("done"), "{answer}");
    assert_eq!(program.join().unwrap(), Ok(()));
}

/// All requests to `service`.
fn to(service: &SlowService) -> String {
    let (ip, port) = (service.address.ip(), service.address.port());
    let rules = routed("  - route: [{ destination: { host: slow.example } }]");
    format!(
        "{rules}---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: slow, namespace: shop }}
spec:
  hosts: [slow.example]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints: [{{ address: {ip}, ports: {{ http: {port} }} }}]
"
    )
}
