//! Identities, intermediates and roots are replaced while services keep connecting.
//!
//! Time is simulated: every hour a client connects to a server in memory, with the certificates of
//! that hour. Each side hears of new certificates and roots hours after the authority made them, as
//! workloads do that fetch twice a day.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::identity::SpiffeId;
use mesh_tls::ca::root::RootSpec;
use mesh_tls::ca::{Authority, Change, IssuancePolicy, OverlapPolicy, Signer};
use mesh_tls::csr::KeyKind;
use mesh_tls::resolve::{self, Identity, IdentityPublisher, LiveIdentity};
use mesh_tls::rotation::{Event, Rotation, RotationPolicy};
use mesh_tls::svid::X509Svid;
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use mesh_tls::verify::PeerVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use rustls_pki_types::{ServerName, UnixTime};

use crate::above::Above;
use crate::support::{DAY, NOW, at, exchange, issue, key, provider, root};

const HOUR: u64 = 60 * 60;

/// Certificates of workloads live for a day.
fn issuance() -> IssuancePolicy {
    IssuancePolicy {
        max_ttl: Duration::from_secs(DAY),
        ..IssuancePolicy::default()
    }
}

#[derive(Debug)]
struct Fixed(u64);

impl TimeProvider for Fixed {
    fn current_time(&self) -> Option<UnixTime> {
        Some(at(self.0))
    }
}

/// A service that renews its identity when it is due.
struct Workload {
    id: SpiffeId,
    rotation: Rotation,
    publisher: IdentityPublisher,
    live: LiveIdentity,
}

impl Workload {
    fn new(name: &str) -> Self {
        let (publisher, live) = resolve::channel();
        Self {
            id: format!("spiffe://cluster.local/ns/shop/sa/{name}")
                .parse()
                .unwrap(),
            rotation: Rotation::new(RotationPolicy::default()),
            publisher,
            live,
        }
    }

    /// Takes in what happened, and fetches from the authority if it is time to. `None` is an
    /// authority that is not there.
    fn handle(&mut self, event: Event, authority: Option<&Authority>, now: u64) {
        let step = self.rotation.handle(at(now), event, 0.5);
        if step.withdraw {
            self.publisher.withdraw();
        }
        if !step.fetch {
            return;
        }
        let fetched = authority.map(|authority| self.fetch(authority, now));
        let event = fetched.as_ref().map_or(Event::Failed, |identity| {
            Event::Fetched(identity.svid.validity())
        });
        let step = self.rotation.handle(at(now), event, 0.5);
        assert_eq!(step.publish, fetched.is_some());
        if let Some(identity) = fetched {
            self.publisher.publish(identity);
        }
    }

    fn fetch(&self, authority: &Authority, now: u64) -> Identity {
        let (issued, key) = issue(&authority.issuer(), &self.id, now);
        let key = key.private_key().clone_key();
        let bundle = TrustBundle::new(self.id.trust_domain(), issued.roots.to_vec()).unwrap();
        Identity {
            svid: X509Svid::new(issued.chain, key, &provider()).unwrap(),
            bundles: TrustBundles::from_iter([bundle]),
        }
    }

    fn verifier(&self) -> PeerVerifier {
        PeerVerifier::spiffe(self.live.bundles().clone(), provider()).unwrap()
    }

    fn server(&self, now: u64) -> ServerConnection {
        let config = ServerConfig::builder_with_details(provider(), Arc::new(Fixed(now)))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(self.verifier().client_verifier())
            .with_cert_resolver(self.live.resolver());
        ServerConnection::new(Arc::new(config)).unwrap()
    }

    fn client(&self, now: u64) -> ClientConnection {
        let config = ClientConfig::builder_with_details(provider(), Arc::new(Fixed(now)))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(self.verifier().server_verifier())
            .with_client_cert_resolver(self.live.resolver());
        let name = ServerName::try_from("cart.shop").unwrap();
        ClientConnection::new(Arc::new(config), name).unwrap()
    }
}

/// Two services and an authority.
struct Mesh {
    authority: Authority,
    client: Workload,
    server: Workload,
    now: u64,
    failures: usize,
    connections: usize,
}

impl Mesh {
    fn new(signer: Arc<Signer>, overlap: OverlapPolicy) -> Self {
        Self {
            authority: Authority::new(signer, issuance(), overlap),
            client: Workload::new("web"),
            server: Workload::new("cart"),
            now: NOW,
            failures: 0,
            connections: 0,
        }
    }

    /// Lets hours go by. The client hears of news five hours after the server.
    fn run(&mut self, hours: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        for _ in 0..hours {
            while let Some(change) = self.authority.advance(at(self.now)) {
                changes.push(change);
            }
            let is_offset = self.now == NOW + 5 * HOUR;
            let event = if is_offset {
                Event::Changed
            } else {
                Event::Woken
            };
            self.client.handle(event, Some(&self.authority), self.now);
            self.server
                .handle(Event::Woken, Some(&self.authority), self.now);
            self.connect();
            self.now += HOUR;
        }
        changes
    }

    fn connect(&mut self) {
        self.connections += 1;
        let (client, server) = (self.client.client(self.now), self.server.server(self.now));
        if exchange(client, server).is_err() {
            self.failures += 1;
        }
    }

    fn replace(&mut self, next: Arc<Signer>) -> Option<Change> {
        self.authority.replace(next, at(self.now))
    }
}

/// Another root with a key of its own.
pub(crate) fn other_root(now: u64) -> Arc<Signer> {
    let spec = RootSpec {
        organization: "the next root".into(),
        ..RootSpec::default()
    };
    root(&spec, &key(KeyKind::EcdsaP256), now)
}

/// The root that a mesh begins with.
pub(crate) fn first_root() -> Arc<Signer> {
    root(&RootSpec::default(), &key(KeyKind::EcdsaP256), NOW)
}

const NO_OVERLAP: OverlapPolicy = OverlapPolicy {
    announce: Duration::ZERO,
    retain: Some(Duration::ZERO),
};

#[test]
fn svids_are_renewed_twice_a_day_without_a_failure() {
    let mut mesh = Mesh::new(first_root(), OverlapPolicy::default());
    let mut serials = Vec::new();
    for _ in 0..10 * 24 {
        mesh.run(1);
        let svid = mesh.server.live.svid().unwrap();
        if serials.last() != Some(&svid.leaf().public_key().to_vec()) {
            serials.push(svid.leaf().public_key().to_vec());
        }
    }
    assert_eq!((mesh.failures, mesh.connections), (0, 240));
    assert_eq!(serials.len(), 20, "every twelve hours");
}

#[test]
fn the_root_is_replaced_without_a_failure() {
    let mut mesh = Mesh::new(first_root(), OverlapPolicy::default());
    mesh.run(48);
    let old = mesh.authority.signer().roots()[0].clone();
    let next = other_root(mesh.now);
    let new = next.roots()[0].clone();
    assert_eq!(mesh.replace(next), None, "it is announced first");
    assert_eq!(mesh.authority.roots(), [new.clone(), old.clone()]);

    assert_eq!(mesh.run(30), [Change::Switched]);
    assert_eq!(
        mesh.authority.roots(),
        [old, new.clone()],
        "the signer's last"
    );
    assert_eq!(mesh.run(72), [Change::Retired]);
    assert_eq!(mesh.authority.roots(), [new]);
    assert_eq!(mesh.authority.wake_at(), None);
    mesh.run(48);
    assert_eq!(mesh.failures, 0);
}

#[test]
fn an_authority_that_restarts_goes_on_with_the_overlap() {
    let mut mesh = Mesh::new(first_root(), OverlapPolicy::default());
    mesh.run(48);
    mesh.replace(other_root(mesh.now));
    let mut changes = Vec::new();
    for _ in 0..4 {
        let authority = &mesh.authority;
        let kept = (authority.next().cloned(), authority.retained().to_vec());
        let signer = Arc::clone(authority.signer());
        let begun = Authority::new(signer, issuance(), OverlapPolicy::default());
        mesh.authority = begun.resume(kept.0, kept.1);
        changes.extend(mesh.run(24));
    }
    assert_eq!(changes, [Change::Switched, Change::Retired]);
    assert_eq!(mesh.failures, 0);
}

#[test]
fn without_an_overlap_connections_fail_while_the_root_is_replaced() {
    let mut mesh = Mesh::new(first_root(), NO_OVERLAP);
    mesh.run(48);
    assert_eq!(mesh.failures, 0);
    let next = other_root(mesh.now);
    assert_eq!(mesh.replace(next), Some(Change::Switched));
    mesh.run(48);
    assert!(mesh.failures > 0, "one side still trusts the old root only");
}

#[test]
fn an_announcement_shorter_than_the_renewal_of_workloads_is_too_short() {
    let overlap = OverlapPolicy {
        announce: Duration::from_secs(HOUR),
        retain: None,
    };
    let mut mesh = Mesh::new(first_root(), overlap);
    // The server has just fetched, and does so again when the client long has its new SVID.
    mesh.run(49);
    mesh.replace(other_root(mesh.now));
    mesh.run(48);
    assert!(mesh.failures > 0);
}

#[test]
fn the_root_is_renewed_with_its_key_without_a_failure_and_at_once() {
    let key = key(KeyKind::EcdsaP256);
    let spec = RootSpec::default();
    let mut mesh = Mesh::new(root(&spec, &key, NOW), OverlapPolicy::default());
    mesh.run(48);
    let renewed = root(&spec, &key, mesh.now);
    assert_eq!(mesh.replace(renewed), Some(Change::Switched));
    assert_eq!(
        mesh.authority.roots().len(),
        2,
        "both certificates are published"
    );
    mesh.run(72);
    assert_eq!(mesh.authority.roots().len(), 1);
    assert_eq!(mesh.failures, 0);
}

#[test]
fn the_intermediate_is_replaced_without_a_failure_and_at_once() {
    let above = Above::new();
    // The overlap is for roots; the root does not change.
    let mut mesh = Mesh::new(above.intermediate(at(NOW)), NO_OVERLAP);
    mesh.run(48);
    assert_eq!(mesh.server.live.svid().unwrap().chain().len(), 2);
    let next = above.intermediate(at(mesh.now));
    assert_eq!(mesh.replace(next), Some(Change::Switched));
    mesh.run(72);
    assert_eq!(mesh.failures, 0);
}

#[test]
fn a_signer_announced_twice_follows_once() {
    let mut authority = Authority::new(first_root(), issuance(), OverlapPolicy::default());
    let (second, third) = (other_root(NOW), other_root(NOW));
    authority.replace(second, at(NOW));
    authority.replace(Arc::clone(&third), at(NOW + HOUR));
    assert_eq!(authority.wake_at(), Some(at(NOW + HOUR + DAY)));
    assert_eq!(authority.advance(at(NOW + DAY)), None);
    assert_eq!(
        authority.advance(at(NOW + HOUR + DAY)),
        Some(Change::Switched)
    );
    assert!(Arc::ptr_eq(authority.signer(), &third));
    assert_eq!(authority.roots().len(), 2);
}

#[test]
fn workloads_outlive_an_authority_that_is_away_for_less_than_half_a_life() {
    let mut mesh = Mesh::new(first_root(), OverlapPolicy::default());
    mesh.run(6);
    let gone_from = mesh.now;
    for _ in 0..11 {
        mesh.server.handle(Event::Woken, None, mesh.now);
        mesh.client.handle(Event::Woken, None, mesh.now);
        mesh.connect();
        mesh.now += HOUR;
    }
    assert_eq!(
        mesh.failures,
        0,
        "for {} hours",
        (mesh.now - gone_from) / HOUR
    );
    mesh.run(24);
    assert_eq!(mesh.failures, 0);
}

#[test]
fn no_svid_is_presented_past_its_time() {
    let mut mesh = Mesh::new(first_root(), OverlapPolicy::default());
    mesh.run(6);
    for _ in 0..30 {
        mesh.server.handle(Event::Woken, None, mesh.now);
        mesh.now += HOUR;
    }
    assert!(mesh.server.live.svid().is_none());
    mesh.connect();
    assert_eq!(mesh.failures, 1);
}
