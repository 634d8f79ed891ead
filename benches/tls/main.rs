//! Issuing certificates, and handshakes beside bare rustls and Envoy.
//!
//! Each bench checks what it times: the certificate is for the caller and the request's key, and a
//! handshake ends with both sides verified.
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

mod envoy;
mod fixture;
mod handshake;
mod issuing;
#[path = "../../mesh-tls/tests/interop/lines.rs"]
mod lines;

use criterion::{criterion_group, criterion_main};

criterion_group!(
    benches,
    issuing::issuing,
    handshake::handshakes,
    envoy::handshakes
);
criterion_main!(benches);
