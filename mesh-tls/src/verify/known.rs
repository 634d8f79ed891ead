//! Chains that were verified before.
//!
//! Whether a chain leads to an authority depends on the chain, the authorities and the purpose, and on
//! the time only by the validity of its certificates. In a mesh the same few chains come with every
//! connection, and their signatures are half of what a verifier has to do. What a peer proves anew
//! each time, that it has the key of the leaf, is not remembered; nor is anything of chains that
//! revocation lists are asked about.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};

use super::Purpose;
use super::peer::Presented;
use crate::certificate::Certificate;
use crate::validity::Validity;

/// How many chains are kept. When one more comes, all are forgotten, and verified once more.
const CAPACITY: usize = 512;

/// How many sets of authorities the chains may have been verified by.
const MAX_ANCHORS: usize = 16;

/// Chains of more bytes are not kept.
const MAX_BYTES: usize = 8 * 1024;

/// A chain as it was presented, and for what.
#[derive(Debug, Eq, Hash, PartialEq)]
pub(super) struct Chain(Box<[u8]>);

impl Chain {
    /// `None` if it is too large to be kept.
    pub(super) fn of(presented: &Presented<'_>, purpose: Purpose) -> Option<Self> {
        let certificates = || presented.certificates();
        let bytes: usize = certificates()
            .map(|der| size_of::<usize>() + der.len())
            .sum();
        if bytes > MAX_BYTES {
            return None;
        }
        let mut key = Vec::with_capacity(bytes + 1);
        key.push(purpose as u8);
        for der in certificates() {
            // The lengths say where one certificate ends, so that no two chains are the same bytes.
            key.extend_from_slice(&der.len().to_ne_bytes());
            key.extend_from_slice(der);
        }
        Some(Self(key.into()))
    }
}

/// The chains that a verifier has found to lead to an authority.
#[derive(Debug, Default)]
pub(super) struct KnownChains(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    chains: HashMap<Chain, Verified>,
    /// The authorities that chains were verified by, each set once.
    anchors: Vec<Arc<[TrustAnchor<'static>]>>,
}

#[derive(Debug)]
struct Verified {
    anchors: Arc<[TrustAnchor<'static>]>,
    /// When all certificates of the chain count.
    validity: Validity,
}

impl KnownChains {
    /// Whether the chain was verified by the same authorities, with an outcome that holds at `now`.
    pub(super) fn contains(
        &self,
        chain: &Chain,
        anchors: &[TrustAnchor<'static>],
        now: UnixTime,
    ) -> bool {
        let known = self.lock();
        let verified = known.chains.get(chain);
        verified.is_some_and(|verified| {
            verified.validity.contains(now) && *verified.anchors == *anchors
        })
    }

    /// Remembers that the chain was verified by these authorities.
    pub(super) fn insert(
        &self,
        chain: Chain,
        anchors: &[TrustAnchor<'static>],
        validity: Validity,
    ) {
        let mut known = self.lock();
        if known.chains.len() >= CAPACITY {
            *known = Known::default();
        }
        let anchors = known.anchors(anchors);
        known.chains.insert(chain, Verified { anchors, validity });
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// These authorities, shared with the other chains that were verified by them.
    fn anchors(&mut self, anchors: &[TrustAnchor<'static>]) -> Arc<[TrustAnchor<'static>]> {
        if let Some(known) = self.anchors.iter().find(|known| ***known == *anchors) {
            return Arc::clone(known);
        }
        if self.anchors.len() >= MAX_ANCHORS {
            *self = Self::default();
        }
        let anchors: Arc<[_]> = anchors.into();
        self.anchors.push(Arc::clone(&anchors));
        anchors
    }
}

impl<'a> Presented<'a> {
    fn certificates(&self) -> impl Iterator<Item = &'a CertificateDer<'a>> + use<'a> {
        std::iter::once(self.leaf).chain(self.signers)
    }

    /// When all of the certificates count; `None` if one cannot be read.
    pub(super) fn validity(&self) -> Option<Validity> {
        let validity = |der: &CertificateDer<'_>| Some(Certificate::from_der(der).ok()?.validity());
        self.signers
            .iter()
            .try_fold(validity(self.leaf)?, |both, next| {
                Some(both.intersection(&validity(next)?))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Authority, DAY, NOW, at};

    fn day() -> Validity {
        Validity::new(at(NOW), at(NOW + DAY))
    }

    fn chain(number: usize) -> Chain {
        Chain(Box::new(number.to_ne_bytes()))
    }

    fn anchors(of: &str) -> Vec<TrustAnchor<'static>> {
        Authority::new(of).bundle().anchors().to_vec()
    }

    #[test]
    fn a_chain_is_known_to_those_who_verified_it_while_its_certificates_count() {
        let known = KnownChains::default();
        let [a, b] = ["a", "b"].map(anchors);
        known.insert(chain(1), &a, day());
        for (case, number, anchors, now, is_known) in [
            ("the same", 1, &a, NOW, true),
            ("at its end", 1, &a, NOW + DAY, true),
            ("after it", 1, &a, NOW + DAY + 1, false),
            ("before it", 1, &a, NOW - 1, false),
            ("by others", 1, &b, NOW, false),
            ("by more", 1, &[a.clone(), b.clone()].concat(), NOW, false),
            ("another", 2, &a, NOW, false),
        ] {
            let found = known.contains(&chain(number), anchors, at(now));
            assert_eq!(found, is_known, "{case}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let known = KnownChains::default();
        let a = anchors("a");
        for number in 0..3 * CAPACITY {
            known.insert(chain(number), &a, day());
            let kept = known.lock();
            assert!(kept.chains.len() <= CAPACITY && kept.anchors.len() == 1);
        }
        for number in 0..3 * MAX_ANCHORS {
            let authority = anchors(&number.to_string());
            known.insert(chain(number), &authority, day());
            assert!(known.lock().anchors.len() <= MAX_ANCHORS);
            assert!(known.contains(&chain(number), &authority, at(NOW)));
        }
    }

    #[test]
    fn chains_are_told_apart_by_where_their_certificates_end() {
        let of = |leaf: &'static [u8], signer: &'static [u8], purpose| {
            let [leaf, signer] = [leaf, signer].map(CertificateDer::from);
            let signers = std::slice::from_ref(&signer);
            Chain::of(
                &Presented {
                    leaf: &leaf,
                    signers,
                },
                purpose,
            )
        };
        let chains = [
            of(b"ab", b"c", Purpose::Client),
            of(b"a", b"bc", Purpose::Client),
            of(b"ab", b"c", Purpose::Server),
        ];
        for (at, chain) in chains.iter().enumerate() {
            assert!(chain.is_some());
            assert!(!chains[at + 1..].contains(chain));
        }
        let large: &'static [u8] = &[0; MAX_BYTES];
        assert!(of(b"a", large, Purpose::Client).is_none());
    }
}
