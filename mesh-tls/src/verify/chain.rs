//! Whether a chain leads to an authority that is believed.

use mesh_core::identity::TrustDomain;
use rustls_pki_types::CertificateDer;
use webpki::{
    CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, UnknownStatusPolicy,
};

use super::known::Chain;
use super::path::PathCheck;
use super::presented::{Presented, When};
use super::trust::Trusted;
use super::{PeerVerifier, Purpose, UntrustedIssuer, VerifyError};
use crate::certificate::Certificate;
use crate::digest::Digest;
use crate::trust_bundle::{Believed, TrustBundles};
use crate::validity::Validity;

impl PeerVerifier {
    /// Whom to believe about a trust domain.
    pub(super) fn bundle_of<'a>(
        &self,
        domain: &TrustDomain,
        bundles: &'a TrustBundles,
    ) -> Result<Believed<'a>, VerifyError> {
        let own = self.domains.as_ref().filter(|own| own.contains(domain));
        let is_accepted = !self.is_limited_to_domains || own.is_some() || self.extra.names(domain);
        let bundle = match own {
            None => bundles.get(domain),
            Some(own) => bundles.get(domain).or_else(|| bundles.get(own.local())),
        };
        is_accepted
            .then(|| self.extra.beside(domain, bundle))
            .flatten()
            .ok_or_else(|| VerifyError::TrustDomain {
                got: domain.clone(),
            })
    }

    pub(super) fn verify_chain(
        &self,
        presented: &Presented<'_>,
        trusted: &Trusted<'_>,
        purpose: Purpose,
        when: When,
    ) -> Result<(), VerifyError> {
        let lists = trusted.revocations.filter(|lists| !lists.is_empty());
        // Whether a certificate is revoked is asked each time.
        let chain = lists.is_none().then(|| Chain::of(presented, purpose));
        let chain = chain.flatten();
        let is_known = |chain| self.known.contains(chain, trusted.anchors, when.at);
        if chain.as_ref().is_some_and(is_known) {
            return Ok(());
        }
        let check = PathCheck::new(trusted.anchors, when);
        let verify =
            |lists: &[&CertRevocationList<'_>]| self.verify_path(presented, purpose, lists, &check);
        let verified = match lists {
            Some(lists) => {
                let orders = lists.orders(&issuers(presented));
                verify_in_each_order(orders.ok_or(VerifyError::RevocationLists)?, verify)
            }
            None => verify(&[]),
        };
        match verified {
            Ok(authority) => {
                if let Some((chain, validity)) = chain.zip(presented.validity()) {
                    let validity = validity.intersection(&authority);
                    self.known.insert(chain, trusted.anchors, validity);
                }
                Ok(())
            }
            // Authorities of one name and different keys are common: every mesh calls its own the
            // same.
            Err(
                webpki::Error::UnknownIssuer
                | webpki::Error::InvalidSignatureForPublicKey
                | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_),
            ) => Err(self.untrusted(presented, trusted.anchors.certificates())),
            Err(error) => Err(check.explain(error)),
        }
    }

    /// Verifies by webpki, and says when the authority counts. Of several lists of issuers with one name,
    /// the first counts.
    fn verify_path(
        &self,
        presented: &Presented<'_>,
        purpose: Purpose,
        lists: &[&CertRevocationList<'_>],
        check: &PathCheck<'_>,
    ) -> Result<Validity, webpki::Error> {
        let revocation = RevocationOptionsBuilder::new(lists).ok().map(|options| {
            options
                .with_depth(RevocationCheckDepth::Chain)
                .with_status_policy(UnknownStatusPolicy::Deny)
                .with_expiration_policy(ExpirationPolicy::Enforce)
                .build()
        });
        let usage = match purpose {
            Purpose::Client => KeyUsage::client_auth(),
            Purpose::Server => KeyUsage::server_auth(),
        };
        let leaf = EndEntityCert::try_from(presented.leaf)?;
        let path = leaf.verify_for_usage(
            self.provider().signature_verification_algorithms.all,
            check.anchors.as_slice(),
            presented.signers,
            check.when.at,
            usage,
            revocation,
            Some(&|path| check.check(path)),
        )?;
        let authority = check.anchors.certificate_of(path.anchor());
        let authority = authority.ok_or(webpki::Error::UnknownIssuer)?;
        Ok(authority.validity())
    }

    fn untrusted(&self, presented: &Presented<'_>, trusted: &[Certificate]) -> VerifyError {
        let digests = |ders: &[CertificateDer<'_>]| -> Vec<Digest> {
            ders.iter().map(|der| self.sha256.digest(der)).collect()
        };
        let last = presented.signers.last().unwrap_or(presented.leaf);
        let issuer = Certificate::from_der(last).map(|last| last.issuer().to_owned());
        let trusted = trusted.iter();
        let trusted = trusted.map(|authority| authority.fingerprint(&self.sha256));
        VerifyError::UntrustedIssuer(Box::new(UntrustedIssuer {
            leaf: self.sha256.digest(presented.leaf),
            issuer: issuer.unwrap_or_default(),
            chain: digests(presented.signers),
            trusted: trusted.collect(),
        }))
    }
}

/// Verifies with each order of the lists. What any list in date revokes is refused, whichever of
/// the lists is the newest; else one order that is accepted is enough.
fn verify_in_each_order<'a, T>(
    mut orders: impl Iterator<Item = Vec<&'a CertRevocationList<'static>>>,
    verify: impl Fn(&[&CertRevocationList<'_>]) -> Result<T, webpki::Error>,
) -> Result<T, webpki::Error> {
    let mut verified = verify(&orders.next().unwrap_or_default());
    for lists in orders {
        if verified
            .as_ref()
            .is_err_and(|error| !depends_on_order(error))
        {
            break;
        }
        match verify(&lists) {
            Err(error) if verified.is_ok() && depends_on_order(&error) => {}
            next => verified = next,
        }
    }
    verified
}

/// Who signed the certificates, as far as they say.
fn issuers(presented: &Presented<'_>) -> Vec<Vec<u8>> {
    let certificates = std::iter::once(presented.leaf).chain(presented.signers);
    let certificates = certificates.filter_map(|der| EndEntityCert::try_from(der).ok());
    certificates
        .map(|certificate| certificate.issuer().to_vec())
        .collect()
}

/// Whether another list may be the right one: that of the key, or one in date.
fn depends_on_order(error: &webpki::Error) -> bool {
    matches!(
        error,
        webpki::Error::CrlExpired { .. }
            | webpki::Error::InvalidCrlSignatureForPublicKey
            | webpki::Error::InvalidSignatureForPublicKey
            | webpki::Error::UnknownIssuer
            | webpki::Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_)
            | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
    )
}
