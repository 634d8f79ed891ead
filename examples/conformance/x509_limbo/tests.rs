//! A small suite that is written here.

use std::fs;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SanType, SerialNumber, date_time_ymd,
};
use serde_json::json;

use super::*;
use crate::Arguments;

type Signer = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2024, 1, 1);
    params.not_after = date_time_ymd(2025, 1, 1);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn root(name: &str) -> Signer {
    CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap()
}

fn leaf(signer: &Signer, usage: ExtendedKeyUsagePurpose) -> String {
    let mut params = params("leaf");
    params.serial_number = Some(SerialNumber::from(7));
    params.extended_key_usages = vec![usage];
    params.subject_alt_names = vec![
        SanType::DnsName("shop.example".try_into().unwrap()),
        SanType::IpAddress([192, 0, 2, 1].into()),
        SanType::Rfc822Name("shop@shop.example".try_into().unwrap()),
    ];
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, signer).unwrap().pem()
}

/// A list of `signer`, which has revoked `serial`.
fn revocations(signer: &Signer, serial: u64) -> String {
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2024, 5, 1),
        next_update: date_time_ymd(2024, 7, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: vec![RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: date_time_ymd(2024, 5, 1),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(signer).unwrap().pem().unwrap()
}

/// A suite whose cases differ from the first, which is valid, in what their name says.
fn suite() -> Value {
    let root = root("root");
    let stranger = self::root("stranger");
    let key = KeyPair::generate().unwrap();
    let intermediate = CertifiedIssuer::signed_by(authority("intermediate"), key, &root).unwrap();
    let server = leaf(&intermediate, ExtendedKeyUsagePurpose::ServerAuth);
    let client = leaf(&intermediate, ExtendedKeyUsagePurpose::ClientAuth);
    let name = |kind: &str, value: &str| json!({"kind": kind, "value": value});
    let case = |id: &str, result: &str, changes: Value| {
        let mut case = json!({
            "id": id,
            "description": "",
            "validation_kind": "SERVER",
            "trusted_certs": [root.pem()],
            "untrusted_intermediates": [intermediate.pem()],
            "peer_certificate": server,
            "validation_time": "2024-06-01T00:00:00+00:00",
            "signature_algorithms": [],
            "key_usage": [],
            "extended_key_usage": [],
            "expected_result": result,
            "expected_peer_name": name("DNS", "shop.example"),
            "expected_peer_names": [],
        });
        for (field, value) in changes.as_object().unwrap() {
            case[field] = value.clone();
        }
        case
    };
    let of_clients = |value: &str| {
        json!({
            "validation_kind": "CLIENT",
            "peer_certificate": client,
            "extended_key_usage": ["clientAuth"],
            "expected_peer_name": null,
            "expected_peer_names": [name("DNS", "shop.example"), name("RFC822", value)],
        })
    };
    let clear = [revocations(&root, 1), revocations(&intermediate, 1)];
    let revoked = [revocations(&root, 1), revocations(&intermediate, 7)];
    json!({"version": 1, "testcases": [
        case("valid", "SUCCESS", json!({})),
        case("no-name", "SUCCESS", json!({"expected_peer_name": null})),
        case("address", "SUCCESS", json!({"expected_peer_name": name("IP", "192.0.2.1")})),
        case("not-revoked", "SUCCESS", json!({"crls": clear})),
        case("client", "SUCCESS", of_clients("shop@shop.example")),
        case("expired", "FAILURE", json!({"validation_time": "2025-06-01T00:00:00Z"})),
        case("early", "FAILURE", json!({"validation_time": "2023-06-01T00:00:00Z"})),
        case("name", "FAILURE", json!({"expected_peer_name": name("DNS", "cart.example")})),
        case("authority", "FAILURE", json!({"trusted_certs": [stranger.pem()]})),
        case("nobody", "FAILURE", json!({"trusted_certs": []})),
        case("no-intermediate", "FAILURE", json!({"untrusted_intermediates": []})),
        case("revoked", "FAILURE", json!({"crls": revoked})),
        case("purpose", "FAILURE", json!({"peer_certificate": client})),
        case("one-name-of-a-client", "FAILURE", of_clients("cart@shop.example")),
        case("no-certificate", "FAILURE", json!({"peer_certificate": "-----"})),
    ]})
}

#[test]
fn a_suite_is_run_from_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let (limbo, report) = (
        directory.path().join("x509-limbo"),
        directory.path().join("report"),
    );
    fs::create_dir(&limbo).unwrap();
    fs::write(limbo.join("limbo.json"), suite().to_string()).unwrap();
    let arguments = Arguments {
        directory: directory.path().into(),
        only: Some("x509-limbo".into()),
        json: Some(report.clone()),
        verbose: false,
    };
    crate::run(&arguments, &mut std::io::sink()).unwrap();
    let report: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    let counts = &report["x509-limbo/limbo"];
    assert_eq!(counts["not_passed"], json!([]));
    assert_eq!(
        (&counts["cases"], &counts["passed"]),
        (&json!(15), &json!(15))
    );
}

#[test]
fn a_case_that_our_verifiers_cannot_be_asked_about_is_unsupported() {
    let changes = [
        json!({"max_chain_depth": 1}),
        json!({"signature_algorithms": ["ED448"]}),
        json!({"key_usage": ["digitalSignature"]}),
        json!({"extended_key_usage": ["codeSigning"]}),
        json!({"expected_peer_name": {"kind": "RFC822", "value": "a@b"}}),
        json!({"validation_time": "1969-01-01T00:00:00Z"}),
    ];
    for change in changes {
        let mut suite = suite();
        for (field, value) in change.as_object().unwrap() {
            suite["testcases"][0][field] = value.clone();
        }
        let outcome = run(&suite, Path::new("")).remove(0).outcome;
        assert!(
            matches!(outcome, Outcome::Unsupported(_)),
            "{change}: {outcome:?}"
        );
    }
}

#[test]
fn a_difference_is_told_with_both_reasons() {
    let refuse = || -> Verdict { Err("no".into()) };
    let accept = || -> Verdict { Ok(()) };
    let failed = |text: &str| Outcome::failed(text);
    let worse = failed("accepted, and webpki alone refuses: no");
    let cases = [
        ("SUCCESS", accept(), accept(), Outcome::Passed),
        ("FAILURE", refuse(), refuse(), Outcome::Passed),
        ("FAILURE", refuse(), accept(), Outcome::Passed),
        ("SUCCESS", accept(), refuse(), worse.clone()),
        ("FAILURE", accept(), refuse(), worse),
        (
            "FAILURE",
            accept(),
            accept(),
            failed("accepted, as by webpki alone"),
        ),
        (
            "SUCCESS",
            refuse(),
            accept(),
            failed("refused: no; webpki alone accepts"),
        ),
        (
            "SUCCESS",
            refuse(),
            refuse(),
            failed("refused: no; webpki alone: no"),
        ),
    ];
    let mut case = suite()["testcases"][0].clone();
    for (expected, ours, bare, outcome) in cases {
        case["expected_result"] = json!(expected);
        let case: Testcase = serde_json::from_value(case.clone()).unwrap();
        assert_eq!(judge(&case, ours, bare), outcome);
    }
    case["features"] = json!(["pedantic-rfc5280"]);
    let case: Testcase = serde_json::from_value(case).unwrap();
    let optional = judge(&case, refuse(), refuse());
    let text = "pedantic-rfc5280: refused: no; webpki alone: no";
    assert_eq!(optional, Outcome::unsupported(text));
    let worse = judge(&case, accept(), refuse());
    assert!(matches!(worse, Outcome::Failed(_)), "{worse:?}");
}
