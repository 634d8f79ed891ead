//! What the authority is in the middle of while one root follows another, kept for its next start.
//!
//! The files of the next signer are in their places while the old one still signs, so that its key and its
//! certificates are kept here, with the times of the change. As soon as only one root is trusted, the file
//! is removed.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mesh_tls::ca::{
    Authority, IssuancePolicy, Next, OverlapPolicy, Retained, Signer, SignerError, SignerMaterial,
};
use mesh_tls::certificate::Certificate;
use mesh_tls::key::SigningKey;
use mesh_tls::pem;
use rustls::crypto::CryptoProvider;
use rustls_pki_types::UnixTime;
use serde::{Deserialize, Serialize};

use crate::authority::{Failure, is_same};
use crate::state;

const FILE: &str = "overlap.json";

/// Certificates and keys are PEM, times seconds since 1970.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Overlap {
    signer: Kept,
    next: Option<Announced>,
    retained: Vec<KeptRoot>,
}

/// Who signs.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    certificate: String,
    key: String,
    intermediates: String,
    roots: String,
}

/// Who is to follow: the signer of the files, if its certificate is this one.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Announced {
    certificate: String,
    switch_at: u64,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeptRoot {
    certificate: String,
    until: u64,
}

/// Keeps what `authority` is in the middle of, if it is. Nothing is written that is there already.
pub(crate) fn save(directory: &Path, authority: &Authority) -> Result<(), Failure> {
    let retained = authority.retained();
    if authority.next().is_none() && retained.is_empty() {
        return Ok(remove(directory)?);
    }
    let overlap = Overlap {
        signer: Kept::of(authority.signer()),
        next: authority.next().map(|next| Announced {
            certificate: pem::encode_certificates([next.signer.certificate()]),
            switch_at: next.switch_at.as_secs(),
        }),
        retained: retained
            .iter()
            .map(|retained| KeptRoot {
                certificate: pem::encode_certificates([&retained.root]),
                until: retained.until.as_secs(),
            })
            .collect(),
    };
    let text = serde_json::to_string_pretty(&overlap)?;
    if fs::read_to_string(directory.join(FILE)).is_ok_and(|kept| kept == text) {
        return Ok(());
    }
    Ok(state::write(directory, &[(FILE, text)])?)
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_file(directory.join(FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// An authority with the signer of the files, `own`, or one that goes on with what was kept: with the
/// signer of then, whom `own` follows when it is time. What is decided here is to be [saved](save).
///
/// # Errors
///
/// What was kept cannot be read. It is not taken for nothing: without it, workloads would be given
/// certificates that others do not trust yet.
pub(crate) fn load(
    directory: &Path,
    own: Arc<Signer>,
    now: UnixTime,
    provider: &CryptoProvider,
) -> Result<Authority, Failure> {
    let begin =
        |signer| Authority::new(signer, IssuancePolicy::default(), OverlapPolicy::default());
    let text = match fs::read_to_string(directory.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(begin(own)),
        Err(error) => return Err(unreadable(&error)),
    };
    let kept: Overlap = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    let retained = kept.retained().map_err(|error| unreadable(&error))?;
    let signer = match kept
        .signer
        .signer(now, provider)
        .map_err(|error| unreadable(&error))?
    {
        Some(signer) if !is_same(&signer, &own) => Arc::new(signer),
        // The change is over, or there is nobody left to wait for.
        _ => return Ok(begin(own).resume(None, retained)),
    };
    let announced = pem::encode_certificates([own.certificate()]);
    let next = kept.next.filter(|next| next.certificate == announced);
    let Some(next) = next else {
        // The files were replaced meanwhile.
        let mut authority = begin(signer).resume(None, retained);
        authority.replace(own, now);
        return Ok(authority);
    };
    let next = Next {
        signer: own,
        switch_at: at(next.switch_at),
    };
    Ok(begin(signer).resume(Some(next), retained))
}

fn unreadable(why: &dyn fmt::Display) -> Failure {
    format!("`{FILE}` cannot be read: {why}").into()
}

fn at(seconds: u64) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

impl Overlap {
    fn retained(&self) -> Result<Vec<Retained>, Failure> {
        let retained = self.retained.iter().map(|kept| {
            Ok(Retained {
                root: certificate(&kept.certificate)?,
                until: at(kept.until),
            })
        });
        retained.collect()
    }
}

impl Kept {
    fn of(signer: &Signer) -> Self {
        Self {
            certificate: pem::encode_certificates([signer.certificate()]),
            key: signer.key().to_pem(),
            intermediates: pem::encode_certificates(signer.intermediates()),
            roots: pem::encode_certificates(signer.roots()),
        }
    }

    /// `None` if it can sign no more.
    fn signer(&self, now: UnixTime, provider: &CryptoProvider) -> Result<Option<Signer>, Failure> {
        let material = SignerMaterial {
            certificate: certificate(&self.certificate)?,
            key: Arc::new(SigningKey::from_pem(self.key.as_bytes())?),
            intermediates: pem::certificates(self.intermediates.as_bytes())?,
            roots: pem::certificates(self.roots.as_bytes())?,
        };
        match Signer::new(material, now, provider) {
            Ok(signer) => Ok(Some(signer)),
            Err(SignerError::Expired { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn certificate(text: &str) -> Result<Certificate, Failure> {
    let certificates = pem::certificates(text.as_bytes())?;
    let first = certificates.into_iter().next();
    first.ok_or_else(|| "a certificate is missing".into())
}
