//! Authorities, workloads and a time of their own.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::identity::SpiffeId;
use mesh_tls::ca::root::RootSpec;
use mesh_tls::ca::{IssuancePolicy, Issuer, SerialNumber};
use mesh_tls::csr::KeyKind;
use mesh_tls::key::SigningKey;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::UnixTime;

pub(crate) const NOW: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

pub(crate) fn id(name: &str) -> SpiffeId {
    format!("spiffe://cluster.local/ns/shop/sa/{name}")
        .parse()
        .unwrap()
}

pub(crate) fn issuer(kind: KeyKind, now: UnixTime) -> Issuer {
    let key = Arc::new(SigningKey::generate(kind).unwrap());
    let root = RootSpec::default().sign(key, now, SerialNumber::new([1; 16]), &provider());
    Issuer::new(Arc::new(root.unwrap()), IssuancePolicy::default())
}
