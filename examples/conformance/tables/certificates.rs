//! Signing requests, and how long what is issued for them counts.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::duration::Duration as Written;
use mesh_tls::ca::root::RootSpec;
use mesh_tls::ca::{Issuance, IssuancePolicy, Issuer, SerialNumber};
use mesh_tls::csr::{KeyKind, SigningRequest};
use mesh_tls::key::SigningKey;
use rustls_pki_types::UnixTime;

use super::{Row, Run};
use crate::case::Outcome;

/// How long the signer of the tests counts, in seconds.
const SIGNER_LIFETIME: u64 = 60 * 60;

/// Some time.
const NOW: u64 = 1_800_000_000;

pub(super) fn mapped(file: &str, test: &str) -> Option<Run> {
    match (file, test) {
        ("crypto_test.go", "TestParsePemEncodedCSR") => Some(request),
        ("generate_cert_test.go", "TestGenCertFromCSRWithTTLClamping") => Some(lifetime),
        _ => None,
    }
}

fn request(row: &Row<'_>) -> Option<Outcome> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let request = SigningRequest::from_pem(row.text("pem")?.as_bytes(), &provider);
    Some(Outcome::refusal(!row.text("errMsg")?.is_empty(), &request))
}

/// When a certificate ends: by its own lifetime, or with its signer.
fn lifetime(row: &Row<'_>) -> Option<Outcome> {
    let ttl: Written = Row(row.field("ttl")?).text("$duration")?.parse().ok()?;
    let ttl = ttl.as_std()?;
    let end = match row.flag("expectClamped")? {
        true => SIGNER_LIFETIME,
        false => ttl.as_secs(),
    };
    Some(match issued(ttl) {
        Ok(found) => Outcome::equal(&(NOW + end), &found),
        Err(error) => Outcome::Failed(error.to_string()),
    })
}

fn issued(ttl: Duration) -> Result<u64, Box<dyn std::error::Error>> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
    let spec = RootSpec {
        lifetime: Duration::from_secs(SIGNER_LIFETIME),
        ..RootSpec::default()
    };
    let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256)?);
    let signer = spec.sign(key, now, SerialNumber::new([1; 16]), &provider)?;
    let issuer = Issuer::new(Arc::new(signer), IssuancePolicy::default());

    let id = "spiffe://cluster.local/ns/a/sa/b".parse()?;
    let key = SigningKey::generate(KeyKind::EcdsaP256)?;
    let request = SigningRequest::from_pem(key.signing_request(&id)?.as_bytes(), &provider)?;
    let issuance = Issuance {
        ttl,
        ..Issuance::for_workload(&id, now, SerialNumber::new([2; 16]))
    };
    let issued = issuer.issue(&request, &issuance)?;
    Ok(issued.certificate().validity().not_after().as_secs())
}
