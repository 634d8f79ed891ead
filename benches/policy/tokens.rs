//! Tokens that are verified, and that were verified before, beside the bare signature.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use criterion::{BatchSize, Criterion};
use http::Request;
use mesh_core::attributes::RequestPrincipal;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::RequestAuthentication;
use mesh_policy::authn::{Algorithms, Authenticator, Jwks, KeyStore, Token};
use rustls_pki_types::{SignatureVerificationAlgorithm, UnixTime, alg_id};

/// The key of RFC 7515, appendix A.3.
const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
/// Its token, which is of 2011.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxf\
KTUJqPP3-Kg6NU1Q";
const NOW: Duration = Duration::from_secs(1_300_819_380);

pub(crate) fn benches(c: &mut Criterion) {
    let provided = rustls::crypto::aws_lc_rs::default_provider();
    let provided = provided.signature_verification_algorithms.all;
    let algorithms = Algorithms::new(provided);
    let jwks = format!(r#"{{"keys": [{{"kty": "EC", "crv": "P-256", "x": "{X}", "y": "{Y}"}}]}}"#);
    bare(c, provided);

    let keys = Jwks::parse(&jwks).unwrap();
    let now = UnixTime::since_unix_epoch(NOW);
    let verify = |text: &str| {
        let token = Token::parse(text).unwrap();
        token.verify_time(now).unwrap();
        token.verify_signature(&keys, algorithms).unwrap();
        token.issuer().len()
    };
    assert_eq!(verify(TOKEN), 3);
    c.bench_function("token, ES256", |b| b.iter(|| verify(black_box(TOKEN))));

    let mut policy = Resource::<RequestAuthentication>::default();
    let rule = &mut policy.spec.jwt_rules;
    rule.resize_with(1, Default::default);
    rule[0].issuer = Some("joe".to_owned());
    rule[0].jwks = Some(jwks);
    let authenticator =
        Authenticator::compile(&[Arc::new(policy)], &KeyStore::default(), algorithms);
    let request = || {
        let value = format!("Bearer {TOKEN}");
        Request::get("/")
            .header("authorization", value)
            .body(())
            .unwrap()
    };
    let mut first = request();
    authenticator.verify(&mut first, now).unwrap();
    assert!(first.extensions().get::<RequestPrincipal>().is_some());
    c.bench_function("token, verified before, with the request's changes", |b| {
        b.iter_batched_ref(
            request,
            |request| authenticator.verify(black_box(request), now).unwrap(),
            BatchSize::SmallInput,
        );
    });
}

/// The signature alone, as the provider verifies it.
fn bare(c: &mut Criterion, provided: &'static [&'static dyn SignatureVerificationAlgorithm]) {
    let is_es256 = |one: &&&dyn SignatureVerificationAlgorithm| {
        one.public_key_alg_id() == alg_id::ECDSA_P256
            && one.signature_alg_id() == alg_id::ECDSA_SHA256
    };
    let es256 = provided.iter().find(is_es256).unwrap();
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let key = [vec![4], decode(X), decode(Y)].concat();
    let (message, signature) = TOKEN.rsplit_once('.').unwrap();
    let raw = decode(signature);
    // Both numbers of this signature are positive or get a zero before them.
    let number = |number: &[u8]| {
        let padding: &[u8] = if number[0] >= 0x80 { &[0] } else { &[] };
        let number = [padding, number].concat();
        [&[2, number.len() as u8], &*number].concat()
    };
    let numbers = [number(&raw[..32]), number(&raw[32..])].concat();
    let signature = [&[0x30, numbers.len() as u8], &*numbers].concat();
    es256
        .verify_signature(&key, message.as_bytes(), &signature)
        .unwrap();
    c.bench_function("token, the bare signature", |b| {
        b.iter(|| {
            es256
                .verify_signature(black_box(&key), message.as_bytes(), &signature)
                .is_ok()
        });
    });
}
