//! The certificates that the authority issues.

use std::slice::from_ref;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::identity::SpiffeId;
use mesh_tls::ca::crl::{Reason, Revocations, RevokeError, Revoked};
use mesh_tls::ca::files::{CaFiles, CaFilesError};
use mesh_tls::ca::root::{RootRenewal, RootSpec};
use mesh_tls::ca::{
    Issuance, IssuancePolicy, IssueError, Issuer, Signer, SignerError, SignerMaterial,
};
use mesh_tls::certificate::{Certificate, SubjectAltName};
use mesh_tls::csr::{KeyKind, SigningRequest};
use mesh_tls::key::SigningKey;
use mesh_tls::pem;
use mesh_tls::svid::X509Svid;
use mesh_tls::trust_bundle::{TrustBundle, TrustBundles};
use mesh_tls::verify::{self, PeerVerifier, Purpose, VerifyError};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    SanType,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::{DAY, NOW, at, issue, key, provider, request, root, serial};

const MINUTE: u64 = 60;

fn id() -> SpiffeId {
    "spiffe://cluster.local/ns/shop/sa/cart".parse().unwrap()
}

fn issuer() -> Issuer {
    let root = root(&RootSpec::default(), &key(KeyKind::EcdsaP256), NOW);
    Issuer::new(root, IssuancePolicy::default())
}

fn validity(certificate: &Certificate) -> (u64, u64) {
    let validity = certificate.validity();
    (
        validity.not_before().as_secs(),
        validity.not_after().as_secs(),
    )
}

/// Issues for a lifetime at a time.
fn issue_for(issuer: &Issuer, ttl: u64, now: u64) -> Result<(u64, u64), IssueError> {
    let key = SigningKey::generate(KeyKind::EcdsaP256).unwrap();
    let issuance = Issuance {
        ttl: Duration::from_secs(ttl),
        ..Issuance::for_workload(&id(), at(now), serial(2))
    };
    let issued = issuer.issue(&request(&key, &id()), &issuance)?;
    Ok(validity(issued.certificate()))
}

/// An authority below `above`, as PEM of its certificate and its key.
fn intermediate(above: &KeyPair, name: &str, root: &CertificateParams) -> (Certificate, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().unwrap();
    let above = rcgen::Issuer::from_params(root, above);
    let signed = params.signed_by(&key, &above).unwrap();
    (Certificate::from_der(signed.der()).unwrap(), key)
}

/// A root, and an intermediate below it.
struct Plugged {
    root: Certificate,
    signing: Certificate,
    key: KeyPair,
}

impl Plugged {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        // In the order and with the string types that openssl writes.
        let country = rcgen::string::PrintableString::try_from("DE").unwrap();
        let name = &mut params.distinguished_name;
        name.push(
            DnType::CountryName,
            rcgen::DnValue::PrintableString(country),
        );
        name.push(DnType::OrganizationName, "Acme, Ltd. \"x\"");
        name.push(DnType::CommonName, "Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let root_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let root = params.self_signed(&root_key).unwrap();
        let root = Certificate::from_der(root.der()).unwrap();
        let (signing, key) = intermediate(&root_key, "Intermediate", &params);
        Self { root, signing, key }
    }

    fn material(&self) -> SignerMaterial {
        let key = SigningKey::from_pem(self.key.serialize_pem().as_bytes()).unwrap();
        SignerMaterial {
            certificate: self.signing.clone(),
            key: Arc::new(key),
            intermediates: Vec::new(),
            roots: vec![self.root.clone()],
        }
    }

    fn file(&self, name: &str) -> Option<String> {
        let certificate = |one: &Certificate| pem::encode_certificates([one]);
        match name {
            "ca-cert.pem" => Some(certificate(&self.signing)),
            "ca-key.pem" | "tls.key" => Some(self.key.serialize_pem()),
            "root-cert.pem" | "ca.crt" => Some(certificate(&self.root)),
            "cert-chain.pem" => Some(certificate(&self.signing) + &certificate(&self.root)),
            "tls.crt" => Some(certificate(&self.signing)),
            _ => None,
        }
    }
}

fn signer(material: SignerMaterial) -> Result<Signer, SignerError> {
    Signer::new(material, at(NOW), &provider())
}

#[test]
fn a_certificate_says_what_istiod_s_says() {
    let issuer = issuer();
    let (issued, key) = issue(&issuer, &id(), NOW);
    let leaf = issued.certificate();
    assert_eq!(leaf.subject(), "");
    assert_eq!(leaf.issuer(), "O=cluster.local");
    assert_eq!(leaf.names(), [SubjectAltName::Uri(id().to_string())]);
    assert_eq!(leaf.serial(), serial(2).as_bytes());
    assert_eq!(leaf.public_key(), key.public_key());
    assert_eq!(validity(leaf), (NOW - 2 * MINUTE, NOW + DAY));

    let (_, parsed) = X509Certificate::from_der(leaf.der()).unwrap();
    let usage = parsed.key_usage().unwrap().unwrap();
    assert!(usage.critical);
    assert_eq!(
        usage.value.to_string(),
        "Digital Signature, Key Encipherment"
    );
    let extended = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && extended.client_auth && !extended.any);
    assert!(extended.other.is_empty() && !extended.code_signing);
    let constraints = parsed.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && !constraints.value.ca);
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    assert!(names.critical, "the subject is empty");

    let svid = X509Svid::new(issued.chain, key.private_key().clone_key(), &provider()).unwrap();
    assert_eq!(svid.id(), &id());
}

#[test]
fn a_request_for_another_identity_or_for_an_authority_gets_only_its_key_used() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let evil = "spiffe://cluster.local/ns/istio-system/sa/istiod";
    params.subject_alt_names = vec![
        SanType::URI(evil.try_into().unwrap()),
        SanType::DnsName("istiod.istio-system.svc".try_into().unwrap()),
    ];
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let der = params.serialize_request(&key).unwrap().der().to_vec();
    let asked = SigningRequest::from_der(&der, &provider()).unwrap();

    let issuer = issuer();
    let issuance = Issuance::for_workload(&id(), at(NOW), serial(2));
    let issued = issuer.issue(&asked, &issuance).unwrap();
    let leaf = issued.certificate();
    assert_eq!(leaf.names(), [SubjectAltName::Uri(id().to_string())]);
    assert!(!leaf.is_ca());
    assert!(leaf.key_usage().is_some_and(|usage| !usage.key_cert_sign()));
    assert_eq!(leaf.public_key(), asked.public_key());
}

#[test]
fn the_lifetime_is_the_default_the_wish_or_what_is_left_of_the_signer() {
    let life = 100 * DAY;
    let spec = RootSpec {
        lifetime: Duration::from_secs(life),
        ..RootSpec::default()
    };
    let root = root(&spec, &key(KeyKind::EcdsaP256), NOW);
    let issuer = Issuer::new(root, IssuancePolicy::default());
    let from = |now| now - 2 * MINUTE;

    let cases = [
        ("default", 0, NOW, Ok((from(NOW), NOW + DAY))),
        ("a second", 1, NOW, Ok((from(NOW), NOW + 1))),
        (
            "the longest",
            90 * DAY,
            NOW,
            Ok((from(NOW), NOW + 90 * DAY)),
        ),
        (
            "longer than the signer",
            90 * DAY,
            NOW + 20 * DAY,
            Ok((from(NOW + 20 * DAY), NOW + life)),
        ),
        (
            "default, longer than the signer",
            0,
            NOW + life - 5,
            Ok((from(NOW + life - 5), NOW + life)),
        ),
        (
            "too long",
            90 * DAY + 1,
            NOW,
            Err(IssueError::TtlTooLong {
                requested: Duration::from_secs(90 * DAY + 1),
                max: Duration::from_secs(90 * DAY),
            }),
        ),
        (
            "the last second of the signer",
            0,
            NOW + life,
            Err(IssueError::SignerExpired),
        ),
        (
            "expired signer",
            1,
            NOW + life + 1,
            Err(IssueError::SignerExpired),
        ),
    ];
    for (case, ttl, now, expected) in cases {
        assert_eq!(issue_for(&issuer, ttl, now), expected, "{case}");
    }
}

#[test]
fn a_common_name_is_the_first_name_if_the_request_has_one_and_it_is_short() {
    let pair = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "anything");
    let der = params.serialize_request(&pair).unwrap().der().to_vec();
    let dual_use = SigningRequest::from_der(&der, &provider()).unwrap();
    let long: SpiffeId = format!("spiffe://cluster.local/ns/a/sa/{}", "b".repeat(40))
        .parse()
        .unwrap();
    let short = format!("CN={}", id());
    for (id, subject) in [(id(), short.as_str()), (long, "")] {
        let issuance = Issuance::for_workload(&id, at(NOW), serial(2));
        let issued = issuer().issue(&dual_use, &issuance).unwrap();
        assert_eq!(issued.certificate().subject(), subject);
    }
}

#[test]
fn names_of_hosts_are_issued_and_others_are_not() {
    let request = request(&key(KeyKind::EcdsaP256), &id());
    let issue = |names: Vec<SubjectAltName>| {
        let issuance = Issuance {
            names,
            ..Issuance::for_workload(&id(), at(NOW), serial(2))
        };
        let issued = issuer().issue(&request, &issuance);
        issued.map(|issued| issued.certificate().names().to_vec())
    };
    let hosts = vec![
        SubjectAltName::Dns("istiod.istio-system.svc".into()),
        SubjectAltName::Ip("192.0.2.1".parse().unwrap()),
    ];
    assert_eq!(issue(hosts.clone()), Ok(hosts));
    assert_eq!(issue(Vec::new()), Err(IssueError::NoName));
    for name in [
        SubjectAltName::Email("a@b".into()),
        SubjectAltName::Other,
        SubjectAltName::Uri("spiffe://é".into()),
    ] {
        let refused = Err(IssueError::UnsupportedName { name: name.clone() });
        assert_eq!(issue(vec![name]), refused);
    }
}

#[test]
fn each_kind_of_key_signs_and_is_signed() {
    let kinds = [
        KeyKind::EcdsaP256,
        KeyKind::EcdsaP384,
        KeyKind::Ed25519,
        KeyKind::RSA_2048,
    ];
    for signing in kinds {
        let root = root(&RootSpec::default(), &key(signing), NOW);
        let issuer = Issuer::new(Arc::clone(&root), IssuancePolicy::default());
        let bundle = TrustBundle::new(id().trust_domain(), root.roots().to_vec()).unwrap();
        let verifier = PeerVerifier::spiffe(TrustBundles::from_iter([bundle]), provider()).unwrap();
        for signed in kinds {
            let key = key(signed);
            let issuance = Issuance::for_workload(&id(), at(NOW), serial(2));
            let issued = issuer.issue(&request(&key, &id()), &issuance).unwrap();
            let chain: Vec<_> = issued.chain.iter().map(|one| one.der().clone()).collect();
            for purpose in [Purpose::Client, Purpose::Server] {
                let peer = verifier.verify(&chain, purpose, at(NOW)).unwrap();
                assert_eq!(peer.id, Some(id()), "{signed} by {signing}");
            }
        }
    }
}

#[test]
fn certificates_are_in_the_order_of_istiod_s_answer() {
    let plugged = Plugged::new();
    let signer = Arc::new(signer(plugged.material()).unwrap());
    let issuer = Issuer::new(signer, IssuancePolicy::default());
    let (issued, _) = issue(&issuer, &id(), NOW);
    let [leaf, signing, root] = &issued.to_pem()[..] else {
        panic!("the leaf, the signing certificate and the root");
    };
    let parse = |text: &String| pem::certificates(text.as_bytes()).unwrap();
    assert_eq!(parse(leaf), issued.chain[..1]);
    assert_eq!(parse(signing), [plugged.signing]);
    assert_eq!(parse(root), [plugged.root]);
    assert!(leaf.ends_with("-----END CERTIFICATE-----\n"));
}

#[test]
fn the_last_element_of_the_answer_has_all_roots() {
    let [old, own] = [(); 2].map(|()| root(&RootSpec::default(), &key(KeyKind::EcdsaP256), NOW));
    let both = [old.roots(), own.roots()].concat();
    let issuer = Issuer::new(own, IssuancePolicy::default()).with_roots(both.clone());
    let (issued, _) = issue(&issuer, &id(), NOW);
    let [leaf, roots] = &issued.to_pem()[..] else {
        panic!("the leaf and the roots");
    };
    let parse = |text: &String| pem::certificates(text.as_bytes()).unwrap();
    assert_eq!(parse(leaf), issued.chain);
    assert_eq!(parse(roots), both);
}

#[test]
fn an_authority_is_read_from_either_layout_of_files() {
    let plugged = Plugged::new();
    let layouts: [(&str, &[&str]); 4] = [
        (
            "all",
            &[
                "ca-cert.pem",
                "ca-key.pem",
                "root-cert.pem",
                "cert-chain.pem",
            ],
        ),
        ("no chain", &["ca-cert.pem", "ca-key.pem", "root-cert.pem"]),
        ("TLS", &["tls.crt", "tls.key", "ca.crt"]),
        (
            "TLS beside",
            &["ca-cert.pem", "ca-key.pem", "root-cert.pem", "tls.crt"],
        ),
    ];
    for (case, present) in layouts {
        let read = |name: &str| {
            let content = plugged.file(name).filter(|_| present.contains(&name));
            content.map(String::into_bytes)
        };
        let files = CaFiles::select(read).unwrap();
        let signer = files.signer(at(NOW), &provider()).unwrap();
        assert_eq!(signer.intermediates(), from_ref(&plugged.signing), "{case}");
        assert_eq!(signer.roots(), from_ref(&plugged.root), "{case}");
        assert_eq!(files.revocation_lists().unwrap(), [], "{case}");
    }
}

#[test]
fn files_that_are_missing_or_do_not_fit_are_named() {
    let (ours, theirs) = (Plugged::new(), Plugged::new());
    let signer = |replaced: &str, content: Option<&str>| {
        let read = |name: &str| {
            let content = match content {
                content if name == replaced => content.map(str::to_owned),
                _ => ours.file(name).filter(|_| !name.starts_with("tls")),
            };
            content.map(String::into_bytes)
        };
        let files = CaFiles::select(read)?;
        files.signer(at(NOW), &provider()).map(drop)
    };
    for name in ["ca-key.pem", "root-cert.pem"] {
        assert_eq!(signer(name, None), Err(CaFilesError::Missing { name }));
    }
    let name = "ca-cert.pem";
    assert_eq!(
        signer(name, Some("")),
        Err(CaFilesError::NoCertificate { name })
    );
    for name in ["ca-cert.pem", "root-cert.pem", "cert-chain.pem"] {
        let broken = signer(name, Some("-----BEGIN CERTIFICATE-----\n")).unwrap_err();
        assert!(
            matches!(broken, CaFilesError::Pem { name: at, .. } if at == name),
            "{broken:?}"
        );
    }
    assert_eq!(
        signer("ca-key.pem", theirs.file("ca-key.pem").as_deref()),
        Err(CaFilesError::Signer(SignerError::OtherKey))
    );
    let other_root = signer("root-cert.pem", theirs.file("root-cert.pem").as_deref());
    assert!(matches!(
        other_root,
        Err(CaFilesError::Signer(SignerError::Chain(_)))
    ));
    assert_eq!(
        signer("root-cert.pem", Some("")),
        Err(CaFilesError::Signer(SignerError::NoRoot))
    );
    assert_eq!(signer("", None), Ok(()));
}

#[test]
fn files_cut_at_any_byte_do_not_panic() {
    let plugged = Plugged::new();
    for cut in ["ca-cert.pem", "ca-key.pem", "root-cert.pem"] {
        let whole = plugged.file(cut).unwrap();
        for end in 0..whole.len() - 1 {
            let read = |name: &str| {
                let mut content = plugged.file(name)?.into_bytes();
                if name == cut {
                    content.truncate(end);
                }
                Some(content).filter(|_| !name.starts_with("tls"))
            };
            let files = CaFiles::select(read).unwrap();
            assert!(
                files.signer(at(NOW), &provider()).is_err(),
                "{cut} at {end}"
            );
        }
    }
}

#[test]
fn a_certificate_that_may_not_sign_makes_no_signer() {
    let plugged = Plugged::new();
    let leaf = issue(&issuer(), &id(), NOW);
    let material = SignerMaterial {
        certificate: leaf.0.certificate().clone(),
        key: Arc::new(leaf.1),
        ..plugged.material()
    };
    assert_eq!(signer(material).unwrap_err(), SignerError::NotAnAuthority);

    let spec = RootSpec {
        lifetime: Duration::from_secs(DAY),
        ..RootSpec::default()
    };
    let short = root(&spec, &key(KeyKind::EcdsaP256), NOW);
    assert!(short.leads_to(short.roots(), at(NOW + DAY)));
    assert!(!short.leads_to(&[plugged.root], at(NOW)));
}

#[test]
fn an_authority_that_is_out_of_date_or_leads_to_a_root_that_is_makes_no_signer() {
    let dated = |from: u64, to: u64| {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let time = |seconds| {
            let seconds = i64::try_from(seconds).unwrap();
            time::OffsetDateTime::from_unix_timestamp(seconds).unwrap()
        };
        (params.not_before, params.not_after) = (time(from), time(to));
        params
    };
    let key = KeyPair::generate().unwrap();
    let certificate = |params: &CertificateParams| {
        Certificate::from_der(params.self_signed(&key).unwrap().der()).unwrap()
    };
    let [expired, early, good] = [
        dated(NOW - 2 * DAY, NOW - DAY),
        dated(NOW + DAY, NOW + 2 * DAY),
        dated(NOW - DAY, NOW + DAY),
    ];
    let own = |root: &CertificateParams| SignerMaterial {
        certificate: certificate(root),
        key: Arc::new(SigningKey::from_pem(key.serialize_pem().as_bytes()).unwrap()),
        intermediates: Vec::new(),
        roots: vec![certificate(root)],
    };
    let (signing, signing_key) = intermediate(&key, "Intermediate", &good);
    let below = |roots: &[&CertificateParams]| SignerMaterial {
        certificate: signing.clone(),
        key: Arc::new(SigningKey::from_pem(signing_key.serialize_pem().as_bytes()).unwrap()),
        intermediates: Vec::new(),
        roots: roots.iter().map(|root| certificate(root)).collect(),
    };
    let by = Duration::from_secs(DAY);
    let gone = Some(SignerError::Expired { by });
    let not_yet = Some(SignerError::NotYetValid { by });
    let cases = [
        ("a root", own(&good), None),
        ("an expired root", own(&expired), gone.clone()),
        ("a root to come", own(&early), not_yet.clone()),
        ("below a root", below(&[&good]), None),
        ("below an expired root", below(&[&expired]), gone),
        ("below a root to come", below(&[&early]), not_yet),
        ("below a renewed root", below(&[&expired, &good]), None),
    ];
    for (case, material, expected) in cases {
        assert_eq!(signer(material).err(), expected, "{case}");
    }
}

#[test]
fn a_root_is_renewed_with_its_key_when_a_fifth_of_its_life_is_left() {
    let spec = RootSpec::default();
    let key = key(KeyKind::EcdsaP256);
    let old = root(&spec, &key, NOW);
    let (from, to) = validity(old.certificate());
    assert_eq!((from, to), (NOW - 2 * MINUTE, NOW + 3650 * DAY));
    assert_eq!(old.certificate().subject(), "O=cluster.local");

    let renewal = RootRenewal::default();
    let due = to - (to - from) / 5;
    assert!(!renewal.is_due(old.certificate().validity(), at(due - 1)));
    assert!(renewal.is_due(old.certificate().validity(), at(due)));
    assert_eq!(renewal.first_check(at(0), 0.5), at(1800));

    let new = root(&spec, &key, due);
    let (issued, _) = issue(&Issuer::new(old, IssuancePolicy::default()), &id(), due);
    let bundle = TrustBundle::new(id().trust_domain(), new.roots().to_vec()).unwrap();
    let verifier = PeerVerifier::spiffe(TrustBundles::from_iter([bundle]), provider()).unwrap();
    let chain = [issued.certificate().der().clone()];
    assert!(verifier.verify(&chain, Purpose::Client, at(due)).is_ok());
}

#[test]
fn a_peer_whose_clock_is_late_believes_a_root_that_was_just_made() {
    for (backdate, late, believed) in [(120, 120, true), (120, 121, false), (0, 1, false)] {
        let spec = RootSpec {
            backdate: Duration::from_secs(backdate),
            ..RootSpec::default()
        };
        let root = root(&spec, &key(KeyKind::EcdsaP256), NOW);
        let there = at(NOW - late);
        let from = validity(root.certificate()).0;
        assert_eq!(from, NOW - backdate);
        let counts = root.certificate().validity().contains(there);
        assert_eq!(counts, believed, "{backdate} {late}");
    }
}

#[test]
fn a_revoked_certificate_is_refused_and_others_are_not() {
    let root = root(&RootSpec::default(), &key(KeyKind::EcdsaP256), NOW);
    let issuer = Issuer::new(Arc::clone(&root), IssuancePolicy::default());
    let (stolen, _) = issue(&issuer, &id(), NOW);
    let good = {
        let issuance = Issuance::for_workload(&id(), at(NOW), serial(3));
        let request = request(&key(KeyKind::EcdsaP256), &id());
        issuer.issue(&request, &issuance).unwrap()
    };
    let list = Revocations {
        number: 1,
        lifetime: Duration::from_secs(DAY),
        revoked: vec![Revoked {
            serial: stolen.certificate().serial().to_vec(),
            at: at(NOW),
            reason: Some(Reason::KeyCompromise),
        }],
    };
    let signed = list.sign(&root, at(NOW)).unwrap();
    assert_eq!(
        pem::revocation_lists(signed.to_pem().as_bytes()).unwrap(),
        [signed.der().clone()]
    );

    let revocations = verify::Revocations::new([signed.der().clone()]).unwrap();
    let bundle = TrustBundle::new(id().trust_domain(), root.roots().to_vec()).unwrap();
    let verifier = PeerVerifier::spiffe(TrustBundles::from_iter([bundle]), provider()).unwrap();
    let verifier = verifier.with_revocations(revocations);
    let verify = |chain: &[Certificate]| {
        let chain: Vec<_> = chain.iter().map(|one| one.der().clone()).collect();
        verifier.verify(&chain, Purpose::Client, at(NOW))
    };
    assert!(matches!(verify(&stolen.chain), Err(VerifyError::Revoked)));
    assert!(verify(&good.chain).is_ok());

    let none = Revocations {
        lifetime: Duration::ZERO,
        ..list
    };
    assert_eq!(none.sign(&root, at(NOW)), Err(RevokeError::NoLifetime));
}

/// Runs `openssl` in a directory with these files.
fn openssl(files: &[(&str, String)], args: &[&str]) -> std::process::Output {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(directory.path().join(name), content).unwrap();
    }
    let mut command = std::process::Command::new("openssl");
    command.args(args).current_dir(directory.path());
    command.output().unwrap()
}

#[test]
#[ignore = "needs openssl"]
fn openssl_accepts_issued_chains_by_its_strict_rules() {
    let kinds = [
        KeyKind::EcdsaP256,
        KeyKind::EcdsaP384,
        KeyKind::Ed25519,
        KeyKind::RSA_2048,
    ];
    let mut signers: Vec<_> = kinds
        .into_iter()
        .map(|kind| root(&RootSpec::default(), &key(kind), NOW))
        .collect();
    signers.push(Arc::new(signer(Plugged::new().material()).unwrap()));
    for signer in signers {
        let name = signer.key().kind();
        let list = Revocations {
            number: 7,
            lifetime: Duration::from_secs(DAY),
            revoked: vec![Revoked {
                serial: vec![9],
                at: at(NOW),
                reason: None,
            }],
        };
        let crl = list.sign(&signer, at(NOW)).unwrap().to_pem();
        let issuer = Issuer::new(signer, IssuancePolicy::default());
        let (issued, _) = issue(&issuer, &id(), NOW);
        let files = [
            ("leaf.pem", issued.to_pem()[0].clone()),
            ("chain.pem", pem::encode_certificates(&issued.chain)),
            ("roots.pem", pem::encode_certificates(issued.roots.iter())),
            ("crl.pem", crl),
        ];
        let time = (NOW + 60).to_string();
        let common = [
            "verify",
            "-x509_strict",
            "-attime",
            &time,
            "-CAfile",
            "roots.pem",
        ];
        let checks: [&[&str]; 3] = [
            &["-purpose", "sslserver"],
            &["-purpose", "sslclient"],
            &["-crl_check", "-CRLfile", "crl.pem"],
        ];
        for check in checks {
            let rest = ["-untrusted", "chain.pem", "leaf.pem"];
            let output = openssl(&files, &[&common[..], check, &rest].concat());
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{name} {check:?}: {text}");
        }
    }
}

#[test]
#[ignore = "needs openssl"]
fn requests_and_authorities_of_openssl_are_accepted() {
    let curve = ["-pkeyopt", "ec_paramgen_curve:P-256"];
    let algorithms: [&[&str]; 3] = [
        &["-newkey", "rsa:2048"],
        &["-newkey", "ed25519"],
        &["-newkey", "ec", curve[0], curve[1]],
    ];
    for algorithm in algorithms {
        let common = [
            "req",
            "-nodes",
            "-subj",
            "/CN=x/O=Acme + Sons/C=DE",
            "-keyout",
            "-",
        ];
        let output = openssl(&[], &[&common[..], algorithm].concat());
        let request = SigningRequest::from_pem(&output.stdout, &provider()).unwrap();
        assert!(request.has_common_name(), "{algorithm:?}");

        let ca = [
            "-x509",
            "-days",
            "9000",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ];
        let output = openssl(&[], &[&common[..], &ca, algorithm].concat());
        let certificate = pem::certificates(&output.stdout).unwrap().remove(0);
        let material = SignerMaterial {
            roots: vec![certificate.clone()],
            certificate,
            key: Arc::new(SigningKey::from_pem(&output.stdout).unwrap()),
            intermediates: Vec::new(),
        };
        let now = material.certificate.validity().not_before();
        let signer = Signer::new(material, now, &provider()).unwrap();
        let issuer = Issuer::new(Arc::new(signer), IssuancePolicy::default());
        let issuance = Issuance::for_workload(&id(), now, serial(2));
        let issued = issuer.issue(&request, &issuance).unwrap();
        assert_eq!(issued.certificate().subject(), format!("CN={}", id()));
    }
}
