mod restart;

use std::fs;
use std::future::pending;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use mesh_core::identity::SpiffeId;
use mesh_tls::ca::crl::{Revocations, Revoked};
use mesh_tls::ca::root::RootRenewal;
use mesh_tls::ca::{Issuance, Signer};
use mesh_tls::csr::{KeyKind, SigningRequest};
use mesh_tls::key::SigningKey;
use mesh_tls::pem;
use mesh_tls::resolve::{self, Identity};
use mesh_tls::source::Notice;
use mesh_tls::svid::X509Svid;
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use mesh_tls::verify::PeerVerifier;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

use super::*;
use crate::authority::sign_root;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn open(directory: &Path) -> MeshAuthority {
    MeshAuthority::open(directory, "mesh".parse().unwrap(), provider()).unwrap()
}

/// A root of somebody else, put into the directory.
fn plug_in(directory: &Path) -> Signer {
    let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256).unwrap());
    let root = sign_root(&"mesh".parse().unwrap(), key, &provider()).unwrap();
    let certificate = pem::encode_certificates([root.certificate()]);
    fs::write(directory.join("ca-cert.pem"), &certificate).unwrap();
    fs::write(directory.join("root-cert.pem"), certificate).unwrap();
    fs::write(directory.join("ca-key.pem"), root.key().to_pem()).unwrap();
    root
}

/// Revokes the certificate of this serial number for a day.
fn revoke(directory: &Path, signer: &Signer, serial: &[u8]) {
    let now = UnixTime::now();
    let list = Revocations {
        number: 1,
        lifetime: Duration::from_secs(86_400),
        revoked: vec![Revoked {
            serial: serial.to_vec(),
            at: now,
            reason: None,
        }],
    };
    let list = list.sign(signer, now).unwrap().to_pem();
    fs::write(directory.join("ca-crl.pem"), list).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_passes() {
    check::run(provider()).await.unwrap();
}

#[test]
fn tokens_are_a_table() {
    let tokens = Tokens::parse("a spiffe://mesh/a\n\n b spiffe://mesh/b \n");
    assert!(tokens.is_ok());
    for broken in ["a", "a b"] {
        assert!(Tokens::parse(broken).is_err(), "{broken}");
    }
}

#[test]
fn a_root_is_renewed_by_whoever_has_made_it() {
    let always = RootRenewal {
        grace: 1.0,
        ..RootRenewal::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let certificate = || fs::read(directory.path().join("ca-cert.pem")).unwrap();
    let authority = open(directory.path());
    let own = certificate();
    authority.renew(always).unwrap();
    assert_ne!(certificate(), own, "it was made here");

    plug_in(directory.path());
    let theirs = certificate();
    authority.reload().unwrap();
    authority.renew(always).unwrap();
    assert_eq!(certificate(), theirs, "it is followed by another");
    fs::remove_file(directory.path().join("overlap.json")).unwrap();
    let authority = open(directory.path());
    authority.renew(always).unwrap();
    assert_eq!(certificate(), theirs, "the mark is that of another root");
}

#[test]
fn files_that_are_replaced_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    let authority = open(directory.path());
    let old = authority.issuer().load().roots().to_vec();
    let next = plug_in(directory.path());
    authority.reload().unwrap();
    let roots = authority.issuer().load().roots().to_vec();
    assert!(roots.contains(next.certificate()), "it is announced");
    assert!(roots.contains(&old[0]), "the old one still counts");

    assert!(authority.revocations().load().is_empty());
    revoke(directory.path(), &next, &[7]);
    authority.reload().unwrap();
    assert!(!authority.revocations().load().is_empty());
    assert_eq!(authority.issuer().load().roots(), roots, "the roots stay");
    fs::write(directory.path().join("ca-crl.pem"), "").unwrap();
    assert!(authority.reload().is_err());
    assert!(!authority.revocations().load().is_empty(), "they count on");
    revoke(directory.path(), &next, &[7, 8]);
    authority.reload().unwrap();

    fs::write(directory.path().join("ca-cert.pem"), "broken").unwrap();
    assert!(authority.reload().is_err());
    assert_eq!(authority.issuer().load().roots(), roots, "and go on to");
}

#[test]
fn a_restart_goes_on_with_the_overlap() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("overlap.json");
    let authority = open(directory.path());
    let old = authority.issuer().load().roots().to_vec();
    let next = plug_in(directory.path());
    authority.reload().unwrap();
    let both = authority.issuer().load().roots().to_vec();
    assert_eq!(both.len(), 2);

    let authority = open(directory.path());
    let issuer = authority.issuer().load_full();
    assert_eq!(issuer.signer().roots(), old, "the old one signs");
    assert_eq!(issuer.roots(), both, "and the next one is announced");
    authority.advance();
    assert_eq!(authority.issuer().load().roots(), both, "it is not time");

    // A day later.
    let text = fs::read_to_string(&file).unwrap();
    let key = "\"switchAt\": ";
    let (before, time) = text.split_once(key).unwrap();
    let (_, after) = time.split_once('\n').unwrap();
    fs::write(&file, format!("{before}{key}1\n{after}")).unwrap();
    let authority = open(directory.path());
    authority.advance();
    for authority in [authority, open(directory.path())] {
        let issuer = authority.issuer().load_full();
        assert_eq!(issuer.signer().certificate(), next.certificate());
        assert_eq!(issuer.roots().len(), 2, "the old one is trusted");
        assert!(issuer.roots().contains(&old[0]));
    }

    // When its certificates have expired.
    let text = fs::read_to_string(&file).unwrap();
    let (before, time) = text.split_once("\"until\": ").unwrap();
    let (_, after) = time.split_once('\n').unwrap();
    fs::write(&file, format!("{before}\"until\": 1\n{after}")).unwrap();
    let authority = open(directory.path());
    authority.advance();
    assert_eq!(authority.issuer().load().roots(), next.roots());
    assert!(
        !fs::exists(&file).unwrap(),
        "there is nothing to go on with"
    );
}

#[test]
fn files_that_are_replaced_again_before_a_restart_are_announced_anew() {
    let directory = tempfile::tempdir().unwrap();
    let authority = open(directory.path());
    let old = authority.issuer().load().roots().to_vec();
    plug_in(directory.path());
    authority.reload().unwrap();
    let last = plug_in(directory.path());
    let authority = open(directory.path());
    let issuer = authority.issuer().load_full();
    assert_eq!(issuer.signer().roots(), old);
    assert!(issuer.roots().contains(last.certificate()));

    fs::write(directory.path().join("overlap.json"), "{").unwrap();
    let opened = MeshAuthority::open(directory.path(), "mesh".parse().unwrap(), provider());
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("`overlap.json` cannot be read"), "{error}");
}

#[test]
fn the_server_says_why_it_has_no_certificate() {
    let error = io::Error::other("the signing certificate has expired");
    let (error, failures) = (&error, 1);
    let expired = serve::sentence(&Notice::Failed { error, failures });
    let text = "the certificate of the server: the signing certificate has expired";
    assert_eq!(expired.as_deref(), Some(text));
    assert!(serve::sentence::<io::Error>(&Notice::Withdrawn).is_some());
}

#[tokio::test]
async fn the_server_has_the_names_that_agents_ask_for() {
    let directory = tempfile::tempdir().unwrap();
    let names = ["istiod.istio-system.svc", "localhost"].map(str::to_owned);
    let (authority, clock) = (open(directory.path()), Arc::new(DefaultTimeProvider));
    let server = Server::new(&authority, Tokens::default(), &names, clock).unwrap();
    let svid = server.live().ready().await;
    assert_eq!(svid.leaf().dns_names().collect::<Vec<_>>(), names);
}

#[test]
fn the_roots_are_given_out() {
    let directory = tempfile::tempdir().unwrap();
    let authority = open(directory.path());
    let local = ([127, 0, 0, 1], 0).into();
    let (_workers, address) = bundle::serve(local, authority.issuer()).unwrap();
    let get = |path: &str| {
        let mut client = TcpStream::connect(address).unwrap();
        write!(
            client,
            "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    };
    let roots = fs::read_to_string(directory.path().join("root-cert.pem")).unwrap();
    assert!(get("/root-cert.pem").ends_with(&roots));
    assert!(get("/ca-key.pem").starts_with("HTTP/1.1 404 "));
}

/// The wall clock of tokio's paused time.
#[derive(Debug)]
struct Paused {
    start: UnixTime,
    since: Instant,
}

impl TimeProvider for Paused {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = self.start.as_secs() + self.since.elapsed().as_secs();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// A client with a certificate for an hour, connected to a server.
struct Connected {
    authority: MeshAuthority,
    svid: X509Svid,
    /// Ends with the connection.
    over: tokio::task::JoinHandle<()>,
    rechecks: tokio::task::JoinHandle<std::convert::Infallible>,
}

const HOUR: Duration = Duration::from_secs(3_600);

fn issue(authority: &MeshAuthority) -> Identity {
    let id: SpiffeId = "spiffe://mesh/ns/shop/sa/cart".parse().unwrap();
    let key = SigningKey::generate(KeyKind::EcdsaP256).unwrap();
    let request = key.signing_request(&id).unwrap();
    let request = SigningRequest::from_pem(request.as_bytes(), &provider()).unwrap();
    let serial = authority::serial(&provider()).unwrap();
    let issuance = Issuance {
        ttl: HOUR,
        ..Issuance::for_workload(&id, UnixTime::now(), serial)
    };
    let issued = authority
        .issuer()
        .load()
        .issue(&request, &issuance)
        .unwrap();
    let bundle = TrustBundle::new(id.trust_domain(), issued.roots.to_vec()).unwrap();
    let key = key.private_key().clone_key();
    Identity {
        svid: X509Svid::new(issued.chain, key, &provider()).unwrap(),
        bundles: TrustBundles::from_iter([bundle]),
    }
}

impl Connected {
    async fn new(directory: &Path) -> Self {
        let authority = open(directory);
        let clock = Paused {
            start: UnixTime::now(),
            since: Instant::now(),
        };
        let names = ["localhost".to_owned()];
        let server = Server::new(&authority, Tokens::default(), &names, Arc::new(clock)).unwrap();
        server.live().ready().await;
        let rechecking = server.clone();
        let rechecks = tokio::spawn(async move { rechecking.recheck().await });

        let identity = issue(&authority);
        let svid = identity.svid.clone();
        let (publisher, live) = resolve::channel();
        publisher.publish(identity);
        let verifier = PeerVerifier::spiffe(live.bundles().clone(), provider()).unwrap();
        let tls = live.client_config(verifier.server_verifier()).unwrap();
        let (client_io, server_io) = tokio::io::duplex(1 << 16);
        let address = ([127, 0, 0, 1], 1).into();
        tokio::spawn(server.serve(server_io, (address, address)));
        let name = "localhost".try_into().unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let mut stream = connector.connect(name, client_io).await.unwrap();
        let over = tokio::spawn(async move {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        });
        Self {
            authority,
            svid,
            over,
            rechecks,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_with_the_certificate_that_its_client_has_presented() {
    let directory = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let connected = Connected::new(directory.path()).await;
    timeout(2 * HOUR, connected.over).await.unwrap().unwrap();
    let lasted = start.elapsed();
    assert!(
        lasted >= HOUR && lasted < HOUR + Duration::from_secs(5),
        "{lasted:?}"
    );
    connected.rechecks.abort();
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_a_client_that_is_revoked_ends() {
    let directory = tempfile::tempdir().unwrap();
    let connected = Connected::new(directory.path()).await;
    let signer = Arc::clone(connected.authority.issuer().load().signer());
    let still = timeout(HOUR / 2, pending::<()>()).await;
    assert!(still.is_err() && !connected.over.is_finished());
    revoke(directory.path(), &signer, connected.svid.leaf().serial());
    connected.authority.reload().unwrap();
    timeout(HOUR / 4, connected.over).await.unwrap().unwrap();
    connected.rechecks.abort();
}
