//! Issuing certificates, handshakes beside bare rustls and Envoy, and choosing among 10,000
//! certificates.
//!
//! Each bench checks what it times: the certificate is for the caller and the request's key, a
//! handshake ends with both sides verified, and a host gets its own certificate without memory of
//! its own worth mention.
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

mod envoy;
mod handshake;
mod issuing;
#[path = "../../mesh-tls/tests/interop/lines.rs"]
mod lines;
mod server_names;

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use criterion::{criterion_group, criterion_main};
use mesh_core::identity::SpiffeId;
use mesh_tls::ca::root::RootSpec;
use mesh_tls::ca::{IssuancePolicy, Issuer, SerialNumber};
use mesh_tls::csr::KeyKind;
use mesh_tls::key::SigningKey;
use rustls::crypto::CryptoProvider;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

/// Time that stands still.
#[derive(Debug)]
struct Clock(UnixTime);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn id(name: &str) -> SpiffeId {
    format!("spiffe://cluster.local/ns/shop/sa/{name}")
        .parse()
        .unwrap()
}

fn issuer(kind: KeyKind, now: UnixTime) -> Issuer {
    let key = Arc::new(SigningKey::generate(kind).unwrap());
    let root = RootSpec::default().sign(key, now, SerialNumber::new([1; 16]), &provider());
    Issuer::new(Arc::new(root.unwrap()), IssuancePolicy::default())
}

criterion_group!(
    benches,
    issuing::issuing,
    handshake::handshakes,
    envoy::handshakes,
    server_names::choosing
);
criterion_main!(benches);
