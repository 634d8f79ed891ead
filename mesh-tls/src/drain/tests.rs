use std::pin::pin;
use std::task::{Context, Waker};

use mesh_core::model::listener::{FilterChain, HttpConnection, NetworkFilter};
use mesh_core::resource::istio::mesh_config::TlsConfig;
use mesh_core::watch;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};

use super::*;
use crate::svid::X509Svid;
use crate::testing::{self, Authority};
use crate::trust_bundle::{TrustBundle, TrustBundles};
use crate::verify::{ExpectedNames, Revocations, Roots};

fn handshake(svid: &X509Svid) -> Handshake {
    let chain = svid.chain().iter().map(|one| one.der().clone());
    Handshake {
        chain: chain.collect(),
        purpose: Purpose::Client,
        server_name: None,
        at: testing::now(),
    }
}

fn verifier(bundles: impl Into<Watch<TrustBundles>>) -> PeerVerifier {
    PeerVerifier::spiffe(bundles, testing::provider()).unwrap()
}

fn bundles(trusted: &[&Authority]) -> TrustBundles {
    trusted.iter().map(|authority| authority.bundle()).collect()
}

fn revoke(authority: &Authority, svid: &X509Svid) -> Revocations {
    let date = |seconds: u64| {
        time::OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).unwrap()).unwrap()
    };
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from_slice(svid.leaf().serial()),
        revocation_time: date(testing::NOW),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date(testing::NOW),
        next_update: date(testing::NOW + testing::DAY),
        crl_number: 1.into(),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = params.signed_by(authority.issuer()).unwrap();
    Revocations::new([list.der().clone()]).unwrap()
}

#[test]
fn connections_of_a_revoked_certificate_are_drained_and_others_are_not() {
    let authority = Authority::new("mesh");
    let (stolen, good) = (authority.svid("/ns/a/sa/b"), authority.svid("/ns/a/sa/c"));
    let (publisher, known) = watch::channel(bundles(&[&authority]));
    let verifier = verifier(known);
    let list = DrainList::new();
    let (bad, fine) = (
        list.begin().register(handshake(&stolen), verifier.clone()),
        list.begin().register(handshake(&good), verifier),
    );

    assert_eq!(list.recheck(), 0);
    let bundle = authority.bundle();
    let bundle = bundle.with_revocations(revoke(&authority, &stolen));
    publisher.publish(TrustBundles::from_iter([bundle]));
    assert_eq!(list.recheck(), 1);
    assert!(bad.is_draining() && !fine.is_draining());
    assert_eq!(list.recheck(), 0, "it is draining already");
}

#[test]
fn a_server_is_asked_for_by_the_name_that_it_was_connected_to_by() {
    let authority = Authority::new("root");
    let host = authority.host("shop.example");
    let list = DrainList::new();
    let roots = Roots::new([authority.certificate()]).unwrap();
    let (publisher, roots) = watch::channel(roots);
    let verifier = PeerVerifier::roots(roots, testing::provider()).unwrap();
    let connection = list.begin().register(
        Handshake {
            chain: vec![host.leaf().der().clone()],
            purpose: Purpose::Server,
            server_name: Some("shop.example".try_into().unwrap()),
            at: testing::now(),
        },
        verifier.with_names(ExpectedNames::ServerName),
    );
    assert_eq!((list.recheck(), connection.is_draining()), (0, false));
    publisher.publish(Roots::default());
    assert_eq!((list.recheck(), connection.is_draining()), (1, true));
}

#[test]
fn connections_below_a_dropped_root_are_drained() {
    let (old, new) = (Authority::new("mesh"), Authority::new("mesh"));
    let both = old.bundle().merge(&new.bundle()).unwrap();
    let (publisher, known) = watch::channel(TrustBundles::from_iter([both]));
    let verifier = verifier(known);
    let list = DrainList::new();
    let of_old = list
        .begin()
        .register(handshake(&old.svid("/ns/a/sa/b")), verifier.clone());
    let of_new = list
        .begin()
        .register(handshake(&new.svid("/ns/a/sa/b")), verifier);
    assert_eq!(list.recheck(), 0);
    publisher.publish(bundles(&[&new]));
    assert_eq!(list.recheck(), 1);
    assert!(of_old.is_draining() && !of_new.is_draining());
}

#[test]
fn a_root_that_was_renewed_with_its_key_ends_no_connection() {
    let authority = Authority::new("mesh");
    let (publisher, known) = watch::channel(bundles(&[&authority]));
    let list = DrainList::new();
    let connection = list
        .begin()
        .register(handshake(&authority.svid("/w")), verifier(known));
    let domain = authority.bundle().trust_domain().clone();
    let renewed = authority.renewed(testing::NOW + testing::DAY);
    let renewed = TrustBundle::new(domain, [renewed]).unwrap();
    publisher.publish(TrustBundles::from_iter([renewed]));
    assert_eq!((list.recheck(), connection.is_draining()), (0, false));
    publisher.publish(bundles(&[&Authority::new("mesh")]));
    assert_eq!((list.recheck(), connection.is_draining()), (1, true));
}

#[test]
fn a_connection_that_a_round_has_missed_is_rechecked_alone() {
    let authority = Authority::new("mesh");
    let (publisher, known) = watch::channel(bundles(&[&authority]));
    let list = DrainList::new();
    let pending = list.begin();
    publisher.publish(TrustBundles::default());
    assert_eq!(list.recheck(), 0, "it is not there yet");
    let connection = pending.register(handshake(&authority.svid("/w")), verifier(known));
    assert!(connection.is_draining());
}

#[test]
fn a_connection_that_ends_is_taken_off_the_list() {
    let authority = Authority::new("mesh");
    let list = DrainList::new();
    let nobody = verifier(TrustBundles::default());
    let connection = list
        .begin()
        .register(handshake(&authority.svid("/ns/a/sa/b")), nobody);
    assert_eq!(list.len(), 1);
    drop(connection);
    assert!(list.is_empty());
    assert_eq!(list.recheck(), 0);
}

#[test]
fn whoever_waits_is_woken() {
    let authority = Authority::new("mesh");
    let list = DrainList::new();
    let verifier = verifier(bundles(&[&authority]));
    let connection = list
        .begin()
        .register(handshake(&authority.svid("/ns/a/sa/b")), verifier);
    let mut cx = Context::from_waker(Waker::noop());
    let mut draining = pin!(connection.draining());
    assert!(draining.as_mut().poll(&mut cx).is_pending());
    assert_eq!(list.drain_if(|_| true), 1);
    assert!(draining.poll(&mut cx).is_ready());
}

#[test]
fn a_round_under_way_says_nothing_of_a_generation_that_is_kept_meanwhile() {
    let authority = Authority::new("mesh");
    let list = DrainList::new();
    let chain = FilterChain::new(NetworkFilter::Http(HttpConnection::new("inbound|80||")));
    let generation = |listener: &str| {
        let endings = Endings::new();
        let limits = TlsConfig::default();
        let ending = endings.add((listener, &chain), [&limits; 2], None);
        let handshake = handshake(&authority.svid("/w"));
        let connection = list
            .begin()
            .register_accepted(handshake, None, ending.as_ref());
        (endings, connection)
    };
    let (before, old) = generation("before");
    list.keep(before);
    let (after, new) = generation("after");
    let round = list.round();
    list.keep(after);
    assert_eq!(list.end(&round), 0);
    assert!(!old.is_draining() && !new.is_draining());
    assert_eq!(list.recheck(), 1);
    assert!(old.is_draining() && !new.is_draining());
}
