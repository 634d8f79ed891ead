use std::time::Duration;

use mesh_core::identity::TrustDomains;
use mesh_core::watch;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, SanType, SerialNumber};
use rustls::{AlertDescription, CertificateError, Error};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, ServerName};

use super::*;
use crate::svid::SvidError;
use crate::testing::{self, Authority, DAY, NOW, at, now, provider};
use crate::trust_bundle::{ExtraAuthorities, TrustBundle, TrustBundles};

fn spiffe(authorities: &[&Authority]) -> PeerVerifier {
    let bundles = authorities.iter().map(|authority| authority.bundle());
    PeerVerifier::spiffe(TrustBundles::from_iter(bundles), provider()).unwrap()
}

fn roots(authority: &Authority) -> PeerVerifier {
    let roots = Roots::new([authority.certificate()]).unwrap();
    PeerVerifier::roots(roots, provider()).unwrap()
}

fn ders(chain: &[crate::certificate::Certificate]) -> Vec<CertificateDer<'static>> {
    chain
        .iter()
        .map(|certificate| certificate.der().clone())
        .collect()
}

#[test]
fn an_svid_of_a_known_trust_domain_proves_its_identity_on_both_sides() {
    let [a, b] = [Authority::new("a.example"), Authority::new("b.example")];
    let verifier = spiffe(&[&a, &b]);
    for (authority, id) in [(&a, "spiffe://a.example/w"), (&b, "spiffe://b.example/w")] {
        let chain = ders(authority.svid("/w").chain());
        for purpose in [Purpose::Client, Purpose::Server] {
            let peer = verifier.verify(&chain, purpose, now()).unwrap();
            assert_eq!(peer.id.unwrap().as_str(), id);
        }
    }
}

#[test]
fn an_authority_is_believed_about_its_own_trust_domain_only() {
    let [a, b] = [Authority::new("a.example"), Authority::new("b.example")];
    let name = SanType::URI("spiffe://a.example/w".try_into().unwrap());
    let forged = b.leaf(testing::leaf_params([name]));
    let error = spiffe(&[&a, &b])
        .verify(&ders(forged.chain()), Purpose::Client, now())
        .unwrap_err();
    assert!(matches!(error, VerifyError::UntrustedIssuer(_)), "{error}");
}

#[test]
fn an_authority_whose_key_may_not_sign_certificates_signs_nothing_that_counts() {
    let root = Authority::new("td");
    let [able, powerless] = [root.intermediate(), root.powerless_intermediate()];
    for verifier in [spiffe(&[&root]), roots(&root)] {
        for (below, is_accepted) in [(&able, true), (&powerless, false)] {
            let mut chain = ders(below.svid("/w").chain());
            chain.push(below.certificate().der().clone());
            let verified = verifier.verify(&chain, Purpose::Client, now());
            assert_eq!(verified.is_ok(), is_accepted, "{verified:?}");
        }
        // What is not on the way does not matter.
        let mut chain = ders(root.svid("/w").chain());
        chain.push(powerless.certificate().der().clone());
        assert!(verifier.verify(&chain, Purpose::Client, now()).is_ok());
    }
}

#[test]
fn what_a_bundle_says_is_revoked_is_refused() {
    let authority = Authority::new("td");
    let bundle = authority
        .bundle()
        .with_revocations(authority.revocations(&[2]));
    let verifier = PeerVerifier::spiffe(TrustBundles::from_iter([bundle]), provider()).unwrap();
    for (serial, is_revoked) in [(1, false), (2, true)] {
        let chain = ders(authority.numbered_svid("/w", serial).chain());
        let verified = verifier.verify(&chain, Purpose::Client, now());
        let error = verified.err();
        assert_eq!(error.is_some(), is_revoked, "{error:?}");
    }
    let others = verifier.with_revocations(authority.revocations(&[1]));
    let chain = ders(authority.numbered_svid("/w", 1).chain());
    let error = others.verify(&chain, Purpose::Client, now()).unwrap_err();
    assert!(matches!(error, VerifyError::Revoked), "{error}");
}

#[test]
fn extra_authorities_are_believed_about_the_trust_domains_they_are_named_for() {
    let [own, partner, any] = ["td", "partner", "td"].map(Authority::new);
    let mut extra = ExtraAuthorities::default();
    let pem = |authority: &Authority| crate::pem::encode_certificates([&authority.certificate()]);
    let domain = "partner".parse().unwrap();
    extra.add_pem(pem(&partner).as_bytes(), &[domain]).unwrap();
    extra.add_pem(pem(&any).as_bytes(), &[]).unwrap();
    let verifier = spiffe(&[&own])
        .with_trust_domains(TrustDomains::new("td".parse().unwrap()))
        .with_extra_authorities(extra);
    let stranger = Authority::new("stranger");
    let forged = testing::leaf_params([SanType::URI("spiffe://td/w".try_into().unwrap())]);
    let cases = [
        ("own", ders(own.svid("/w").chain()), true),
        ("partner", ders(partner.svid("/w").chain()), true),
        ("of all", ders(any.svid("/w").chain()), true),
        ("stranger", ders(stranger.svid("/w").chain()), false),
        (
            "forged by the partner",
            ders(partner.leaf(forged).chain()),
            false,
        ),
    ];
    for (name, chain, is_accepted) in cases {
        let verified = verifier.verify(&chain, Purpose::Client, now());
        assert_eq!(verified.is_ok(), is_accepted, "{name}: {verified:?}");
    }
}

#[test]
fn an_untrusted_chain_is_told_by_the_fingerprints_of_both_ends() {
    let [ours, theirs] = [Authority::new("td"), Authority::new("td")];
    let svid = theirs.svid("/w");
    let verifier = spiffe(&[&ours]);
    let error = verifier
        .verify(&ders(svid.chain()), Purpose::Client, now())
        .unwrap_err();
    let VerifyError::UntrustedIssuer(untrusted) = &error else {
        panic!("{error}");
    };
    let sha256 = crate::digest::Sha256::of_provider(&provider()).unwrap();
    assert_eq!(untrusted.leaf, svid.leaf().fingerprint(&sha256));
    assert_eq!(untrusted.issuer, "CN=td");
    assert_eq!(untrusted.trusted, [ours.certificate().fingerprint(&sha256)]);
    assert!(error.to_string().contains("signed by `CN=td`"), "{error}");
}

#[test]
fn a_trust_domain_that_nobody_is_believed_about_is_refused() {
    let [ours, theirs] = [Authority::new("a.example"), Authority::new("b.example")];
    let error = spiffe(&[&ours])
        .verify(&ders(theirs.svid("/w").chain()), Purpose::Server, now())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`b.example` is not a trust domain that is accepted here"
    );
}

#[test]
fn of_the_trust_domains_with_bundles_only_those_of_the_mesh_are_accepted() {
    let [a, b] = [Authority::new("a.example"), Authority::new("b.example")];
    let local = TrustDomains::new("a.example".parse().unwrap());
    let with_alias = local.clone().with_alias("b.example".parse().unwrap());
    for (domains, is_accepted) in [(local, false), (with_alias, true)] {
        let verifier = spiffe(&[&a, &b]).with_trust_domains(domains);
        let chain = ders(b.svid("/w").chain());
        let verified = verifier.verify(&chain, Purpose::Client, now());
        assert_eq!(verified.is_ok(), is_accepted);
    }
}

#[test]
fn an_alias_without_a_bundle_is_verified_with_the_authorities_of_the_local_domain() {
    let old = Authority::new("old.example");
    let new = "new.example".parse().unwrap();
    let bundle = TrustBundle::new(new, [old.certificate()]).unwrap();
    let bundles = TrustBundles::from_iter([bundle]);
    let verifier = PeerVerifier::spiffe(bundles, provider()).unwrap();
    let chain = ders(old.svid("/w").chain());
    let local = TrustDomains::new("new.example".parse().unwrap());
    let with_alias = local.clone().with_alias("old.example".parse().unwrap());
    let cases = [
        ("no aliases", verifier.clone(), false),
        ("another alias", verifier.clone().with_aliases(local), false),
        (
            "alias",
            verifier.clone().with_aliases(with_alias.clone()),
            true,
        ),
        ("demanded", verifier.with_trust_domains(with_alias), true),
    ];
    for (name, verifier, is_accepted) in cases {
        let verified = verifier.verify(&chain, Purpose::Client, now());
        assert_eq!(verified.is_ok(), is_accepted, "{name}");
    }
}

#[test]
fn each_rule_about_time_purpose_and_form_is_enforced() {
    let authority = Authority::new("td");
    let id = || SanType::URI("spiffe://td/w".try_into().unwrap());
    let mut client_only = testing::leaf_params([id()]);
    client_only.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let mut expired = testing::leaf_params([id()]);
    testing::valid(&mut expired, NOW - 2 * DAY, NOW - 3_600);
    let mut early = testing::leaf_params([id()]);
    testing::valid(&mut early, NOW + 120, NOW + DAY);
    let two = testing::leaf_params([id(), id()]);
    type Check = fn(&VerifyError) -> bool;
    let cases: [(&str, _, Check, &str); 4] = [
        (
            "purpose",
            client_only,
            |e| matches!(e, VerifyError::Purpose(_)),
            "side of TLS",
        ),
        (
            "expired",
            expired,
            |e| matches!(e, VerifyError::Expired { .. }),
            "expired 1 hour ago",
        ),
        (
            "early",
            early,
            |e| matches!(e, VerifyError::NotYetValid { .. }),
            "another 2 minutes",
        ),
        (
            "two",
            two,
            |e| matches!(e, VerifyError::Svid(SvidError::SeveralUris)),
            "more than one URI",
        ),
    ];
    for (name, params, is_expected, text) in cases {
        let chain = ders(authority.leaf(params).chain());
        let error = spiffe(&[&authority])
            .verify(&chain, Purpose::Server, now())
            .unwrap_err();
        assert!(is_expected(&error), "{name}: {error}");
        assert!(error.to_string().contains(text), "{name}: {error}");
    }
    let error = spiffe(&[&authority]).verify(&[], Purpose::Client, now());
    assert!(matches!(error, Err(VerifyError::NoCertificate)));
}

#[test]
fn what_webpki_refuses_is_refused_with_any_bit_of_the_leaf_changed() {
    let authority = Authority::new("td");
    let der = authority.svid("/w").leaf().der().to_vec();
    let verifier = spiffe(&[&authority]);
    for index in 0..der.len() {
        let mut changed = der.clone();
        changed[index] ^= 1 << (index % 8);
        let verified = verifier.verify(&[changed.into()], Purpose::Client, now());
        assert!(verified.is_err(), "byte {index}");
    }
}

#[test]
fn intermediates_are_sent_along() {
    let root = Authority::new("td");
    let intermediate = root.intermediate();
    let leaf = intermediate.svid("/w").leaf().clone();
    let verifier = spiffe(&[&root]);
    let whole = ders(&[leaf.clone(), intermediate.certificate()]);
    assert!(verifier.verify(&whole, Purpose::Server, now()).is_ok());
    let error = verifier
        .verify(&ders(&[leaf]), Purpose::Server, now())
        .unwrap_err();
    assert!(matches!(error, VerifyError::UntrustedIssuer(_)), "{error}");
}

#[test]
fn roots_that_are_replaced_count_from_the_next_handshake() {
    let [old, new] = [Authority::new("td"), Authority::new("td")];
    let (publisher, bundles) = watch::channel(TrustBundles::from_iter([old.bundle()]));
    let verifier = PeerVerifier::spiffe(bundles, provider()).unwrap();
    let verify = |authority: &Authority| {
        let chain = ders(authority.svid("/w").chain());
        verifier.verify(&chain, Purpose::Client, now()).is_ok()
    };
    assert_eq!((verify(&old), verify(&new)), (true, false));
    let both = old.bundle().merge(&new.bundle()).unwrap();
    publisher.publish(TrustBundles::from_iter([both]));
    assert_eq!((verify(&old), verify(&new)), (true, true));
    publisher.publish(TrustBundles::from_iter([new.bundle()]));
    assert_eq!((verify(&old), verify(&new)), (false, true));
}

#[test]
fn a_server_has_the_name_that_was_asked_for() {
    let authority = Authority::new("root");
    let chain = ders(authority.host("*.shop.example").chain());
    let verifier = roots(&authority).with_names(ExpectedNames::ServerName);
    let cases = [
        ("a.shop.example", true),
        ("shop.example", false),
        ("192.0.2.1", false),
    ];
    for (name, is_accepted) in cases {
        let verified = verifier.verify_server(&chain, &ServerName::try_from(name).unwrap(), now());
        assert_eq!(verified.is_ok(), is_accepted, "{name}");
        if let Err(error) = verified {
            let text = format!("the certificate is for `*.shop.example`, wanted `{name}`");
            assert_eq!(error.to_string(), text);
        }
    }
    let error = verifier.verify(&chain, Purpose::Client, now());
    assert!(matches!(error, Err(VerifyError::Names { .. })));
}

#[test]
fn one_of_the_listed_names_is_enough_and_none_is_not() {
    let authority = Authority::new("td");
    let chain = ders(authority.svid("/w").chain());
    let cases = [
        (vec!["spiffe://td/other", "spiffe://td/w"], true),
        (vec!["spiffe://td/other"], false),
        (vec![], false),
    ];
    for (names, is_accepted) in cases {
        let list = SanList::from_iter(names.iter().copied());
        for verifier in [spiffe(&[&authority]), roots(&authority)] {
            let verifier = verifier.with_subject_alt_names(list.clone());
            let verified = verifier.verify(&chain, Purpose::Server, now());
            assert_eq!(verified.is_ok(), is_accepted, "{names:?}");
        }
    }
}

#[test]
fn what_another_kind_of_name_spells_out_is_not_a_uri() {
    let [local, partner] = [Authority::new("td"), Authority::new("partner")];
    let cart = "spiffe://td/ns/shop/sa/cart";
    let names = [
        SanType::URI("spiffe://partner/w".try_into().unwrap()),
        SanType::DnsName(cart.try_into().unwrap()),
        SanType::Rfc822Name(cart.try_into().unwrap()),
    ];
    let chain = ders(partner.leaf(testing::leaf_params(names)).chain());
    let both = spiffe(&[&local, &partner]);
    for (verifier, name, is_accepted) in [
        (both.clone(), cart, false),
        (both, "spiffe://partner/w", true),
        (roots(&partner), cart, false),
        (roots(&partner), "spiffe://partner/w", true),
    ] {
        let verifier = verifier.with_subject_alt_names(SanList::from_iter([name]));
        let verified = verifier.verify(&chain, Purpose::Client, now());
        assert_eq!(verified.is_ok(), is_accepted, "{name}");
    }
}

#[test]
fn a_trust_domain_is_believed_about_the_identity_and_no_other_name() {
    let partner = Authority::new("partner");
    let names = [
        SanType::URI("spiffe://partner/w".try_into().unwrap()),
        SanType::DnsName("cart.shop.svc".try_into().unwrap()),
    ];
    let chain = ders(partner.leaf(testing::leaf_params(names)).chain());
    let list = SanList::from_iter(["cart.shop.svc"]);
    let by_bundles = spiffe(&[&partner]).with_subject_alt_names(list.clone());
    let error = by_bundles.verify(&chain, Purpose::Client, now());
    let text = "the certificate is for `spiffe://partner/w`, wanted `cart.shop.svc`";
    assert_eq!(error.unwrap_err().to_string(), text);
    let by_roots = roots(&partner).with_subject_alt_names(list);
    assert!(by_roots.verify(&chain, Purpose::Client, now()).is_ok());
}

#[test]
fn a_pin_is_the_digest_of_the_certificate_or_of_its_key() {
    let authority = Authority::new("root");
    let credential = authority.host("a.example");
    let sha256 = crate::digest::Sha256::of_provider(&provider()).unwrap();
    let certificate = credential.leaf().fingerprint(&sha256).to_string();
    let key = credential
        .leaf()
        .public_key_fingerprint(&sha256)
        .to_base64();
    let other = "0".repeat(64);
    let cases = [
        (vec![certificate.as_str()], vec![], true),
        (vec![], vec![key.as_str()], true),
        (vec![other.as_str()], vec![key.as_str()], true),
        (vec![other.as_str()], vec![], false),
        (vec![], vec![], true),
    ];
    for (certificates, keys, is_accepted) in cases {
        let pins = Pins::parse(certificates.iter().copied(), keys.iter().copied()).unwrap();
        let insecure = PeerVerifier::dangerous_insecure_skip_verify(provider()).unwrap();
        for verifier in [roots(&authority), insecure] {
            let verifier = verifier.with_pins(pins.clone());
            let verified = verifier.verify(&ders(credential.chain()), Purpose::Client, now());
            assert_eq!(verified.is_ok(), is_accepted, "{certificates:?} {keys:?}");
        }
    }
    assert!(Pins::parse(["12"], []).is_err());
    assert!(Pins::parse([], [certificate.as_str()]).is_err());
}

#[test]
fn with_revocation_lists_a_chain_that_they_do_not_clear_is_refused() {
    let [authority, other] = [Authority::new("td"), Authority::new("other")];
    let mut params = testing::leaf_params([SanType::URI("spiffe://td/w".try_into().unwrap())]);
    params.serial_number = Some(SerialNumber::from(7));
    testing::valid(&mut params, NOW, NOW + 10 * DAY);
    let chain = ders(authority.leaf(params).chain());
    let cases = [
        ("others revoked", authority.revocations(&[8]), NOW, "ok"),
        (
            "revoked",
            authority.revocations(&[8, 7]),
            NOW,
            "a certificate is revoked",
        ),
        (
            "list of another",
            other.revocations(&[8]),
            NOW,
            "no revocation list is about",
        ),
        (
            "list too old",
            authority.revocations(&[]),
            NOW + 3 * DAY,
            "out of date for 2 days",
        ),
        ("no lists", Revocations::default(), NOW, "ok"),
    ];
    for (name, lists, time, expected) in cases {
        let verifier = spiffe(&[&authority]).with_revocations(lists);
        let verified = verifier.verify(&chain, Purpose::Client, at(time));
        let text = verified.map_or_else(|error| error.to_string(), |_| "ok".to_owned());
        assert!(text.contains(expected), "{name}: {text}");
    }
    assert!(Revocations::from_pem(b"").is_err());
}

#[test]
fn authorities_of_one_name_each_have_their_list() {
    let [old, new] = [Authority::new("td"), Authority::new("td")];
    let both = old.bundle().merge(&new.bundle()).unwrap();
    let verifier = PeerVerifier::spiffe(TrustBundles::from_iter([both]), provider()).unwrap();
    let lists = [old.revocation_list(&[1]), new.revocation_list(&[2])];
    let [first, second] = lists.clone();
    for lists in [lists, [second, first]] {
        let lists = Revocations::new(lists).unwrap();
        let verifier = verifier.clone().with_revocations(lists);
        for (authority, serial, is_accepted) in [
            (&old, 1, false),
            (&old, 2, true),
            (&new, 1, true),
            (&new, 2, false),
        ] {
            let chain = ders(authority.numbered_svid("/w", serial).chain());
            let verified = verifier.verify(&chain, Purpose::Client, now());
            assert_eq!(verified.is_ok(), is_accepted, "{serial}");
            let is_revoked = matches!(verified, Err(VerifyError::Revoked));
            assert_eq!(is_revoked, !is_accepted, "{serial}");
        }
    }
}

#[test]
fn of_several_lists_of_one_authority_any_in_date_revokes() {
    let authority = Authority::new("td");
    let chain = ders(authority.numbered_svid("/w", 7).chain());
    let clear = authority.revocation_list(&[8]);
    let revoking = authority.revocation_list(&[7, 8]);
    let expired = authority.revocation_list_until(NOW - 1, &[8]);
    let expired_revoking = authority.revocation_list_until(NOW - 1, &[7]);
    let cases = [
        ("a renewed one after", [&clear, &revoking], "revoked"),
        ("a renewed one before", [&revoking, &clear], "revoked"),
        ("after an expired one", [&expired, &revoking], "revoked"),
        ("clear after an expired one", [&expired, &clear], "ok"),
        ("clear before an expired one", [&clear, &expired], "ok"),
        ("both expired", [&expired, &expired_revoking], "out of date"),
    ];
    for (name, lists, expected) in cases {
        let lists = Revocations::new(lists.map(Clone::clone)).unwrap();
        let verifier = spiffe(&[&authority]).with_revocations(lists);
        let verified = verifier.verify(&chain, Purpose::Client, now());
        let text = verified.map_or_else(|error| error.to_string(), |_| "ok".to_owned());
        assert!(text.contains(expected), "{name}: {text}");
    }
}

#[test]
fn no_list_is_left_untried() {
    let authority = Authority::new("td");
    let chain = ders(authority.numbered_svid("/w", 7).chain());
    let clear = authority.revocation_list(&[]);
    let verify = |count: usize, last: &CertificateRevocationListDer<'static>| {
        let lists = std::iter::repeat_n(&clear, count - 1).chain([last]);
        let lists = Revocations::new(lists.cloned()).unwrap();
        let verifier = spiffe(&[&authority]).with_revocations(lists);
        verifier.verify(&chain, Purpose::Client, now())
    };
    assert!(verify(64, &clear).is_ok());
    let revoking = authority.revocation_list(&[7]);
    let refused = verify(64, &revoking);
    assert!(matches!(refused, Err(VerifyError::Revoked)), "{refused:?}");
    let refused = verify(65, &clear);
    assert!(
        matches!(refused, Err(VerifyError::RevocationLists)),
        "{refused:?}"
    );
}

#[test]
fn only_lists_about_the_chain_are_counted() {
    let [authority, other] = [Authority::new("td"), Authority::new("other")];
    let chain = ders(authority.numbered_svid("/w", 7).chain());
    let others = std::iter::repeat_n(other.revocation_list(&[]), 100);
    let lists = others.chain([authority.revocation_list(&[])]);
    let lists = Revocations::new(lists).unwrap();
    let verifier = spiffe(&[&authority]).with_revocations(lists);
    assert!(verifier.verify(&chain, Purpose::Client, now()).is_ok());
}

#[test]
fn authorities_that_are_believed_about_anybody_prove_no_identity_unless_asked_to() {
    let authority = Authority::new("partner");
    let chain = ders(authority.svid("/ns/admin/sa/root").chain());
    let host = ders(authority.host("client.example").chain());
    let id = |verifier: &PeerVerifier, chain: &[CertificateDer<'static>]| {
        let peer = verifier.verify(chain, Purpose::Client, now()).unwrap();
        #[cfg(feature = "tokio")]
        assert_eq!(peer.id, verifier.identity(&chain[0]), "one answer in both");
        peer.id.map(|id| id.to_string())
    };
    let verifier = roots(&authority);
    assert!(!verifier.takes_claimed_identities());
    assert_eq!(id(&verifier, &chain), None);
    let verifier = verifier.with_claimed_identities();
    assert!(verifier.takes_claimed_identities());
    let claimed = Some("spiffe://partner/ns/admin/sa/root".to_owned());
    assert_eq!(id(&verifier, &chain), claimed);
    assert_eq!(id(&verifier, &host), None);
    let proven = spiffe(&[&authority]).with_claimed_identities();
    assert!(!proven.takes_claimed_identities(), "bundles prove it");
    assert_eq!(id(&proven, &chain), claimed);
}

#[test]
fn the_peer_gets_the_alert_of_the_reason() {
    let expired = VerifyError::Expired {
        not_after: at(NOW - 5),
        by: Duration::from_secs(5),
    };
    let cases = [
        (expired, AlertDescription::CertificateExpired),
        (VerifyError::Revoked, AlertDescription::CertificateRevoked),
        (VerifyError::RevocationUnknown, AlertDescription::UnknownCA),
        (
            VerifyError::TrustDomain {
                got: "td".parse().unwrap(),
            },
            AlertDescription::UnknownCA,
        ),
        (
            VerifyError::Svid(SvidError::NoUri),
            AlertDescription::CertificateUnknown,
        ),
    ];
    for (error, alert) in cases {
        let Error::InvalidCertificate(certificate) = error.to_rustls(now()) else {
            panic!("{error}");
        };
        assert_eq!(AlertDescription::from(certificate), alert, "{error}");
    }
}

#[test]
fn the_whole_reason_is_left_for_the_thread_that_drives_the_connection() {
    use rustls::server::danger::ClientCertVerifier;

    let [ours, theirs] = [Authority::new("td"), Authority::new("td")];
    let peer = spiffe(&[&ours]);
    let verifier = peer.client_verifier();
    let svid = theirs.svid("/w");
    let error = verifier.verify_client_cert(svid.leaf().der(), &[], now());
    let unknown = Error::InvalidCertificate(CertificateError::UnknownIssuer);
    assert_eq!(error.unwrap_err(), unknown);
    let refusal = peer.take_refusal();
    assert!(matches!(refusal, Some(VerifyError::UntrustedIssuer(_))));
}

#[test]
fn clients_are_told_whose_certificates_are_accepted() {
    use rustls::server::danger::ClientCertVerifier;

    let authority = Authority::new("td");
    let fixed = ClientVerifier::clone(&roots(&authority).client_verifier());
    assert!(fixed.root_hint_subjects().is_empty());
    assert_eq!(fixed.with_hints().root_hint_subjects().len(), 1);
    let live = ClientVerifier::clone(&spiffe(&[&authority]).client_verifier());
    assert!(live.with_hints().root_hint_subjects().is_empty());
}

#[test]
fn all_key_kinds_of_the_provider_can_sign() {
    let authority = Authority::new("td");
    let kinds = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
    ];
    for kind in kinds {
        let name = SanType::URI("spiffe://td/w".try_into().unwrap());
        let key = KeyPair::generate_for(kind).unwrap();
        let leaf = authority.leaf_with(testing::leaf_params([name]), key);
        let verified = spiffe(&[&authority]).verify(&ders(leaf.chain()), Purpose::Server, now());
        assert!(verified.is_ok(), "{kind:?}");
    }
}

#[test]
fn what_is_remembered_changes_no_verdict() {
    let [a, b] = [Authority::new("td"), Authority::new("td")];
    let below = a.intermediate();
    let mut through = ders(below.svid("/w").chain());
    through.push(below.certificate().der().clone());
    let mut forged = a.svid("/w").leaf().der().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let mut clients = testing::leaf_params([SanType::URI("spiffe://td/w".try_into().unwrap())]);
    clients.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let chains = [
        ders(a.svid("/w").chain()),
        ders(b.svid("/w").chain()),
        ders(a.leaf(clients).chain()),
        vec![through[0].clone()],
        through,
        vec![forged.into()],
    ];
    let bundles = |authorities: &[&Authority]| {
        let domain = "td".parse().unwrap();
        let certificates = authorities.iter().map(|authority| authority.certificate());
        TrustBundles::from_iter([TrustBundle::new(domain, certificates).unwrap()])
    };
    let revoking = TrustBundle::clone(&a.bundle()).with_revocations(a.revocations(&[7]));
    let states = [
        bundles(&[&a]),
        bundles(&[&b]),
        bundles(&[&a, &b]),
        TrustBundles::from_iter([revoking]),
    ];
    let (publisher, watch) = watch::channel(TrustBundles::default());
    let verifier = PeerVerifier::spiffe(watch, provider()).unwrap();
    let mut accepted = 0;
    for state in states.iter().chain(&states) {
        publisher.publish(state.clone());
        let purposes = [Purpose::Client, Purpose::Server];
        for (chain, purpose) in chains
            .iter()
            .flat_map(|chain| purposes.map(|purpose| (chain, purpose)))
        {
            for now in [NOW, NOW - 1, NOW + DAY, NOW, NOW + DAY + 1].map(at) {
                let fresh = PeerVerifier::spiffe(state.clone(), provider()).unwrap();
                let expected = fresh.verify(chain, purpose, now).map_err(|e| e.to_string());
                let verified = verifier.verify(chain, purpose, now);
                assert_eq!(verified.map_err(|e| e.to_string()), expected);
                accepted += usize::from(expected.is_ok());
            }
        }
    }
    assert!(accepted > 20, "{accepted}");
}
