//! Authorities of which some certificates have expired, or do not count yet.

use std::sync::Arc;
use std::time::Duration;

use mesh_core::identity::SpiffeId;
use mesh_tls::ca::{
    Authority, Change, Issuance, IssuancePolicy, IssueError, Issued, Issuer, OverlapPolicy, Signer,
    SignerError, SignerMaterial,
};
use mesh_tls::certificate::Certificate;
use mesh_tls::csr::KeyKind;
use mesh_tls::key::SigningKey;
use mesh_tls::svid::X509Svid;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};

use crate::rotation::other_root;
use crate::support::{DAY, NOW, at, provider, request, serial};

type Dates = (u64, u64);

const GOOD: Dates = (NOW - DAY, NOW + 100 * DAY);
const OVER: Dates = (NOW - 2 * DAY, NOW - DAY);
const TO_COME: Dates = (NOW + DAY, NOW + 2 * DAY);

/// The name and the key of an authority.
struct Named {
    name: &'static str,
    key: KeyPair,
}

impl Named {
    fn new(name: &'static str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { name, key }
    }

    fn params(&self, (from, to): Dates) -> CertificateParams {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, self.name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let time = |seconds| {
            let seconds = i64::try_from(seconds).unwrap();
            time::OffsetDateTime::from_unix_timestamp(seconds).unwrap()
        };
        (params.not_before, params.not_after) = (time(from), time(to));
        params
    }

    fn root(&self, dates: Dates) -> Certificate {
        let signed = self.params(dates).self_signed(&self.key).unwrap();
        Certificate::from_der(signed.der()).unwrap()
    }

    fn below(&self, above: &Self, dates: Dates) -> Certificate {
        let above_params = above.params(GOOD);
        let issuer = rcgen::Issuer::from_params(&above_params, &above.key);
        let signed = self.params(dates).signed_by(&self.key, &issuer).unwrap();
        Certificate::from_der(signed.der()).unwrap()
    }

    fn key(&self) -> Arc<SigningKey> {
        let key = SigningKey::from_pem(self.key.serialize_pem().as_bytes());
        Arc::new(key.unwrap())
    }
}

/// A root, an authority below it, and below that the one that signs.
struct Three {
    root: Named,
    middle: Named,
    signing: Named,
}

impl Three {
    fn new() -> Self {
        let [root, middle, signing] = ["root", "middle", "signing"].map(Named::new);
        Self {
            root,
            middle,
            signing,
        }
    }

    fn material(&self, signing: Dates, middle: &[Dates]) -> SignerMaterial {
        let middle = middle.iter();
        SignerMaterial {
            certificate: self.signing.below(&self.middle, signing),
            key: self.signing.key(),
            intermediates: middle
                .map(|dates| self.middle.below(&self.root, *dates))
                .collect(),
            roots: vec![self.root.root(GOOD)],
        }
    }
}

fn signer(material: SignerMaterial, now: u64) -> Result<Signer, SignerError> {
    Signer::new(material, at(now), &provider())
}

fn issue(signer: &Arc<Signer>, now: u64) -> Result<(Issued, SigningKey), IssueError> {
    let id: SpiffeId = "spiffe://mesh/ns/shop/sa/cart".parse().unwrap();
    let key = SigningKey::generate(KeyKind::EcdsaP256).unwrap();
    let issuance = Issuance::for_workload(&id, at(now), serial(2));
    let issuer = Issuer::new(Arc::clone(signer), IssuancePolicy::default());
    Ok((issuer.issue(&request(&key, &id), &issuance)?, key))
}

#[test]
fn an_intermediate_that_is_out_of_date_is_told_with_the_time() {
    let three = Three::new();
    let by = Duration::from_secs(DAY);
    let (over, to_come) = (SignerError::Expired { by }, SignerError::NotYetValid { by });
    for (case, signing, middle, expected) in [
        ("all count", GOOD, GOOD, None),
        ("the signing one is over", OVER, GOOD, Some(over.clone())),
        ("the one above it is over", GOOD, OVER, Some(over)),
        ("the signing one is to come", TO_COME, GOOD, Some(to_come)),
    ] {
        let made = signer(three.material(signing, &[middle]), NOW);
        assert_eq!(made.err(), expected, "{case}");
    }
}

#[test]
fn a_certificate_that_leads_nowhere_does_not_stop_issuing_when_it_expires() {
    let three = Three::new();
    let mut material = three.material(GOOD, &[GOOD]);
    // The root before it was renewed, and another authority for half a day.
    let short = (NOW - DAY, NOW + DAY / 2);
    let others = [
        three.root.root(OVER),
        Named::new("other").below(&three.root, short),
    ];
    material.intermediates.extend(others.clone());
    let signer = Arc::new(signer(material, NOW).unwrap());
    assert_eq!(signer.validity().not_after(), at(GOOD.1));
    let (issued, key) = issue(&signer, NOW).unwrap();
    let key = key.private_key().clone_key();
    let svid = X509Svid::new(issued.chain, key, &provider()).unwrap();
    assert_eq!(svid.chain().len(), 3);
    assert_eq!(svid.validity().not_after(), at(NOW + DAY));
    assert!(!others.iter().any(|other| svid.chain().contains(other)));
}

#[test]
fn where_one_way_to_the_root_ends_another_goes_on() {
    let three = Three::new();
    let (short, long) = ((NOW - DAY, NOW + 2 * DAY), (NOW - DAY, NOW + 10 * DAY));
    for middle in [[short, long], [long, short]] {
        let signer = Arc::new(signer(three.material(GOOD, &middle), NOW).unwrap());
        assert_eq!(signer.validity().not_after(), at(long.1), "{middle:?}");
        for (now, certificates) in [(NOW, 4), (NOW + 2 * DAY, 3), (NOW + 5 * DAY, 3)] {
            let (issued, _) = issue(&signer, now).unwrap();
            assert_eq!(issued.chain.len(), certificates, "{middle:?} at {now}");
        }
        let late = issue(&signer, long.1);
        assert_eq!(late.err(), Some(IssueError::SignerExpired), "{middle:?}");
    }
}

#[test]
fn a_signer_that_can_sign_no_more_is_not_waited_for() {
    let three = Three::new();
    let hour = 60 * 60;
    let soon = (NOW - DAY, NOW + hour);
    let below_root = SignerMaterial {
        roots: vec![three.root.root(soon)],
        ..three.material(GOOD, &[GOOD])
    };
    for (case, material) in [
        ("itself", three.material(soon, &[GOOD])),
        ("one above it", three.material(GOOD, &[soon])),
        ("its root", below_root),
    ] {
        let old = Arc::new(signer(material, NOW).unwrap());
        let begin = || {
            let policies = (IssuancePolicy::default(), OverlapPolicy::default());
            Authority::new(Arc::clone(&old), policies.0, policies.1)
        };
        let mut authority = begin();
        let next = other_root(NOW);
        assert_eq!(authority.replace(Arc::clone(&next), at(NOW)), None);
        assert_eq!(authority.wake_at(), Some(at(soon.1)), "{case}");
        let late = begin().replace(next, at(soon.1 + 1));
        assert_eq!(late, Some(Change::Switched), "{case}");
    }
}
