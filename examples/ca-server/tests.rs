use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use mesh_tls::ca::Signer;
use mesh_tls::ca::crl::{Revocations, Revoked};
use mesh_tls::ca::root::RootRenewal;
use mesh_tls::csr::KeyKind;
use mesh_tls::key::SigningKey;
use mesh_tls::pem;
use rustls_pki_types::UnixTime;

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
    let now = UnixTime::now();
    let list = Revocations {
        number: 1,
        lifetime: Duration::from_secs(3_600),
        revoked: vec![Revoked {
            serial: vec![7],
            at: now,
            reason: None,
        }],
    };
    let list = list.sign(&next, now).unwrap().to_pem();
    fs::write(directory.path().join("ca-crl.pem"), list).unwrap();
    authority.reload().unwrap();
    assert!(!authority.revocations().load().is_empty());
    assert_eq!(authority.issuer().load().roots(), roots, "the roots stay");

    fs::write(directory.path().join("ca-cert.pem"), "broken").unwrap();
    assert!(authority.reload().is_err());
    assert_eq!(authority.issuer().load().roots(), roots, "and go on to");
}

#[tokio::test]
async fn the_server_has_the_names_that_agents_ask_for() {
    let directory = tempfile::tempdir().unwrap();
    let names = ["istiod.istio-system.svc", "localhost"].map(str::to_owned);
    let server = Server::new(&open(directory.path()), Tokens::default(), &names).unwrap();
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
