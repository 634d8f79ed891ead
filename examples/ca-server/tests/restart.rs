//! A server that was down for long, or is started again and again.

use mesh_tls::ca::root::RootSpec;
use mesh_tls::ca::{Authority, IssuancePolicy, OverlapPolicy, SignerMaterial};
use mesh_tls::certificate::Certificate;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};

use super::*;
use crate::{overlap, state};

const DAY: u64 = 86_400;

fn ago(seconds: u64) -> UnixTime {
    let now = UnixTime::now().as_secs();
    UnixTime::since_unix_epoch(Duration::from_secs(now - seconds))
}

/// An intermediate that counted for a day, until yesterday.
fn expired_intermediate() -> Signer {
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let (above, above_key) = (authority("root"), KeyPair::generate().unwrap());
    let root = above.self_signed(&above_key).unwrap();
    let (mut params, key) = (authority("intermediate"), KeyPair::generate().unwrap());
    let date =
        |time: UnixTime| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(time.as_secs());
    (params.not_before, params.not_after) = (date(ago(2 * DAY)), date(ago(DAY)));
    let above = rcgen::Issuer::from_params(&above, &above_key);
    let signed = params.signed_by(&key, &above).unwrap();
    let material = SignerMaterial {
        certificate: Certificate::from_der(signed.der()).unwrap(),
        key: Arc::new(SigningKey::from_pem(key.serialize_pem().as_bytes()).unwrap()),
        intermediates: Vec::new(),
        roots: vec![Certificate::from_der(root.der()).unwrap()],
    };
    Signer::new(material, ago(DAY), &provider()).unwrap()
}

fn read(directory: &Path) -> String {
    fs::read_to_string(directory.join("overlap.json")).unwrap()
}

#[test]
fn an_intermediate_that_expired_meanwhile_is_followed_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let next = plug_in(directory.path());
    let policies = (IssuancePolicy::default(), OverlapPolicy::default());
    let old = Arc::new(expired_intermediate());
    let mut authority = Authority::new(old, policies.0, policies.1);
    let root = state::read(directory.path()).unwrap();
    let root = root.signer(UnixTime::now(), &provider()).unwrap();
    authority.replace(Arc::new(root), ago(DAY + 3_600));
    overlap::save(directory.path(), &authority).unwrap();
    assert!(read(directory.path()).contains("switchAt"));

    let authority = open(directory.path());
    let issuer = authority.issuer().load_full();
    assert_eq!(issuer.signer().certificate(), next.certificate());
    issue(&authority);
}

#[test]
fn a_root_that_was_made_here_and_expired_meanwhile_is_renewed() {
    let directory = tempfile::tempdir().unwrap();
    let spec = RootSpec {
        organization: "mesh".to_owned(),
        lifetime: Duration::from_secs(DAY),
        ..RootSpec::default()
    };
    let key = Arc::new(SigningKey::generate(KeyKind::EcdsaP256).unwrap());
    let serial = authority::serial(&provider()).unwrap();
    let old = spec.sign(key, ago(2 * DAY), serial, &provider()).unwrap();
    state::create(directory.path(), &old, &provider()).unwrap();
    let renewed = open(directory.path()).issuer().load_full();
    let renewed = renewed.signer();
    assert_ne!(renewed.certificate(), old.certificate());
    assert_eq!(renewed.key().public_key(), old.key().public_key());
    let authority = open(directory.path());
    let again = authority.issuer().load_full();
    assert_eq!(again.signer().certificate(), renewed.certificate());
    issue(&authority);

    // That of somebody else is not.
    let directory = tempfile::tempdir().unwrap();
    state::create(directory.path(), &old, &provider()).unwrap();
    fs::remove_file(directory.path().join("self-made")).unwrap();
    let opened = MeshAuthority::open(directory.path(), "mesh".parse().unwrap(), provider());
    let error = opened.err().unwrap().to_string();
    assert!(error.contains("expired 1 day"), "{error}");
}

#[test]
fn the_day_of_an_announcement_does_not_begin_anew_with_each_restart() {
    let directory = tempfile::tempdir().unwrap();
    let authority = open(directory.path());
    let second = plug_in(directory.path());
    authority.reload().unwrap();
    let third = plug_in(directory.path());
    let announced = |signer: &Signer| {
        let certificate = pem::encode_certificates([signer.certificate()]);
        let certificate = serde_json::to_string(&certificate).unwrap();
        read(directory.path()).contains(&certificate)
    };
    assert!(announced(&second) && !announced(&third));
    open(directory.path());
    assert!(announced(&third) && !announced(&second), "it is kept");
    let kept = read(directory.path());
    open(directory.path());
    assert_eq!(read(directory.path()), kept);
}

#[test]
fn files_that_are_put_back_while_the_server_is_down_are_followed_by_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let names = ["ca-cert.pem", "ca-key.pem", "root-cert.pem"];
    let read_all = || names.map(|name| fs::read_to_string(directory.path().join(name)).unwrap());
    let write_all = |files: &[String; 3]| {
        for (name, text) in names.iter().zip(files) {
            fs::write(directory.path().join(name), text).unwrap();
        }
    };
    let authority = open(directory.path());
    let old = read_all();
    plug_in(directory.path());
    authority.reload().unwrap();
    assert!(read(directory.path()).contains("switchAt"));
    write_all(&old);
    let authority = open(directory.path());
    assert_eq!(authority.issuer().load().roots().len(), 1);
    let kept = fs::exists(directory.path().join("overlap.json")).unwrap();
    assert!(!kept, "what was announced is forgotten");
}
