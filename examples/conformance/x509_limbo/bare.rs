//! webpki without anything of ours: other reading of PEM, other calls.

use rustls::crypto::CryptoProvider;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use webpki::{CertRevocationList, EndEntityCert, KeyUsage, OwnedCertRevocationList};

use super::Verdict;
use super::testcase::{Testcase, ValidationKind};

pub(super) fn verify(case: &Testcase, provider: &CryptoProvider, now: UnixTime) -> Verdict {
    let roots = all::<CertificateDer<'static>>(&case.trusted_certs)?;
    let anchors = roots
        .iter()
        .map(|root| webpki::anchor_from_trusted_cert(root));
    let anchors = anchors.collect::<Result<Vec<_>, _>>()?;
    let intermediates = all::<CertificateDer<'static>>(&case.untrusted_intermediates)?;
    let leaf = CertificateDer::from_pem_slice(case.peer_certificate.as_bytes())?;
    let leaf = EndEntityCert::try_from(&leaf)?;

    let lists = all::<CertificateRevocationListDer<'static>>(&case.crls)?;
    let lists = lists.iter().map(|list| {
        let list = OwnedCertRevocationList::from_der(list)?;
        Ok::<_, webpki::Error>(CertRevocationList::from(list))
    });
    let lists = lists.collect::<Result<Vec<_>, _>>()?;
    let lists: Vec<_> = lists.iter().collect();
    let revocation = webpki::RevocationOptionsBuilder::new(&lists).ok();

    let usage = match case.validation_kind {
        ValidationKind::Client => KeyUsage::client_auth(),
        ValidationKind::Server => KeyUsage::server_auth(),
    };
    leaf.verify_for_usage(
        provider.signature_verification_algorithms.all,
        &anchors,
        &intermediates,
        now,
        usage,
        revocation.map(webpki::RevocationOptionsBuilder::build),
        None,
    )?;
    if let Some(name) = &case.expected_peer_name {
        leaf.verify_is_valid_for_subject_name(&ServerName::try_from(name.value.as_str())?)?;
    }
    Ok(())
}

/// What is in PEM texts.
fn all<T: PemObject>(texts: &[String]) -> Result<Vec<T>, rustls_pki_types::pem::Error> {
    let text = texts.join("\n");
    T::pem_slice_iter(text.as_bytes()).collect()
}
