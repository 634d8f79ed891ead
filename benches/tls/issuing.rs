//! From a signing request to a certificate.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use mesh_tls::ca::{Issuance, SerialNumber};
use mesh_tls::certificate::SubjectAltName;
use mesh_tls::csr::{KeyKind, SigningRequest};
use mesh_tls::key::SigningKey;

use crate::fixture::{NOW, id, issuer, provider};

pub(crate) fn issuing(c: &mut Criterion) {
    let provider = provider();
    let id = id("cart");
    let mut group = c.benchmark_group("CSR to certificate");
    group.throughput(Throughput::Elements(1));
    for (name, signing, signed) in [
        ("P-256 by P-256", KeyKind::EcdsaP256, KeyKind::EcdsaP256),
        ("P-256 by RSA 2048", KeyKind::RSA_2048, KeyKind::EcdsaP256),
        ("RSA 2048 by RSA 2048", KeyKind::RSA_2048, KeyKind::RSA_2048),
    ] {
        let issuer = issuer(signing, NOW);
        let key = SigningKey::generate(signed).unwrap();
        let request = key.signing_request(&id).unwrap();
        let issue = || {
            let request = SigningRequest::from_pem(request.as_bytes(), &provider).unwrap();
            let issuance = Issuance::for_workload(&id, NOW, SerialNumber::new([2; 16]));
            issuer.issue(&request, &issuance).unwrap().to_pem()
        };
        let chain = issue().concat();
        let leaf = mesh_tls::pem::certificates(chain.as_bytes())
            .unwrap()
            .remove(0);
        assert_eq!(leaf.names(), [SubjectAltName::Uri(id.to_string())]);
        assert_eq!(leaf.public_key(), key.public_key());
        group.bench_function(name, |b| b.iter(|| black_box(issue())));
    }
    group.finish();
}
