//! Which sockets are bound for the ports that Gateways declare.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use examples::gateway::{Gateway, PublishError};
use mesh_core::model::Model;

use crate::scene::{LISTEN, ask, model_of, settings};

/// What comes of `attempt` with a port that nobody had a moment ago. Other tests may have got it since:
/// then there is nothing, and another port is tried.
fn with_port<T>(attempt: impl Fn(u16) -> Option<T>) -> T {
    let free = || {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let came = (0..20).find_map(|_| attempt(free()));
    came.expect("one of many ports is free")
}

/// A gateway that serves `model`, if it can bind what the first configuration asks for. Declared ports
/// are those of `ports` instead.
fn serving(ports: &[(u16, u16)], model: &Model) -> Option<(Gateway, Vec<String>)> {
    let mut settings = settings();
    settings.ports.extend(ports.iter().copied());
    let mut gateway = Gateway::start(settings).unwrap();
    match gateway.publish(model) {
        Ok(warnings) => Some((gateway, warnings)),
        Err(PublishError::Bind(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

/// A Gateway for `port`.
fn declaring(port: u16) -> String {
    let named = LISTEN.replace("name: shop", &format!("name: shop-{port}"));
    named.replace("number: 80", &format!("number: {port}"))
}

/// Gateways for both.
fn declaring_both(one: u16, other: u16) -> Model {
    model_of(&format!("{}---{}", declaring(one), declaring(other)))
}

#[test]
fn a_port_that_is_taken_leaves_the_others_served() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let (mut gateway, _) = serving(&[(80, 0), (81, port)], &model_of(&declaring(80))).unwrap();
    let served = gateway.address(80).unwrap();

    let model = declaring_both(80, 81);
    let warnings = gateway.publish(&model).unwrap();
    let told = format!("listener `0.0.0.0_81` is not served: 127.0.0.1:{port}: ");
    assert!(warnings[0].starts_with(&told), "{warnings:?}");
    assert_eq!(gateway.unbound()[0].to_string(), warnings[0]);
    assert_eq!(gateway.addresses().collect::<Vec<_>>(), [(80, served)]);
}

#[test]
fn a_port_that_was_taken_is_served_by_the_first_configuration_after_it_is_free() {
    let (gateway, served, port) = with_port(|port| {
        let taken = TcpListener::bind(("127.0.0.1", port)).ok()?;
        let model = declaring_both(80, 81);
        let (mut gateway, warnings) = serving(&[(80, 0), (81, port)], &model)?;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let served = gateway.address(80).unwrap();
        drop(taken);
        let warnings = gateway.publish(&model).unwrap();
        warnings.is_empty().then_some((gateway, served, port))
    });
    assert!(gateway.unbound().is_empty());
    assert_eq!(gateway.address(80), Some(served));
    assert_eq!(gateway.address(81).unwrap().port(), port);
}

#[test]
fn a_first_configuration_none_of_whose_ports_can_be_bound_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    assert!(serving(&[(80, port)], &model_of(LISTEN)).is_none());
}

/// Servers for port 80, one at an address of its own.
const SERVERS: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: any, namespace: shop }
spec:
  selector: { istio: ingressgateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: own, namespace: shop }
spec:
  selector: { istio: ingressgateway }
  servers: [{ bind: 127.0.0.7, port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: any, namespace: shop }
spec:
  hosts: ['*']
  gateways: [any]
  http: [{ directResponse: { status: 200, body: { string: any } } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: own, namespace: shop }
spec:
  hosts: ['*']
  gateways: [own]
  http: [{ directResponse: { status: 200, body: { string: own } } }]
";

#[test]
fn a_port_is_served_at_each_address_that_servers_bind() {
    // One port of all addresses and of one, and two ports.
    let any = with_port(|port| serving_at([0, 0, 0, 0], port));
    let one = serving_at([127, 0, 0, 1], 0).unwrap();
    for (bind, gateway) in [([0, 0, 0, 0], any), ([127, 0, 0, 1], one)] {
        assert_eq!(gateway.addresses().count(), 2);
        assert_eq!(gateway.address(80).unwrap().ip(), IpAddr::from(bind));
        for (_, address) in gateway.addresses() {
            let is_own = address.ip() == IpAddr::from([127, 0, 0, 7]);
            let mut client = TcpStream::connect(address).unwrap();
            let answer = ask(&mut client, "/");
            let expected = if is_own { "own" } else { "any" };
            assert!(answer.ends_with(expected), "{address}: {answer}");
        }
    }
}

/// A gateway that serves [`SERVERS`], those without an address of their own at `bind`, if nobody else has
/// the port there.
fn serving_at(bind: [u8; 4], port: u16) -> Option<Gateway> {
    let mut settings = settings();
    settings.bind = bind.into();
    settings.ports.insert(80, port);
    let mut gateway = Gateway::start(settings).unwrap();
    let warnings = gateway.publish(&model_of(SERVERS)).ok()?;
    warnings.is_empty().then_some(gateway)
}

#[test]
fn two_ports_are_not_bound_as_one() {
    let model = declaring_both(80, 81);
    let (mut gateway, first) = with_port(|port| serving(&[(80, port), (81, port)], &model));
    let second = gateway.publish(&model).unwrap();
    for warnings in [first, second] {
        assert!(
            warnings[0].contains("another listener is bound there"),
            "{warnings:?}"
        );
        assert_eq!(gateway.addresses().count(), 1);
    }
}

#[test]
fn a_port_that_is_served_is_not_given_to_another_that_is_declared() {
    let (mut gateway, _) = with_port(|port| {
        let ports = [(80, port), (8080, port)];
        serving(&ports, &model_of(&declaring(8080)))
    });
    let served = gateway.address(8080).unwrap();
    let warnings = gateway.publish(&declaring_both(80, 8080)).unwrap();
    let told = format!("listener `0.0.0.0_80` is not served: {served}: another listener is bound");
    assert!(warnings[0].starts_with(&told), "{warnings:?}");
    assert_eq!(gateway.addresses().collect::<Vec<_>>(), [(8080, served)]);

    gateway.publish(&model_of(&declaring(80))).unwrap();
    assert_eq!(gateway.addresses().collect::<Vec<_>>(), [(80, served)]);
}

#[test]
fn a_port_can_change_hands() {
    let (mut gateway, port) = with_port(|port| {
        let ports = [(80, port), (81, port)];
        let (gateway, _) = serving(&ports, &model_of(&declaring(80)))?;
        Some((gateway, port))
    });
    let served = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(gateway.addresses().collect::<Vec<_>>(), [(80, served)]);
    gateway.publish(&model_of(&declaring(81))).unwrap();
    assert_eq!(gateway.addresses().collect::<Vec<_>>(), [(81, served)]);
}

#[test]
fn a_listener_is_bound_where_it_says() {
    let text = LISTEN.replace("hosts:", "bind: 127.0.0.7, hosts:");
    let mut gateway = Gateway::start(settings()).unwrap();
    gateway.publish(&model_of(&text)).unwrap();
    let bound = gateway.address(80).unwrap();
    assert_eq!(bound.ip(), IpAddr::from([127, 0, 0, 7]));
}
