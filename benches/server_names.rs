//! 10,000 hosts with a certificate each: choosing one, and the memory they take.
//!
//! Each bench checks what it times: a host gets its own certificate, without memory of its own
//! worth mention.
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

#[path = "tls/fixture.rs"]
mod fixture;

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use mesh_core::model::listener::{FilterChain, HttpConnection, NetworkFilter, ServerTls};
use mesh_core::resource::istio::gateway::{ServerTlsMode, ServerTlsSettings};
use mesh_tls::ca::{Issuance, SerialNumber};
use mesh_tls::certificate::SubjectAltName;
use mesh_tls::config::{SniCertificates, TlsCompiler};
use mesh_tls::credential::Credential;
use mesh_tls::csr::{KeyKind, SigningRequest};
use mesh_tls::key::SigningKey;
use mesh_tls::secret::TlsSecret;
use mesh_tls::secret_store::{SecretName, SecretStore};
use rustls::server::{Accepted, Acceptor, ResolvesServerCert};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::fixture::{NOW, id, issuer, provider};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const HOSTS: usize = 10_000;

/// The most that a host may take, beyond its certificate.
const MAX_BYTES: usize = 10 << 10;

fn host(index: usize) -> String {
    format!("host-{index}.shop.example")
}

fn secret(index: usize) -> SecretName {
    format!("secret-{index}").parse().unwrap()
}

fn choosing(c: &mut Criterion) {
    let credentials = [credential("even"), credential("odd")];
    one_configuration(c, &credentials);
    a_configuration_each(&credentials);
}

/// All hosts in one rustls configuration.
fn one_configuration(c: &mut Criterion, credentials: &[Credential; 2]) {
    let hosts: Vec<String> = (0..HOSTS).map(host).collect();
    let region = Region::new(ALLOCATOR);
    let store = publish(credentials);
    let names = hosts.iter().enumerate();
    let names = names.map(|(index, host)| (host.as_str(), vec![store.watch(&secret(index))]));
    let certificates = SniCertificates::new(&provider(), names);
    report("one configuration", &region);

    // From all over, not to be found in the cache.
    let indexes = (0..HOSTS).step_by(37);
    let hellos: Vec<(usize, Accepted)> = indexes.map(|index| (index, hello(index))).collect();
    for (index, hello) in &hellos {
        let chosen = certificates.resolve(hello.client_hello()).unwrap();
        let expected = credentials[index % 2].certified_key();
        assert!(Arc::ptr_eq(&chosen, expected), "{}", host(*index));
    }
    let mut hellos = hellos.iter().cycle();
    c.bench_function("certificate of one of 10000 hosts", |b| {
        b.iter(|| {
            let (_, hello) = hellos.next().unwrap();
            black_box(certificates.resolve(hello.client_hello()))
        });
    });
}

/// A filter chain for each host, as a Gateway with 10,000 servers has them.
fn a_configuration_each(credentials: &[Credential; 2]) {
    let region = Region::new(ALLOCATOR);
    let compiler = TlsCompiler::new(provider(), publish(credentials));
    let servers: Vec<_> = (0..HOSTS)
        .map(|index| {
            let http = NetworkFilter::Http(HttpConnection::new("https.443"));
            let mut chain = FilterChain::new(http);
            chain.tls = Some(ServerTls::Gateway(Box::new(ServerTlsSettings {
                mode: ServerTlsMode::Simple,
                credential_name: format!("secret-{index}"),
                ..ServerTlsSettings::default()
            })));
            compiler.server(&chain).unwrap().unwrap()
        })
        .collect();
    report("a configuration for each", &region);
    assert_eq!(servers.len(), HOSTS);
}

/// Checks how much was kept for each host.
fn report(what: &str, region: &Region<'_, System>) {
    let change = region.change();
    let bytes = (change.bytes_allocated - change.bytes_deallocated) / HOSTS;
    eprintln!("{what}: {bytes} bytes a host, beyond its certificate");
    assert!(bytes <= MAX_BYTES, "{what}: {bytes} bytes");
}

/// A secret for each host. They share two certificates, which are not counted.
fn publish(credentials: &[Credential; 2]) -> SecretStore {
    let store = SecretStore::default();
    for index in 0..HOSTS {
        let credential = credentials[index % 2].clone();
        store.publish(
            &secret(index),
            TlsSecret::default().with_credential(credential),
        );
    }
    store
}

fn credential(name: &str) -> Credential {
    let issuer = issuer(KeyKind::EcdsaP256, NOW);
    let key = SigningKey::generate(KeyKind::EcdsaP256).unwrap();
    let request = key.signing_request(&id(name)).unwrap();
    let request = SigningRequest::from_pem(request.as_bytes(), &provider()).unwrap();
    let issuance = Issuance {
        names: vec![SubjectAltName::Dns("*.shop.example".into())],
        ..Issuance::for_workload(&id(name), NOW, SerialNumber::new([2; 16]))
    };
    let chain = issuer.issue(&request, &issuance).unwrap().chain;
    Credential::new(chain, key.private_key().clone_key(), &provider()).unwrap()
}

/// What a client asks for.
fn hello(index: usize) -> Accepted {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = host(index).try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    let mut acceptor = Acceptor::default();
    acceptor.read_tls(&mut bytes.as_slice()).unwrap();
    acceptor.accept().unwrap().unwrap()
}

criterion_group!(benches, choosing);
criterion_main!(benches);
