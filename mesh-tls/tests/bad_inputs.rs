//! Certificates, keys and lists that break off somewhere.
//!
//! The texts are made here, and taken from the corpora where there are any (`MESH_CORPORA`, or
//! `../shared/corpora` beside the workspace): PEM files, and PEM in strings of JSON.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use mesh_tls::certificate::Certificate;
use mesh_tls::credential::Credential;
use mesh_tls::csr::SigningRequest;
use mesh_tls::pem;
use mesh_tls::trust_bundle::TrustBundle;
use mesh_tls::verify::{Revocations, Roots};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, SanType, SerialNumber, date_time_ymd,
};
use serde_json::Value;

/// A chain of two with its key, a request, and a list.
fn own() -> Vec<String> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new(["shop.example".to_owned()]).unwrap();
    let id = "spiffe://cluster.local/ns/shop/sa/cart";
    params
        .subject_alt_names
        .push(SanType::URI(id.try_into().unwrap()));
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &root).unwrap().pem();
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2027, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    vec![
        leaf + &root.pem() + &key.serialize_pem(),
        params.serialize_request(&key).unwrap().pem().unwrap(),
        list.signed_by(&root).unwrap().pem().unwrap(),
    ]
}

/// The PEM texts of the corpora; none if there are none.
fn of_corpora() -> Vec<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "whoever runs the test says where"
    )]
    let named = std::env::var("MESH_CORPORA").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpora");
    let mut texts = Vec::new();
    collect(&named.unwrap_or_else(|_| beside()), &mut texts);
    texts.sort();
    texts.dedup();
    texts
}

fn collect(directory: &Path, texts: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            collect(&path, texts);
            continue;
        }
        let content = fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&content);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("pem" | "key" | "crl") => texts.push(text.into_owned()),
            Some("json") if text.contains("-----BEGIN") => {
                strings(&serde_json::from_str(&text).unwrap(), texts);
            }
            _ => {}
        }
    }
}

fn strings(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with("-----BEGIN") => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| strings(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| strings(value, texts)),
        _ => {}
    }
}

/// Reads a text in each way there is, and gives the certificates that are in it.
fn read(text: &[u8]) -> Option<Vec<Certificate>> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let _ = pem::private_key(text);
    let _ = SigningRequest::from_pem(text, &provider);
    let _ = Revocations::from_pem(text);
    let _ = Roots::from_pem(text);
    let _ = Credential::from_pem(text, text, &provider);
    let _ = TrustBundle::from_pem("cluster.local".parse().unwrap(), text);
    pem::certificates(text).ok()
}

#[test]
fn what_is_left_of_a_text_cut_at_any_byte_is_the_beginning_of_what_was_there() {
    let texts = [own(), of_corpora()].concat();
    for text in &texts {
        let whole = read(text.as_bytes());
        for end in 0..text.len() {
            let left = read(&text.as_bytes()[..end]);
            if let (Some(left), Some(whole)) = (left, &whole) {
                assert!(whole.starts_with(&left), "{end} bytes of\n{text}");
            }
        }
    }
    eprintln!("{} texts", texts.len());
}

#[test]
fn a_certificate_or_list_cut_at_any_byte_is_none() {
    for text in [own(), of_corpora()].concat() {
        for block in pem::parse(text.as_bytes()).unwrap_or_default() {
            let der = block.der();
            let is_certificate = Certificate::from_der(der).is_ok();
            for end in 0..der.len() {
                let left = Certificate::from_der(&der[..end]);
                assert!(left.is_err() || !is_certificate, "{end} bytes of\n{text}");
                let list = Revocations::new([der[..end].into()]);
                assert!(list.is_err(), "{end} bytes of\n{text}");
            }
        }
    }
}
