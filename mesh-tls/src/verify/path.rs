//! What webpki does not look at in a path to an authority.

use std::cell::Cell;

use webpki::VerifiedPath;

use super::VerifyError;
use super::anchors::AnchorSet;
use super::presented::When;
use crate::certificate::Certificate;

/// Checks the paths of one chain. If it refuses one, webpki looks for another.
pub(super) struct PathCheck<'a> {
    pub(super) anchors: &'a AnchorSet,
    pub(super) when: When,
    /// An authority that all would be well with, but for the time.
    out_of_date: Cell<Option<&'a Certificate>>,
}

impl<'a> PathCheck<'a> {
    pub(super) fn new(anchors: &'a AnchorSet, when: When) -> Self {
        Self {
            anchors,
            when,
            out_of_date: Cell::default(),
        }
    }

    /// Refuses a path through a key that may not sign certificates, and to an authority that is out of
    /// date: webpki knows its name and its key only.
    pub(super) fn check(&self, path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
        signers_may_sign(path)?;
        let authority = self.anchors.certificate_of(path.anchor());
        let authority = authority.ok_or(webpki::Error::UnknownIssuer)?;
        if !authority.can_be_ca() && !is_itself(path, authority) {
            return Err(webpki::Error::EndEntityUsedAsCa);
        }
        self.is_in_date(authority)
    }

    fn is_in_date(&self, authority: &'a Certificate) -> Result<(), webpki::Error> {
        let When { at: time, is_over } = self.when;
        let validity = authority.validity();
        // One that was renewed since has the key by which the chain was accepted.
        if validity.contains(time) || (is_over && !validity.is_expired(time)) {
            return Ok(());
        }
        self.out_of_date.set(Some(authority));
        Err(if validity.is_expired(time) {
            let not_after = validity.not_after();
            webpki::Error::CertExpired { time, not_after }
        } else {
            let not_before = validity.not_before();
            webpki::Error::CertNotValidYet { time, not_before }
        })
    }

    /// The error of the chain, which is that of its authority if no other fits.
    pub(super) fn explain(&self, error: webpki::Error) -> VerifyError {
        let error = VerifyError::of_chain(error, self.when.at);
        let Some(authority) = self.out_of_date.get() else {
            return error;
        };
        let subject = authority.subject().to_owned();
        match error {
            VerifyError::Expired { not_after, by } => VerifyError::RootExpired {
                subject,
                not_after,
                by,
            },
            VerifyError::NotYetValid { not_before, by } => VerifyError::RootNotYetValid {
                subject,
                not_before,
                by,
            },
            _ => error,
        }
    }
}

/// Whether the chain is the trusted certificate and no more.
fn is_itself(path: &VerifiedPath<'_>, authority: &Certificate) -> bool {
    let mut signers = path.intermediate_certificates();
    signers.next().is_none() && path.end_entity().der() == *authority.der()
}

/// Refuses a path through an authority whose key may not sign certificates (RFC 5280 section 6.1.4
/// (n)).
fn signers_may_sign(path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
    for signer in path.intermediate_certificates() {
        let signer = Certificate::from_der(&signer.der()).map_err(|_| webpki::Error::BadDer)?;
        let usage = signer.key_usage();
        if usage.is_some_and(|usage| !usage.key_cert_sign()) {
            return Err(webpki::Error::EndEntityUsedAsCa);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};
    use rustls_pki_types::{CertificateDer, UnixTime};

    use super::*;
    use crate::testing::{self, DAY, NOW, at, now, provider};
    use crate::verify::{PeerVerifier, Purpose, Roots, RootsError};

    /// Who signs in these tests.
    fn named(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        testing::valid(&mut params, NOW - 20 * DAY, NOW + 20 * DAY);
        params
    }

    fn authority(from: u64, to: u64) -> CertificateParams {
        let mut params = named("root");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        testing::valid(&mut params, from, to);
        params
    }

    fn self_signed(params: &CertificateParams, key: &KeyPair) -> Certificate {
        Certificate::from_der(params.self_signed(key).unwrap().der()).unwrap()
    }

    /// What `signer` with this key signs, valid for twenty days around [`NOW`].
    fn signed(
        params: &CertificateParams,
        (signer, key): (&CertificateParams, &KeyPair),
    ) -> Certificate {
        let issuer = Issuer::from_params(signer, key);
        let own = KeyPair::generate().unwrap();
        let signed = params.signed_by(&own, &issuer).unwrap();
        Certificate::from_der(signed.der()).unwrap()
    }

    fn host(signer: (&CertificateParams, &KeyPair)) -> Certificate {
        let name = SanType::DnsName("shop.example".try_into().unwrap());
        let mut params = testing::leaf_params([name]);
        testing::valid(&mut params, NOW - 20 * DAY, NOW + 20 * DAY);
        signed(&params, signer)
    }

    fn verifier(roots: impl IntoIterator<Item = Certificate>) -> PeerVerifier {
        PeerVerifier::roots(Roots::new(roots).unwrap(), provider()).unwrap()
    }

    fn verify(
        verifier: &PeerVerifier,
        chain: &[&Certificate],
        now: UnixTime,
    ) -> Result<(), VerifyError> {
        let chain = chain.iter().map(|one| one.der().clone());
        let chain: Vec<CertificateDer<'_>> = chain.collect();
        verifier.verify(&chain, Purpose::Client, now).map(drop)
    }

    #[test]
    fn a_root_counts_as_long_as_it_says_also_for_chains_that_are_remembered() {
        let key = KeyPair::generate().unwrap();
        let params = authority(NOW - DAY, NOW + DAY);
        let verifier = verifier([self_signed(&params, &key)]);
        let leaf = host((&params, &key));
        let refused = |seconds| verify(&verifier, &[&leaf], at(seconds)).err();
        for seconds in [NOW - DAY, NOW, NOW + DAY] {
            assert!(refused(seconds).is_none(), "{seconds}");
        }
        let expired = refused(NOW + DAY + 3).unwrap();
        assert_eq!(
            expired.to_string(),
            "the root `CN=root` expired 3 seconds ago"
        );
        let VerifyError::RootExpired { not_after, by, .. } = expired else {
            panic!("{expired:?}");
        };
        assert_eq!((not_after, by), (at(NOW + DAY), Duration::from_secs(3)));
        let early = refused(NOW - DAY - 60).unwrap();
        assert!(matches!(early, VerifyError::RootNotYetValid { .. }));
        let text = "the root `CN=root` is not valid for another 1 minute; is a clock wrong?";
        assert_eq!(early.to_string(), text);
    }

    #[test]
    fn a_root_that_was_renewed_with_its_key_takes_the_place_of_the_expired_one() {
        let key = KeyPair::generate().unwrap();
        let old = self_signed(&authority(NOW - 20 * DAY, NOW - DAY), &key);
        let params = authority(NOW - 2 * DAY, NOW + DAY);
        let new = self_signed(&params, &key);
        let leaf = host((&params, &key));
        for roots in [[old.clone(), new.clone()], [new, old.clone()]] {
            verify(&verifier(roots), &[&leaf], now()).unwrap();
        }
        let error = verify(&verifier([old]), &[&leaf], now()).unwrap_err();
        assert!(matches!(error, VerifyError::RootExpired { .. }), "{error}");
    }

    #[test]
    fn a_leaf_that_expired_is_told_of_and_not_its_root() {
        let key = KeyPair::generate().unwrap();
        let params = authority(NOW - DAY, NOW + DAY);
        let leaf = host((&params, &key));
        let verifier = verifier([self_signed(&params, &key)]);
        let error = verify(&verifier, &[&leaf], at(NOW + 21 * DAY)).unwrap_err();
        assert!(matches!(error, VerifyError::Expired { .. }), "{error}");
    }

    #[test]
    fn a_certificate_that_an_authority_signed_for_a_peer_is_no_authority() {
        let key = KeyPair::generate().unwrap();
        let params = authority(NOW - DAY, NOW + DAY);
        // `openssl x509 -req` makes those without extensions.
        let bare = signed(&named("client"), (&params, &key));
        for leaf in [bare, host((&params, &key))] {
            let error = Roots::new([self_signed(&params, &key), leaf]).unwrap_err();
            let RootsError::Authority { source, .. } = error else {
                panic!("{error}");
            };
            assert_eq!(source, webpki::Error::EndEntityUsedAsCa);
        }
    }

    #[test]
    fn a_self_signed_root_without_extensions_may_sign() {
        let key = KeyPair::generate().unwrap();
        let params = named("root of X.509 v1");
        let verifier = verifier([self_signed(&params, &key)]);
        verify(&verifier, &[&host((&params, &key))], now()).unwrap();
    }

    #[test]
    fn a_self_signed_certificate_of_a_peer_stands_for_itself_alone() {
        let key = KeyPair::generate().unwrap();
        let mut params = named("shop.example");
        let name = SanType::DnsName("shop.example".try_into().unwrap());
        params.subject_alt_names.push(name);
        let own = self_signed(&params, &key);
        let verifier = verifier([own.clone()]);
        verify(&verifier, &[&own], now()).unwrap();
        verify(&verifier, &[&own, &own], now()).unwrap();
        let forged = host((&params, &key));
        for chain in [&[&forged][..], &[&forged, &own]] {
            let error = verify(&verifier, chain, now()).unwrap_err();
            let expected = "EndEntityUsedAsCa";
            assert!(format!("{error:?}").contains(expected), "{error:?}");
        }
    }
}
