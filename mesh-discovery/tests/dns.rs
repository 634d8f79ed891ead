//! Names in clusters, resolved by a DNS server on loopback.
#![cfg(feature = "dns")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "support/dns_server.rs"]
mod dns_server;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use mesh_core::config::MeshConfig;
use mesh_core::model::cluster::{Cluster, EndpointAddress};
use mesh_core::parse::{Limits, parse};
use mesh_core::resolve::resolve;
use mesh_core::service::ClusterName;
use mesh_core::workload::Workload;
use mesh_discovery::endpoint::AddressText;
use mesh_discovery::locality::{Client, LocalityRules};
use mesh_discovery::source::dns::{
    AddressFamily, Answer, Backoff, DnsDriver, DynamicDns, DynamicDnsError, RefreshSettings,
    Resolve, Resolver, SrvDriver, by_priority,
};
use tokio::time::timeout;

use dns_server::{DnsServer, wait_for_queries};

/// Far more than any answer on loopback takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[tokio::test]
async fn addresses_of_both_families_are_found_with_the_least_time_to_live() {
    let server = DnsServer::start().await;
    server.set("a.example.", 60, &["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    server.set("alias.example.", 5, &["a.example."]);
    let resolver = Resolver::new([server.address]).unwrap();

    let addresses = ips(&["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
    let ttl = seconds(60);
    let found = Answer::Addresses {
        addresses: addresses.clone(),
        ttl,
    };
    assert_eq!(resolver.resolve("a.example").await, found);
    let found = Answer::Addresses {
        addresses,
        ttl: seconds(5),
    };
    assert_eq!(resolver.resolve("alias.example").await, found);
}

#[tokio::test]
async fn a_family_is_asked_for_alone_or_preferred() {
    let server = DnsServer::start().await;
    server.set("both.example.", 60, &["192.0.2.1", "2001:db8::1"]);
    server.set("four.example.", 60, &["192.0.2.4"]);
    let cases: [(AddressFamily, &str, &[&str]); 6] = [
        (AddressFamily::V4Only, "both.example", &["192.0.2.1"]),
        (AddressFamily::V6Only, "both.example", &["2001:db8::1"]),
        (AddressFamily::V6Only, "four.example", &[]),
        (AddressFamily::Auto, "both.example", &["2001:db8::1"]),
        (AddressFamily::Auto, "four.example", &["192.0.2.4"]),
        (AddressFamily::V4Preferred, "both.example", &["192.0.2.1"]),
    ];
    for (family, name, expected) in cases {
        let resolver = Resolver::new([server.address]).unwrap().with_family(family);
        let found = match resolver.resolve(name).await {
            Answer::Addresses { addresses, .. } => addresses,
            Answer::NoAddress => Vec::new(),
            Answer::Failed => panic!("{family:?} {name}"),
        };
        assert_eq!(found, ips(expected), "{family:?} {name}");
    }
}

#[tokio::test]
async fn a_negative_answer_is_told_from_a_failure() {
    let server = DnsServer::start().await;
    server.set("empty.example.", 60, &[]);
    let resolver = Resolver::new([server.address]).unwrap();
    for name in ["empty.example", "absent.example"] {
        assert_eq!(resolver.resolve(name).await, Answer::NoAddress, "{name}");
    }
    server.fail(Some(ResponseCode::ServFail));
    assert_eq!(resolver.resolve("empty.example").await, Answer::Failed);
    server.fail(Some(ResponseCode::Refused));
    assert_eq!(resolver.resolve("empty.example").await, Answer::Failed);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_asked_for_over_tcp() {
    let server = DnsServer::start().await;
    let many: Vec<String> = (0..200).map(|last| format!("192.0.2.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    server.set("many.example.", 60, &many);
    let resolver = Resolver::new([server.address])
        .unwrap()
        .with_family(AddressFamily::V4Only);
    let Answer::Addresses { addresses, .. } = resolver.resolve("many.example").await else {
        panic!();
    };
    assert_eq!(addresses.len(), 200);
    let queries = server.queries();
    assert!(
        queries.contains(&"tcp A many.example.".to_owned()),
        "{queries:?}"
    );
}

#[tokio::test]
async fn the_targets_of_a_service_are_grouped_by_priority() {
    let server = DnsServer::start().await;
    server.add_srv("_sip._tcp.example.", (20, 0, 5061), "reserve.example.");
    server.add_srv("_sip._tcp.example.", (10, 3, 5060), "a.example.");
    server.add_srv("_none._tcp.example.", (0, 0, 0), ".");
    let resolver = Resolver::new([server.address]).unwrap();
    let (targets, ttl) = resolver.lookup_srv("_sip._tcp.example").await.unwrap();
    assert_eq!(ttl, seconds(30));
    let groups = by_priority(targets);
    let first = EndpointAddress::Dns {
        host: "a.example".into(),
        port: 5060,
    };
    assert_eq!(groups[0][0].address, first);
    assert_eq!(groups[1][0].address.port(), Some(5061));
    for service in ["_none._tcp.example", "_absent._tcp.example"] {
        assert!(
            resolver.lookup_srv(service).await.unwrap().0.is_empty(),
            "{service}"
        );
    }
    server.fail(Some(ResponseCode::ServFail));
    assert!(resolver.lookup_srv("_sip._tcp.example").await.is_err());
}

#[tokio::test]
async fn that_there_is_no_service_is_good_for_as_long_as_the_zone_says() {
    let server = DnsServer::start().await;
    let resolver = Resolver::new([server.address]).unwrap();
    let ttl = async || resolver.lookup_srv("_sip._tcp.example").await.unwrap().1;
    assert_eq!(ttl().await, Duration::ZERO);
    for (record, minimum) in [(9, 7), (7, 9)] {
        server.set_authority("example.", record, minimum);
        assert_eq!(ttl().await, seconds(7));
    }
}

/// Waits until the cluster has these addresses, in this order.
async fn wait_for_targets(driver: &mut SrvDriver<Resolver>, expected: &[&str]) -> Arc<Cluster> {
    let found = async {
        loop {
            let cluster = driver.next().await;
            let addresses = cluster.endpoints.iter().map(|endpoint| &endpoint.address);
            let addresses: Vec<_> = addresses.map(|one| AddressText(one).to_string()).collect();
            if addresses == expected {
                return cluster;
            }
        }
    };
    timeout(PATIENCE, found).await.unwrap()
}

const SIP: &str = "_sip._tcp.example.";

/// A driver of the service, which looks up again soon after failures.
fn sip(server: &DnsServer) -> SrvDriver<Resolver> {
    let resolver = Resolver::new([server.address]).unwrap();
    let settings = RefreshSettings {
        backoff: Some(Backoff {
            base: Duration::from_millis(10),
            max: Duration::from_millis(50),
        }),
        ..RefreshSettings::default()
    };
    let cluster = Arc::new(Cluster::new(ClusterName::from("sip")));
    SrvDriver::new(resolver, cluster, "_sip._tcp.example", settings)
}

#[tokio::test]
async fn the_cluster_of_a_service_follows_its_targets_and_their_addresses() {
    let server = DnsServer::start().await;
    let (first, reserve) = ((10, 1, 5060), (20, 1, 5061));
    server.set_srv(SIP, 1, &[(reserve, "b.example."), (first, "a.example.")]);
    server.set("a.example.", 1, &["192.0.2.1", "192.0.2.2"]);
    server.set("b.example.", 60, &["2001:db8::3"]);
    let mut driver = sip(&server);
    let expected = ["192.0.2.1:5060", "192.0.2.2:5060", "[2001:db8::3]:5061"];
    let cluster = wait_for_targets(&mut driver, &expected).await;
    let weights = cluster.endpoints.iter().map(|endpoint| endpoint.weight);
    assert_eq!(weights.collect::<Vec<_>>(), [50, 50, 100]);
    let rules = LocalityRules::compile(&cluster, &Client::default());
    let priorities = cluster.endpoints.iter().map(|one| rules.priority(one));
    assert_eq!(priorities.collect::<Vec<_>>(), [Some(0), Some(0), Some(1)]);

    server.set("a.example.", 1, &["192.0.2.9"]);
    wait_for_targets(&mut driver, &["192.0.2.9:5060", "[2001:db8::3]:5061"]).await;
    server.set_srv(SIP, 1, &[(first, "c.example.")]);
    server.set("c.example.", 1, &["192.0.2.4"]);
    wait_for_targets(&mut driver, &["192.0.2.4:5060"]).await;
}

#[tokio::test]
async fn a_service_goes_and_comes_and_outlasts_a_server_that_fails() {
    let server = DnsServer::start().await;
    server.set_authority("example.", 1, 1);
    server.set("a.example.", 60, &["192.0.2.1"]);
    let target = ((0, 0, 5060), "a.example.");
    let mut driver = sip(&server);
    wait_for_targets(&mut driver, &[]).await;
    server.set_srv(SIP, 1, &[target]);
    wait_for_targets(&mut driver, &["192.0.2.1:5060"]).await;
    server.set_srv(SIP, 1, &[((0, 0, 0), ".")]);
    wait_for_targets(&mut driver, &[]).await;
    server.set_srv(SIP, 1, &[target]);
    wait_for_targets(&mut driver, &["192.0.2.1:5060"]).await;

    server.fail(Some(ResponseCode::ServFail));
    server.remove(SIP);
    tokio::select! {
        changed = driver.next() => panic!("a failure changes nothing, but {changed:?}"),
        () = wait_for_queries(&server, 4) => {}
    }
    assert!(driver.cluster().failures() > 0);
    server.fail(None);
    wait_for_targets(&mut driver, &[]).await;
}

/// The clusters of ServiceEntries that are resolved by DNS, strictly and logically.
fn clusters() -> BTreeMap<ClusterName, Arc<Cluster>> {
    let entry = |name: &str, resolution: &str, endpoints: &str| {
        format!(
            "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{ name: {name}, namespace: shop }}
spec:
  hosts: [{name}.example]
  resolution: {resolution}
  ports: [{{ number: 80, name: http, protocol: HTTP, targetPort: 8080 }}]
{endpoints}
---"
        )
    };
    let text = entry("host", "DNS", "")
        + &entry(
            "pair",
            "DNS",
            "  endpoints: [{ address: a.example, weight: 3 }, { address: b.example }]",
        )
        + &entry("logical", "DNS_ROUND_ROBIN", "");
    let parsed = parse("mesh.yaml", &text, &Limits::default());
    assert!(parsed.problems.is_empty(), "{:?}", parsed.problems);
    let config = MeshConfig::builder()
        .extend(parsed.objects)
        .build(1)
        .unwrap();
    resolve(&config, &Workload::sidecar("shop")).clusters
}

/// Waits until `cluster` has these addresses; a cluster of two names is told of one after the other.
async fn wait_for(driver: &mut DnsDriver<Resolver>, host: &str, expected: &[&str]) {
    let mut expected: Vec<IpAddr> = ips(expected);
    expected.sort();
    let found = async {
        loop {
            let cluster = driver.next().await;
            let addresses = cluster
                .endpoints
                .iter()
                .map(|endpoint| match endpoint.address {
                    EndpointAddress::Ip(socket) => {
                        assert_eq!(socket.port(), 8080);
                        socket.ip()
                    }
                    _ => panic!("{endpoint:?}"),
                });
            let mut addresses: Vec<IpAddr> = addresses.collect();
            addresses.sort();
            if cluster.name.host() == Some(host) && addresses == expected {
                return cluster;
            }
        }
    };
    timeout(PATIENCE, found).await.unwrap();
}

#[tokio::test]
async fn clusters_follow_the_names_of_their_entries() {
    let server = DnsServer::start().await;
    server.set("host.example.", 1, &["192.0.2.1", "192.0.2.2"]);
    server.set("a.example.", 60, &["192.0.2.3"]);
    server.set("b.example.", 60, &["192.0.2.3", "192.0.2.4"]);
    server.set("logical.example.", 1, &["192.0.2.5", "192.0.2.6"]);
    let resolver = Resolver::new([server.address]).unwrap();
    let backoff = Backoff {
        base: Duration::from_millis(10),
        max: Duration::from_millis(50),
    };
    let settings = RefreshSettings {
        backoff: Some(backoff),
        ..RefreshSettings::default()
    };
    let mut driver = DnsDriver::new(resolver, settings);

    driver.replace(&clusters());
    wait_for(&mut driver, "host.example", &["192.0.2.1", "192.0.2.2"]).await;
    driver.replace(&BTreeMap::new());
    driver.replace(&clusters());
    wait_for(&mut driver, "pair.example", &["192.0.2.3", "192.0.2.4"]).await;

    server.set("host.example.", 1, &["192.0.2.9"]);
    server.set("logical.example.", 1, &["192.0.2.6"]);
    wait_for(&mut driver, "logical.example", &["192.0.2.6"]).await;
    server.set("host.example.", 1, &["192.0.2.10"]);
    wait_for(&mut driver, "host.example", &["192.0.2.10"]).await;

    server.fail(Some(ResponseCode::ServFail));
    server.set("host.example.", 1, &["192.0.2.11"]);
    tokio::select! {
        changed = driver.next() => panic!("a failure changes nothing, but {changed:?}"),
        () = wait_for_queries(&server, 12) => {}
    }
    server.fail(None);
    wait_for(&mut driver, "host.example", &["192.0.2.11"]).await;
}

#[tokio::test]
async fn requests_for_one_name_wait_for_one_look_up_and_then_for_none() {
    let server = DnsServer::start().await;
    server.set("a.example.", 60, &["192.0.2.1"]);
    let resolver = Resolver::new([server.address])
        .unwrap()
        .with_family(AddressFamily::V4Only);
    let dns = DynamicDns::new(resolver).with_max_hosts(2);
    let (first, second) = tokio::join!(dns.resolve("a.example"), dns.resolve("A.example."));
    assert_eq!(first.unwrap()[..], second.unwrap()[..]);
    dns.resolve("a.example").await.unwrap();
    assert_eq!(server.queries(), ["udp A a.example."]);

    assert_eq!(
        dns.resolve("192.0.2.9").await.unwrap()[..],
        ips(&["192.0.2.9"])[..]
    );
    assert_eq!(
        dns.resolve("b.example").await,
        Err(DynamicDnsError::NoAddress)
    );
    assert_eq!(
        dns.resolve("c.example").await,
        Err(DynamicDnsError::TooManyNames)
    );
}
