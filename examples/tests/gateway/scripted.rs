//! Services that answer as a test says, step by step, behind the whole gateway: what they owe when the
//! configuration changes, and what they say before a request has been sent.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::scene::{Scene, ask, read};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(20));
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const DONE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";

/// A service whose connections are taken one after the other.
struct Service {
    listener: TcpListener,
    port: u16,
}

impl Service {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { listener, port }
    }

    /// The service as `name`.example in the configuration.
    fn yaml(&self, name: &str) -> String {
        let port = self.port;
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name}, namespace: shop }}
spec:
  hosts: [{name}.example]
  resolution: STATIC
  ports: [{{ number: 80, name: http, protocol: HTTP }}]
  endpoints: [{{ address: 127.0.0.1, ports: {{ http: {port} }} }}]
"
        )
    }

    fn accept(&self) -> TcpStream {
        let (connection, _) = self.listener.accept().unwrap();
        connection.set_read_timeout(PATIENCE).unwrap();
        connection
    }
}

fn say(connection: &mut TcpStream, text: &str) {
    connection.write_all(text.as_bytes()).unwrap();
}

/// What comes up to `end`.
fn until(connection: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let mut byte = [0];
        connection.read_exact(&mut byte).unwrap();
        text.extend(byte);
    }
    String::from_utf8(text).unwrap()
}

fn head(connection: &mut TcpStream) -> String {
    until(connection, "\r\n\r\n")
}

/// A gateway that routes all to `told.example`, which is the service, as `further` says.
fn before(told: &Service, further: &str, resources: &str) -> Scene {
    let mut scene = Scene::new("\n  - route: [{ destination: { host: cart.example } }]\n");
    let rules = format!("\n  - route: [{{ destination: {{ host: told.example }} }}]{further}\n");
    let resources = format!("{}{resources}", told.yaml("told"));
    assert_eq!(scene.publish(&rules, &resources), [""; 0]);
    scene
}

/// Posts a body of `abc` that waits to be asked for.
fn post(scene: &Scene) -> TcpStream {
    let mut client = scene.connect();
    let head = "POST /cart HTTP/1.1\r\nhost: shop.example\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
    say(&mut client, head);
    client
}

/// What becomes of a body that the service asks for, and of the request.
fn continued(scene: &Scene) {
    let mut client = post(scene);
    assert_eq!(head(&mut client), CONTINUE);
    say(&mut client, "abc");
    let answer = read(&mut client);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("done"), "{answer}");
}

/// Asks for the body of the next request, and answers it.
fn ask_for_body(connection: &mut TcpStream) {
    let head = head(connection);
    assert!(head.contains("expect: 100-continue\r\n"), "{head}");
    assert!(head.contains("content-length: 3\r\n"), "{head}");
    say(connection, CONTINUE);
    until(connection, "abc");
    say(connection, DONE);
}

const RETRIES: &str = "\n    retries: { attempts: 2, retryOn: 5xx }";

#[test]
fn a_body_is_sent_once_the_service_asks_for_it() {
    for further in ["", RETRIES] {
        let told = Service::new();
        let scene = before(&told, further, "");
        let service = thread::spawn(move || ask_for_body(&mut told.accept()));
        continued(&scene);
        service.join().unwrap();
    }
}

#[test]
fn a_body_that_is_asked_for_is_sent_to_the_mirror_too() {
    let (told, copies) = (Service::new(), Service::new());
    let further = format!("{RETRIES}\n    mirror: {{ host: copies.example }}");
    let scene = before(&told, &further, &format!("---{}", copies.yaml("copies")));
    let service = thread::spawn(move || ask_for_body(&mut told.accept()));
    // It never says that it wants the body, and gets what the service gets.
    let mirror = thread::spawn(move || until(&mut copies.accept(), "abc"));
    continued(&scene);
    service.join().unwrap();
    let copy = mirror.join().unwrap();
    assert!(copy.starts_with("POST /cart HTTP/1.1\r\n"), "{copy}");
}

#[test]
fn a_service_that_does_not_want_the_body_is_heard() {
    let told = Service::new();
    let scene = before(&told, RETRIES, "");
    let service = thread::spawn(move || {
        let mut connection = told.accept();
        head(&mut connection);
        say(
            &mut connection,
            "HTTP/1.1 417 Expectation Failed\r\ncontent-length: 2\r\n\r\nno",
        );
    });
    let mut client = post(&scene);
    let answer = read(&mut client);
    assert!(answer.starts_with("HTTP/1.1 417 "), "{answer}");
    service.join().unwrap();
}

#[test]
fn the_attempt_that_asks_for_the_body_gets_it() {
    let told = Service::new();
    let scene = before(&told, RETRIES, "");
    let service = thread::spawn(move || {
        let mut first = told.accept();
        head(&mut first);
        let failed =
            "HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        say(&mut first, failed);
        drop(first);
        ask_for_body(&mut told.accept());
    });
    continued(&scene);
    service.join().unwrap();
}

/// A request that `told.example` owes an answer.
fn owed(told: Service) -> (Scene, TcpStream, TcpStream) {
    let scene = before(&told, "", "");
    let asking: JoinHandle<TcpStream> = thread::spawn(move || {
        let mut connection = told.accept();
        head(&mut connection);
        connection
    });
    let mut client = scene.connect();
    say(
        &mut client,
        "GET /late HTTP/1.1\r\nhost: shop.example\r\n\r\n",
    );
    let service = asking.join().unwrap();
    (scene, client, service)
}

#[test]
fn an_answer_that_is_owed_outlives_its_configuration() {
    let to_cart = "\n  - route: [{ destination: { host: cart.example } }]\n";
    let to_told = "\n  - route: [{ destination: { host: told.example } }]\n";
    let other = Service::new().yaml("told");
    // The route goes elsewhere; the service is gone with it; it has another endpoint.
    for (rules, keeps_service, other) in [
        (to_cart, true, None),
        (to_cart, false, None),
        (to_told, false, Some(&other)),
    ] {
        let told = Service::new();
        let own = told.yaml("told");
        let (mut scene, mut client, mut service) = owed(told);
        let resources = match (keeps_service, other) {
            (true, _) => own,
            (false, Some(other)) => other.clone(),
            (false, None) => String::new(),
        };
        let warnings = scene.publish(rules, &resources);
        assert_eq!(warnings, [""; 0]);
        say(&mut service, DONE);
        let answer = read(&mut client);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("done"), "{answer}");
        // The next request of the connection is one of the new configuration.
        assert_eq!(scene.publish(to_cart, ""), [""; 0]);
        let next = ask(&mut client, "/next");
        assert!(next.ends_with("GET /next"), "{next}");
    }
}

/// The services `kept`, whose endpoint has a weight, and `gone`, both with limits on connections.
fn limited(kept: &str, gone: &Service, weight: u32) -> String {
    let limit = |name: &str| {
        format!(
            "---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{ name: {name}, namespace: shop }}
spec:
  host: {name}.example
  trafficPolicy: {{ connectionPool: {{ tcp: {{ maxConnections: 9 }} }} }}
"
        )
    };
    let weighed = format!("address: 127.0.0.1, weight: {weight},");
    let kept = kept.replace("address: 127.0.0.1,", &weighed);
    let gone = gone.yaml("gone");
    format!("{kept}---{gone}{}{}", limit("kept"), limit("gone"))
}

#[test]
fn a_connection_is_kept_where_only_the_weight_of_its_endpoint_changes() {
    let rules = "
  - match: [{ uri: { exact: /kept } }]
    route: [{ destination: { host: kept.example } }]
  - route: [{ destination: { host: gone.example } }]
";
    let (kept, gone, elsewhere) = (Service::new(), Service::new(), Service::new());
    let mut scene = Scene::new(rules);
    let mut client = scene.connect();
    let resources = |gone: &Service, weight| limited(&kept.yaml("kept"), gone, weight);
    let all: Vec<String> = (1..=2).map(|weight| resources(&gone, weight)).collect();
    let last = resources(&elsewhere, 3);
    let one_connection = thread::spawn(move || {
        let mut connection = kept.accept();
        for _ in 0..3 {
            head(&mut connection);
            say(&mut connection, DONE);
        }
    });
    let until_closed = thread::spawn(move || {
        let mut connection = gone.accept();
        head(&mut connection);
        say(&mut connection, DONE);
        assert_eq!(connection.read(&mut [0]).unwrap(), 0);
    });
    for resources in all {
        assert_eq!(scene.publish(rules, &resources), [""; 0]);
        assert!(ask(&mut client, "/kept").ends_with("done"));
    }
    assert!(ask(&mut client, "/gone").ends_with("done"));
    assert_eq!(scene.publish(rules, &last), [""; 0]);
    // That is when unused connections were looked at.
    until_closed.join().unwrap();
    assert!(ask(&mut client, "/kept").ends_with("done"));
    one_connection.join().unwrap();
}
