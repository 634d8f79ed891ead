//! Certificate chains that C2SP's x509-limbo has collected, by our verifiers.
//!
//! Each case is verified twice: by [`PeerVerifier`], and by webpki alone. A chain that is accepted
//! here and refused by webpki alone fails, whatever the case expects. A verdict other than the
//! expected one is told with both reasons; it counts as unsupported if the case says that it is
//! about an optional feature, as the suite asks of those who do not have it.

mod bare;
mod testcase;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mesh_tls::pem;
use mesh_tls::verify::{ExpectedNames, PeerVerifier, Purpose, Revocations, Roots, SanList};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde::Deserialize;
use serde_json::Value;

use crate::case::{Case, Cases, Outcome, list, text};
use crate::x509_limbo::testcase::{ExpectedResult, Testcase, ValidationKind};

/// What a verifier says of a case; why, if it refuses.
type Verdict = Result<(), Box<dyn Error>>;

/// Runs all cases.
pub(crate) fn run(document: &Value, _: &Path) -> Vec<Case> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut cases = Cases::default();
    for case in list(document, "testcases") {
        cases.push(text(case, "id"), outcome(case, &provider));
    }
    cases.into_vec()
}

fn outcome(case: &Value, provider: &Arc<CryptoProvider>) -> Outcome {
    let case = match Testcase::deserialize(case) {
        Ok(case) => case,
        Err(error) => return Outcome::Failed(format!("the case is not understood: {error}")),
    };
    if let Some(why) = case.unsupported() {
        return Outcome::unsupported(why);
    }
    let Some(now) = time(&case) else {
        return Outcome::unsupported("certificates are verified since 1970");
    };
    judge(
        &case,
        ours(&case, provider, now),
        bare::verify(&case, provider, now),
    )
}

/// When the chain is verified: now, if the case does not say.
fn time(case: &Testcase) -> Option<UnixTime> {
    let Some(time) = case.validation_time else {
        return Some(UnixTime::now());
    };
    let seconds = u64::try_from(time.unix_seconds()).ok()?;
    Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
}

fn judge(case: &Testcase, ours: Verdict, bare: Verdict) -> Outcome {
    let is_expected = ours.is_ok() == (case.expected_result == ExpectedResult::Success);
    let difference = match (ours, bare) {
        (Ok(()), Err(why)) => {
            let why = reason(why.as_ref());
            return Outcome::Failed(format!("accepted, and webpki alone refuses: {why}"));
        }
        _ if is_expected => return Outcome::Passed,
        (Ok(()), Ok(())) => "accepted, as by webpki alone".to_owned(),
        (Err(why), Ok(())) => {
            format!("refused: {}; webpki alone accepts", reason(why.as_ref()))
        }
        (Err(ours), Err(bare)) => {
            let (ours, bare) = (reason(ours.as_ref()), reason(bare.as_ref()));
            format!("refused: {ours}; webpki alone: {bare}")
        }
    };
    match case.features.as_slice() {
        [] => Outcome::Failed(difference),
        features => Outcome::Unsupported(format!("{}: {difference}", features.join(", "))),
    }
}

/// An error with what caused it.
fn reason(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// The verdict of our verifier.
fn ours(case: &Testcase, provider: &Arc<CryptoProvider>, now: UnixTime) -> Verdict {
    let roots = Roots::from_pem(case.trusted_certs.join("\n").as_bytes())?;
    let mut verifier = PeerVerifier::roots(roots, Arc::clone(provider))?;
    if !case.crls.is_empty() {
        let lists = Revocations::from_pem(case.crls.join("\n").as_bytes())?;
        verifier = verifier.with_revocations(lists);
    }
    let mut chain = certificates(&case.peer_certificate)?;
    for intermediate in &case.untrusted_intermediates {
        chain.extend(certificates(intermediate)?);
    }
    match case.validation_kind {
        ValidationKind::Client => {
            verifier.verify(&chain, Purpose::Client, now)?;
            for name in &case.expected_peer_names {
                let names = SanList::from_iter([name.value.as_str()]);
                let verifier = verifier.clone().with_subject_alt_names(names);
                verifier.verify(&chain, Purpose::Client, now)?;
            }
        }
        ValidationKind::Server => match &case.expected_peer_name {
            None => {
                verifier.verify(&chain, Purpose::Server, now)?;
            }
            Some(name) => {
                let verifier = verifier.with_names(ExpectedNames::ServerName);
                let name = ServerName::try_from(name.value.as_str())?;
                verifier.verify_server(&chain, &name, now)?;
            }
        },
    }
    Ok(())
}

/// The certificates of a PEM text, as they are sent: nobody has looked into them.
fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, Box<dyn Error>> {
    let blocks = pem::parse(text.as_bytes())?;
    let ders = blocks
        .iter()
        .map(|block| CertificateDer::from(block.der().to_vec()));
    Ok(ders.collect())
}
