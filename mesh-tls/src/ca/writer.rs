//! What rcgen needs to write certificates: keys and times in its types.

use std::sync::Arc;

use rcgen::{Error, PublicKeyData, SignatureAlgorithm};
use rustls_pki_types::UnixTime;
use time::OffsetDateTime;

use crate::key::SigningKey;

/// The last second that a certificate can name: the end of the year 9999.
const LAST: u64 = 253_402_300_799;

/// A shared key that signs certificates.
#[derive(Clone, Debug)]
pub(super) struct CaKey(pub(super) Arc<SigningKey>);

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.pair().der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        PublicKeyData::algorithm(self.0.pair())
    }
}

impl rcgen::SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        rcgen::SigningKey::sign(self.0.pair(), message)
    }
}

/// The time as certificates have it. What is later than the year 9999 becomes its end.
pub(super) fn date(time: UnixTime) -> OffsetDateTime {
    let seconds = time.as_secs().min(LAST);
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
