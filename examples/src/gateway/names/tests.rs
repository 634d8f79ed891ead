use std::net::IpAddr;
use std::time::Duration;

use mesh_core::model::cluster::{Discovery, Endpoint, EndpointAddress, UpstreamTls};
use mesh_discovery::locality::Client;

use super::*;

const BEFORE: [u8; 4] = [192, 0, 2, 1];
const AFTER: [u8; 4] = [192, 0, 2, 2];
/// Longer than any change may take.
const SLOW: Duration = Duration::from_secs(3);

#[test]
fn a_name_is_resolved_before_its_cluster_is_published() {
    let mut names = names(Arc::new(system().unwrap()));
    for _generation in 0..2 {
        let (found, without) = names.publish(named("localhost"), |_, clusters| clusters.clone());
        let endpoints = &found[&cart()].endpoints;
        let is_loopback = |endpoint: &Endpoint| match &endpoint.address {
            EndpointAddress::Ip(address) => address.ip().is_loopback() && address.port() == 80,
            _ => false,
        };
        assert!(!endpoints.is_empty());
        assert!(endpoints.iter().all(is_loopback), "{endpoints:?}");
        assert_eq!(without, [""; 0]);
    }
}

#[test]
fn a_name_without_an_address_is_no_endpoint() {
    for answer in [Answer::NoAddress, Answer::Failed] {
        let mut names = names(Arc::new(Says(Mutex::new(vec![answer]))));
        let (found, _) = names.publish(named("none.example"), |_, clusters| clusters.clone());
        assert!(found[&cart()].endpoints.is_empty());
    }
}

#[test]
fn a_name_that_is_gone_loses_its_addresses_when_the_answer_has_expired() {
    let addresses = vec![BEFORE.into()];
    let ttl = Duration::from_millis(1);
    let answers = vec![Answer::NoAddress, Answer::Addresses { addresses, ttl }];
    let live = Clusters::new(Client::default());
    let resolver = Arc::new(Says(Mutex::new(answers)));
    let mut names = Names::new(live.clone(), RefreshSettings::default(), resolver).unwrap();
    names.publish(named("a.example"), |live, clusters| {
        live.publish(clusters, Instant::now().into_std());
    });
    let upstream = live.get(&cart()).unwrap();
    let deadline = Instant::now() + AT_START;
    while !upstream.balancer().endpoints().is_empty() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

#[test]
fn the_first_configuration_alone_waits_for_seconds() {
    let mut names = names(Arc::new(Says(Mutex::new(vec![Answer::Failed]))));
    assert_eq!(names.patience, AT_START);
    names.publish(named("a.example"), |_, _| ());
    assert_eq!(names.patience, OF_CHANGE);
    // Files have been quiet for 30 ms before, and all of it is to take less than 200.
    assert!(OF_CHANGE <= Duration::from_millis(100));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_resolved_yet_is_served_without_and_then_with_its_addresses() {
    let scene = Scene::new([("slow.example", SLOW, found(AFTER))]);
    let begin = Instant::now();
    let without = scene.publish(named("slow.example"));
    assert_eq!(without.len(), 1, "{without:?}");
    assert!(without[0].starts_with("the names of `cart` are not resolved yet"));
    sleep_until(begin + SLOW - MOMENT).await;
    assert_eq!(scene.addresses(), [""; 0]);
    sleep_until(begin + SLOW + MOMENT).await;
    assert_eq!(scene.addresses(), ["192.0.2.2:80"]);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_keeps_its_endpoints_until_each_of_its_new_names_was_looked_up() {
    let scene = Scene::new([
        ("a.example", Duration::ZERO, found(BEFORE)),
        ("b.example", Duration::ZERO, found([192, 0, 2, 3])),
        ("slow.example", SLOW, found(AFTER)),
    ]);
    scene.publish(named("a.example"));
    scene.settle().await;
    assert_eq!(scene.addresses(), ["192.0.2.1:80"]);

    let mut both = named("b.example");
    let cluster = Arc::make_mut(both.get_mut(&cart()).unwrap());
    cluster.endpoints.push(at("slow.example"));
    let begin = Instant::now();
    // The next change comes before the names are known.
    for _change in 0..2 {
        assert_eq!(scene.publish(both.clone()), [""; 0]);
        scene.settle().await;
        assert_eq!(scene.addresses(), ["192.0.2.1:80"]);
    }
    sleep_until(begin + SLOW - MOMENT).await;
    assert_eq!(scene.addresses(), ["192.0.2.1:80"]);
    sleep_until(begin + SLOW + MOMENT).await;
    assert_eq!(scene.addresses(), ["192.0.2.2:80", "192.0.2.3:80"]);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_whose_new_name_cannot_be_looked_up_loses_its_endpoints() {
    for answer in [Answer::Failed, Answer::NoAddress] {
        let scene = Scene::new([
            ("a.example", Duration::ZERO, found(BEFORE)),
            ("slow.example", SLOW, answer),
        ]);
        scene.publish(named("a.example"));
        scene.settle().await;
        let begin = Instant::now();
        scene.publish(named("slow.example"));
        sleep_until(begin + SLOW - MOMENT).await;
        assert_eq!(scene.addresses(), ["192.0.2.1:80"]);
        sleep_until(begin + SLOW + MOMENT).await;
        assert_eq!(scene.addresses(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_of_before_are_not_spoken_to_in_another_way() {
    let scene = Scene::new([
        ("a.example", Duration::ZERO, found(BEFORE)),
        ("slow.example", SLOW, found(AFTER)),
    ]);
    let mut secured = named("a.example");
    let cluster = Arc::make_mut(secured.get_mut(&cart()).unwrap());
    cluster.tls = UpstreamTls::Settings(Box::default());
    scene.publish(secured);
    scene.settle().await;
    assert_eq!(scene.addresses(), ["192.0.2.1:80"]);

    let without = scene.publish(named("slow.example"));
    assert_eq!(without.len(), 1, "{without:?}");
    assert_eq!(scene.addresses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_name_delays_no_other_cluster() {
    let scene = Scene::new([
        ("a.example", Duration::ZERO, found(BEFORE)),
        ("slow.example", SLOW, found(AFTER)),
    ]);
    let mut clusters = named("slow.example");
    let other = ClusterName::from("other");
    clusters.insert(other.clone(), Arc::new(cluster(other.clone(), "a.example")));
    scene.publish(clusters);
    scene.settle().await;
    let upstream = scene.live.get(&other).unwrap();
    assert_eq!(
        addresses(&upstream.balancer().endpoints()),
        ["192.0.2.1:80"]
    );
    assert_eq!(scene.addresses(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_names_outlives_other_settings() {
    let scene = Scene::new([("a.example", Duration::ZERO, found(BEFORE))]);
    scene.publish(named("a.example"));
    scene.settle().await;
    scene.shared.lock().renew(RefreshSettings::default());
    assert_eq!(scene.publish(named("a.example")), [""; 0]);
    assert_eq!(scene.addresses(), ["192.0.2.1:80"]);
}

/// Names on simulated time, whose publications do not wait.
struct Scene {
    live: Clusters,
    shared: Arc<Shared>,
}

impl Scene {
    /// Each name is answered after some time.
    fn new<const N: usize>(answers: [(&'static str, Duration, Answer); N]) -> Self {
        let live = Clusters::new(Client::default());
        let answers = answers.map(|(name, after, answer)| (name, (after, answer)));
        let shared = Arc::new(Shared {
            known: Mutex::new(Known::new(live.clone(), RefreshSettings::default())),
            resolver: Arc::new(Takes(answers.into())),
            changed: Notify::new(),
            answered: Condvar::new(),
        });
        tokio::spawn(keep(Arc::clone(&shared)));
        Self { live, shared }
    }

    fn publish(&self, clusters: BTreeMap<ClusterName, Arc<Cluster>>) -> Vec<String> {
        let publish = |live: &Clusters, clusters: &BTreeMap<_, _>| {
            live.publish(clusters, Instant::now().into_std());
        };
        self.shared.publish(clusters, Duration::ZERO, publish).1
    }

    /// Where the cluster has endpoints.
    fn addresses(&self) -> Vec<String> {
        let upstream = self.live.get(&cart()).unwrap();
        addresses(&upstream.balancer().endpoints())
    }

    /// Lets answers arrive that take no time.
    async fn settle(&self) {
        tokio::time::sleep(MOMENT).await;
    }
}

const MOMENT: Duration = Duration::from_millis(1);

/// Answers after a while that each name has.
struct Takes(BTreeMap<&'static str, (Duration, Answer)>);

impl Resolve for Takes {
    fn resolve(&self, host: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let (after, answer) = self.0[host].clone();
        Box::pin(async move {
            tokio::time::sleep(after).await;
            answer
        })
    }
}

/// Gives these answers, the last one first.
struct Says(Mutex<Vec<Answer>>);

impl Resolve for Says {
    fn resolve(&self, _host: &str) -> Pin<Box<dyn Future<Output = Answer> + Send>> {
        let answer = self.0.lock().unwrap().pop();
        Box::pin(ready(answer.unwrap_or(Answer::Failed)))
    }
}

fn names(resolver: Arc<dyn Resolve>) -> Names {
    let live = Clusters::new(Client::default());
    Names::new(live, RefreshSettings::default(), resolver).unwrap()
}

fn found(address: [u8; 4]) -> Answer {
    Answer::Addresses {
        addresses: vec![IpAddr::from(address)],
        ttl: Duration::from_secs(3600),
    }
}

fn addresses(endpoints: &[Arc<Endpoint>]) -> Vec<String> {
    let address = |endpoint: &Arc<Endpoint>| match &endpoint.address {
        EndpointAddress::Ip(address) => address.to_string(),
        other => panic!("{other:?}"),
    };
    let mut addresses: Vec<String> = endpoints.iter().map(address).collect();
    addresses.sort();
    addresses
}

fn cart() -> ClusterName {
    ClusterName::from("cart")
}

fn named(host: &str) -> BTreeMap<ClusterName, Arc<Cluster>> {
    BTreeMap::from([(cart(), Arc::new(cluster(cart(), host)))])
}

fn cluster(name: ClusterName, host: &str) -> Cluster {
    let mut cluster = Cluster::new(name);
    cluster.discovery = Discovery::StrictDns;
    cluster.endpoints = vec![at(host)];
    cluster
}

fn at(host: &str) -> Endpoint {
    let (host, port) = (host.into(), 80);
    Endpoint::new(EndpointAddress::Dns { host, port })
}
