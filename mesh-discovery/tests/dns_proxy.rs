//! Clients of the DNS proxy, over UDP and TCP, with a server behind it.
#![cfg(feature = "dns-proxy")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[expect(dead_code, reason = "no test uses all of it")]
#[path = "support/dns_server.rs"]
mod dns_server;

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use mesh_core::config::MeshConfig;
use mesh_core::parse::{Limits, parse};
use mesh_core::resource::Object;
use mesh_core::watch;
use mesh_core::workload::Workload;
use mesh_discovery::dns_proxy::{DnsProxy, DnsProxyOptions, NameTable};
use mesh_discovery::registry::{Change, Debounce, EndpointUpdate, Registry};
use mesh_discovery::source::Update;
use mesh_discovery::vip::Vips;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use dns_server::{DnsServer, wait_for_queries};

/// Far more than any answer on loopback takes.
const PATIENCE: Duration = Duration::from_secs(20);

const MESH: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { clusterIP: 10.96.0.7, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: db, namespace: shop }
spec: { clusterIP: None, selector: { app: db }, ports: [{ name: tcp, port: 5432 }] }
---
apiVersion: v1
kind: Pod
metadata: { name: db-0, namespace: shop, labels: { app: db } }
spec: { hostname: db-0, subdomain: db }
status: { podIP: 10.0.0.1, conditions: [{ type: Ready, status: 'True' }] }
---
apiVersion: v1
kind: Pod
metadata: { name: db-1, namespace: shop, labels: { app: db } }
spec: { hostname: db-1, subdomain: db }
status: { podIP: 10.0.0.2, conditions: [{ type: Ready, status: 'False' }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: allocated, namespace: shop }
spec: { hosts: [allocated.example], resolution: DNS, ports: [{ number: 80, name: http }] }
status:
  addresses:
  - { host: allocated.example, value: 240.240.0.9 }
  - { host: allocated.example, value: '2001:2::9' }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: range, namespace: shop }
spec: { hosts: [range.example], addresses: [192.0.2.0/24], ports: [{ number: 80, name: http }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: written, namespace: shop }
spec:
  hosts: [written.example]
  addresses: [192.0.2.7, '2001:db8::7']
  ports: [{ number: 80, name: http }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: hidden, namespace: bank }
spec:
  hosts: [hidden.example]
  addresses: [192.0.2.1]
  exportTo: ['.']
  ports: [{ number: 80, name: http }]
";

fn config() -> MeshConfig {
    let builder = MeshConfig::builder().extend(objects(MESH));
    builder.build(1).unwrap()
}

fn objects(text: &str) -> Vec<Object> {
    let parsed = parse("mesh.yaml", text, &Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    parsed.objects
}

fn addresses(table: &NameTable, name: &str) -> Option<Vec<String>> {
    let found = table.lookup(name)?;
    Some(found.addresses().iter().map(ToString::to_string).collect())
}

#[test]
fn a_workload_finds_what_it_sees_by_the_names_that_it_may_use() {
    let own = Workload::sidecar("shop");
    let table = NameTable::builder(&own).build(&config());
    let found = |name: &str| addresses(&table, name).map(|all| all.join(" "));
    let cases = [
        ("cart.shop.svc.cluster.local.", Some("10.96.0.7")),
        ("cart.shop.svc.", Some("10.96.0.7")),
        ("cart.", Some("10.96.0.7")),
        ("cart.shop.svc.cluster.", None),
        ("db.shop.", Some("10.0.0.1")),
        ("db-0.db.shop.svc.cluster.local.", Some("10.0.0.1")),
        ("db-0.db.", Some("10.0.0.1")),
        ("db-1.db.", None),
        ("allocated.example.", Some("240.240.0.9 2001:2::9")),
        ("range.example.", None),
        ("hidden.example.", None),
    ];
    for (name, expected) in cases {
        assert_eq!(found(name).as_deref(), expected, "{name}");
    }

    let mut other = Workload::sidecar("elsewhere");
    other.addresses = vec![[10, 0, 0, 9].into()];
    let table = NameTable::builder(&other).build(&config());
    assert_eq!(addresses(&table, "cart."), None, "not its namespace");
    assert!(addresses(&table, "cart.shop.").is_some());
    let v4_alone = Some(vec!["240.240.0.9".to_owned()]);
    assert_eq!(addresses(&table, "allocated.example."), v4_alone);
    let both = Some(vec!["192.0.2.7".to_owned(), "2001:db8::7".to_owned()]);
    assert_eq!(addresses(&table, "written.example."), both);
}

#[test]
fn a_host_keeps_the_address_that_it_was_given_when_its_endpoints_change() {
    let entry = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: books, namespace: shop }
spec:
  hosts: [books.example]
  resolution: STATIC
  ports: [{ number: 80, name: http }]
  workloadSelector: { labels: { app: books } }
";
    let pod = |number: u8| {
        format!(
            "
apiVersion: v1
kind: Pod
metadata: {{ name: books-{number}, namespace: shop, labels: {{ app: books }} }}
status: {{ podIP: 10.0.0.{number}, conditions: [{{ type: Ready, status: 'True' }}] }}
"
        )
    };
    let now = tokio::time::Instant::now().into_std();
    let mut registry = Registry::new(MeshConfig::builder())
        .with_debounce(Debounce::NONE)
        .with_vips(Vips::default());
    let source = registry.add_source("files");
    let all = objects(&format!("{entry}---{}", pod(5)));
    registry.handle_update(source, Update::All(all), now);
    let Some(Change::Config(config)) = registry.poll(now) else {
        panic!()
    };
    let applied = objects(&pod(6));
    let removed = Vec::new();
    registry.handle_update(source, Update::Changes { applied, removed }, now);
    let Some(Change::Endpoints(updates)) = registry.poll(now) else {
        panic!()
    };
    let service = updates[0].service();
    assert_eq!(service.endpoints(&service.ports[0]).len(), 2);

    let own = Workload::sidecar("shop");
    let before = NameTable::builder(&own).build(&config);
    let after = NameTable::builder(&own)
        .with_updates(&updates)
        .build(&config);
    let given = Some(vec!["240.240.0.1".to_owned(), "2001:2::1".to_owned()]);
    assert_eq!(addresses(&before, "books.example."), given);
    assert_eq!(addresses(&after, "books.example."), given);
}

#[test]
fn names_that_a_sidecar_does_not_import_itself_are_left_to_others() {
    let text = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default, namespace: shop }
spec: { egress: [{ hosts: [./cart.example] }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: cart, namespace: shop }
spec:
  hosts: [cart.example]
  http: [{ route: [{ destination: { host: books.example } }] }]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: cart, namespace: shop }
spec: { hosts: [cart.example], resolution: DNS, ports: [{ number: 80, name: http }] }
status: { addresses: [{ host: cart.example, value: 240.240.0.1 }] }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: books, namespace: shop }
spec: { hosts: [books.example], resolution: DNS, ports: [{ number: 80, name: http }] }
status: { addresses: [{ host: books.example, value: 240.240.0.2 }] }
";
    let config = MeshConfig::builder().extend(objects(text));
    let config = config.build(1).unwrap();
    let table = NameTable::builder(&Workload::sidecar("shop")).build(&config);
    assert!(table.lookup("cart.example.").is_some());
    let found = table.lookup("books.example.");
    assert!(found.is_none(), "nothing listens at its address: {found:?}");
}

#[test]
fn entries_of_one_host_are_answered_together() {
    let entry = |name: &str, address: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name}, namespace: shop }}
spec:
  hosts: [db.example]
  addresses: [{address}]
  resolution: STATIC
  ports: [{{ number: 80, name: http }}]
---
"
        )
    };
    let text = entry("a", "192.0.2.1") + &entry("b", "192.0.2.2") + &entry("c", "192.0.2.1");
    let found = told(&text, &Workload::sidecar("shop"), "db.example.");
    assert_eq!(found.as_deref(), Some("192.0.2.1 192.0.2.2"));
}

const TWO_PORTS: &str = "
apiVersion: v1
kind: Service
metadata: { name: db, namespace: shop }
spec: { clusterIP: None, ports: [{ name: one, port: 1 }, { name: two, port: 2 }] }
---
";

/// A slice of the service with two ports, for one of them.
fn slice_of(port: &str, address: &str) -> String {
    format!(
        "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{ name: db-{port}, namespace: shop, labels: {{ kubernetes.io/service-name: db }} }}
addressType: IPv4
ports: [{{ name: {port}, port: 5432 }}]
endpoints: [{{ addresses: [{address}] }}]
---
"
    )
}

#[test]
fn headless_services_are_answered_by_the_endpoints_of_all_of_their_ports() {
    let text = TWO_PORTS.to_owned() + &slice_of("one", "10.0.0.1") + &slice_of("two", "10.0.0.2");
    let found = told(&text, &Workload::sidecar("shop"), "db.shop.");
    assert_eq!(found.as_deref(), Some("10.0.0.1 10.0.0.2"));
}

#[test]
fn headless_services_are_answered_alike_whichever_of_their_ports_are_imported() {
    let sidecar = "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: default, namespace: shop }
spec:
  egress:
  - { port: { number: 2, name: two, protocol: TCP }, hosts: [./*] }
  - { port: { number: 1, name: one, protocol: TCP }, hosts: [./*] }
---
";
    let text = sidecar.to_owned() + TWO_PORTS + &slice_of("one", "10.0.0.1");
    let config = |text: &str| {
        MeshConfig::builder()
            .extend(objects(text))
            .build(1)
            .unwrap()
    };
    let before = config(&text);
    let now = config(&(text + &slice_of("two", "10.0.0.2")));
    let update = now.services().declared("db.shop.svc.cluster.local").next();
    let update = EndpointUpdate::new(update.unwrap().clone());
    let own = Workload::sidecar("shop");
    let builder = NameTable::builder(&own);
    let updated = builder.clone().with_updates([&update]);
    let both = "10.0.0.1 10.0.0.2";
    let cases = [
        ("before", builder.build(&before), "10.0.0.1"),
        ("after", builder.build(&now), both),
        ("after an update", updated.build(&before), both),
    ];
    for (name, table, expected) in cases {
        let found = addresses(&table, "db.shop.").unwrap_or_default().join(" ");
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn entries_that_are_not_resolved_are_answered_by_the_workloads_that_they_select() {
    let text = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: db, namespace: shop }
spec:
  hosts: [db.example]
  location: MESH_INTERNAL
  ports: [{ number: 80, name: http }]
  workloadSelector: { labels: { app: db } }
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: { name: db, namespace: shop }
spec: { address: 10.0.0.9, labels: { app: db }, network: far }
";
    let mut own = Workload::sidecar("shop");
    let found = told(text, &own, "db.example.");
    assert_eq!(found.as_deref(), Some("10.0.0.9"), "of no known network");
    own.network = "near".into();
    assert_eq!(told(text, &own, "db.example."), None, "not of its network");
}

/// The addresses that a workload is told of a name.
fn told(text: &str, own: &Workload, name: &str) -> Option<String> {
    let config = MeshConfig::builder().extend(objects(text));
    let config = config.build(1).unwrap();
    let table = NameTable::builder(own).build(&config);
    addresses(&table, name).map(|all| all.join(" "))
}

/// A proxy on loopback, over both transports at one port each.
struct Running {
    udp: SocketAddr,
    tcp: SocketAddr,
    publisher: watch::Publisher<Option<NameTable>>,
    _tasks: JoinSet<()>,
}

async fn start(options: DnsProxyOptions) -> Running {
    let (publisher, table) = watch::channel(None);
    let proxy = DnsProxy::new(table, options);
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (udp_address, tcp_address) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    let over_udp = proxy.clone();
    tasks.spawn(async move { over_udp.serve_udp(udp).await.unwrap() });
    tasks.spawn(async move { proxy.serve_tcp(tcp).await.unwrap() });
    Running {
        udp: udp_address,
        tcp: tcp_address,
        publisher,
        _tasks: tasks,
    }
}

fn query(name: &str) -> Vec<u8> {
    let mut message = Message::new(0x1234, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

async fn ask_udp(server: SocketAddr, name: &str) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&query(name), server).await.unwrap();
    let mut buffer = [0; 4096];
    let length = timeout(PATIENCE, socket.recv(&mut buffer))
        .await
        .unwrap()
        .unwrap();
    Message::from_vec(&buffer[..length]).unwrap()
}

async fn ask_tcp(stream: &mut TcpStream, name: &str) -> Message {
    let query = query(name);
    stream
        .write_u16(query.len().try_into().unwrap())
        .await
        .unwrap();
    stream.write_all(&query).await.unwrap();
    let length = timeout(PATIENCE, stream.read_u16()).await.unwrap().unwrap();
    let mut answer = vec![0; length.into()];
    stream.read_exact(&mut answer).await.unwrap();
    Message::from_vec(&answer).unwrap()
}

fn text(message: &Message) -> String {
    assert_eq!(message.metadata.id, 0x1234);
    let records = message.answers.iter().map(|record| record.data.to_string());
    let records = records.collect::<Vec<_>>().join(" ");
    format!("{} {records}", message.metadata.response_code)
        .trim()
        .to_owned()
}

#[tokio::test]
async fn hosts_of_the_mesh_are_answered_and_others_asked_for_elsewhere() {
    let server = DnsServer::start().await;
    server.set("elsewhere.example.", 60, &["198.51.100.1"]);
    let many: Vec<String> = (0..200).map(|last| format!("192.0.2.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    server.set("many.example.", 60, &many);
    let upstream = vec![server.address];
    let proxy = start(DnsProxyOptions {
        upstream,
        ..DnsProxyOptions::default()
    })
    .await;

    let before = ask_udp(proxy.udp, "cart.shop.").await;
    assert_eq!(
        before.metadata.response_code,
        ResponseCode::ServFail,
        "no table yet"
    );
    assert!(server.queries().is_empty());

    let table = NameTable::builder(&Workload::sidecar("shop")).build(&config());
    proxy.publisher.publish(Some(table));
    let mut stream = TcpStream::connect(proxy.tcp).await.unwrap();
    for (name, data) in [
        ("cart.shop.", "10.96.0.7"),
        ("elsewhere.example.", "198.51.100.1"),
    ] {
        let over_udp = ask_udp(proxy.udp, name).await;
        assert!(
            text(&over_udp).ends_with(data),
            "{name}: {}",
            text(&over_udp)
        );
        let over_tcp = ask_tcp(&mut stream, name).await;
        assert_eq!(text(&over_tcp), text(&over_udp), "{name}");
    }
    let forwarded = ["udp A elsewhere.example.", "tcp A elsewhere.example."];
    assert_eq!(server.queries(), forwarded, "each as it came");

    let absent = ask_udp(proxy.udp, "absent.example.").await;
    assert_eq!(absent.metadata.response_code, ResponseCode::NXDomain);
    assert!(
        ask_udp(proxy.udp, "many.example.")
            .await
            .metadata
            .truncation
    );
    assert_eq!(
        ask_tcp(&mut stream, "many.example.").await.answers.len(),
        200
    );
}

#[tokio::test]
async fn servers_that_do_not_answer_are_passed_over_and_without_any_there_is_a_failure() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let server = DnsServer::start().await;
    server.set("a.example.", 60, &["198.51.100.1"]);
    let options = DnsProxyOptions {
        upstream: vec![silent.local_addr().unwrap(), server.address],
        timeout: Duration::from_millis(200),
        forward_before_table: true,
        ..DnsProxyOptions::default()
    };
    let proxy = start(options).await;
    let (answer, ()) = tokio::join!(
        ask_udp(proxy.udp, "a.example."),
        wait_for_queries(&server, 1)
    );
    assert!(text(&answer).ends_with("198.51.100.1"), "{}", text(&answer));

    let proxy = start(DnsProxyOptions {
        forward_before_table: true,
        ..DnsProxyOptions::default()
    });
    let answer = ask_udp(proxy.await.udp, "a.example.").await;
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}
