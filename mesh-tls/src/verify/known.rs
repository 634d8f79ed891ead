//! Chains that were verified before.
//!
//! Whether a chain leads to an authority depends on the chain, the authorities and the purpose, and on
//! the time only by the validity of its certificates. In a mesh the same few chains come with every
//! connection, and their signatures are half of what a verifier has to do. What a peer proves anew
//! each time, that it has the key of the leaf, is not remembered; nor is anything of chains that
//! revocation lists are asked about.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls_pki_types::{CertificateDer, UnixTime};

use super::presented::Presented;
use super::{Anchors, Purpose};
use crate::certificate::Certificate;
use crate::validity::Validity;

/// How many chains are kept. When one more comes, the oldest is forgotten, and verified once more.
const CAPACITY: usize = 512;

/// How many sets of authorities the chains may have been verified by. With the oldest, its chains are
/// forgotten.
const MAX_ANCHORS: usize = 16;

/// Chains of more bytes are not kept.
const MAX_BYTES: usize = 8 * 1024;

/// A chain as it was presented, and for what.
#[derive(Debug)]
pub(super) struct Chain {
    leaf: Leaf,
    signers: Box<[u8]>,
}

/// The leaf of a chain, and for what it was presented. Of each, one chain is kept: whoever appends this
/// and that to a certificate that counts displaces none but its own.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Leaf(Arc<[u8]>);

impl Chain {
    /// `None` if it is too large to be kept.
    pub(super) fn of(presented: &Presented<'_>, purpose: Purpose) -> Option<Self> {
        let signers = presented.signers.iter();
        let bytes: usize = signers.map(|der| size_of::<usize>() + der.len()).sum();
        if presented.leaf.len() + bytes > MAX_BYTES {
            return None;
        }
        let mut leaf = Vec::with_capacity(1 + presented.leaf.len());
        leaf.push(purpose as u8);
        leaf.extend_from_slice(presented.leaf);
        let mut signers = Vec::with_capacity(bytes);
        for der in presented.signers {
            // The lengths say where one certificate ends, so that no two chains are the same bytes.
            signers.extend_from_slice(&der.len().to_ne_bytes());
            signers.extend_from_slice(der);
        }
        Some(Self {
            leaf: Leaf(leaf.into()),
            signers: signers.into(),
        })
    }
}

/// The chains that a verifier has found to lead to an authority.
#[derive(Debug, Default)]
pub(super) struct KnownChains(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    chains: HashMap<Leaf, Verified>,
    /// The leaves of the chains, the oldest first.
    order: VecDeque<Leaf>,
    /// The authorities that chains were verified by, each set once, the oldest first.
    anchors: VecDeque<Anchors>,
}

#[derive(Debug)]
struct Verified {
    signers: Box<[u8]>,
    anchors: Anchors,
    /// When all certificates of the chain count, and that of the authority.
    validity: Validity,
}

impl KnownChains {
    /// Whether the chain was verified by the same authorities, with an outcome that holds at `now`.
    pub(super) fn contains(&self, chain: &Chain, anchors: &Anchors, now: UnixTime) -> bool {
        let mut known = self.lock();
        let verified = known.chains.get(&chain.leaf).filter(|verified| {
            verified.validity.contains(now) && verified.signers == chain.signers
        });
        let Some(verified) = verified else {
            return false;
        };
        if Arc::ptr_eq(&verified.anchors, anchors) {
            return true;
        }
        let is_same = verified.anchors == *anchors;
        if is_same {
            let old = Arc::clone(&verified.anchors);
            known.adopt(&old, anchors);
        }
        is_same
    }

    /// Remembers that the chain was verified by these authorities.
    pub(super) fn insert(&self, chain: Chain, anchors: &Anchors, validity: Validity) {
        let mut known = self.lock();
        let anchors = known.anchors(anchors);
        let verified = Verified {
            signers: chain.signers,
            anchors,
            validity,
        };
        if known.chains.insert(chain.leaf.clone(), verified).is_none() {
            known.order.push_back(chain.leaf);
        }
        if known.order.len() > CAPACITY
            && let Some(oldest) = known.order.pop_front()
        {
            known.chains.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// These authorities, shared with the other chains that were verified by them.
    fn anchors(&mut self, anchors: &Anchors) -> Anchors {
        // A clone is the same without a look at what is in it.
        let is_same = |known: &&Anchors| Arc::ptr_eq(known, anchors) || *known == anchors;
        if let Some(same) = self.anchors.iter().find(is_same) {
            return Arc::clone(same);
        }
        if self.anchors.len() == MAX_ANCHORS
            && let Some(oldest) = self.anchors.pop_front()
        {
            let is_left = |verified: &Verified| !Arc::ptr_eq(&verified.anchors, &oldest);
            self.chains.retain(|_, verified| is_left(verified));
            self.order.retain(|leaf| self.chains.contains_key(leaf));
        }
        self.anchors.push_back(Arc::clone(anchors));
        Arc::clone(anchors)
    }

    /// Takes `new` for `old`, which are the same authorities: a bundle that was published once more is
    /// compared once, and not in each handshake.
    fn adopt(&mut self, old: &Anchors, new: &Anchors) {
        let verified = self.chains.values_mut().map(|chain| &mut chain.anchors);
        let all = self.anchors.iter_mut().chain(verified);
        for anchors in all.filter(|anchors| Arc::ptr_eq(anchors, old)) {
            *anchors = Arc::clone(new);
        }
    }
}

impl<'a> Presented<'a> {
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

    /// The chain of this number, with these certificates of signers.
    fn chain_with(number: usize, signers: &[u8]) -> Chain {
        Chain {
            leaf: Leaf(Arc::new(number.to_ne_bytes())),
            signers: signers.into(),
        }
    }

    fn chain(number: usize) -> Chain {
        chain_with(number, &[])
    }

    fn anchors(of: &str) -> Anchors {
        Arc::clone(Authority::new(of).bundle().anchors())
    }

    #[test]
    fn a_chain_is_known_to_those_who_verified_it_while_its_certificates_count() {
        let known = KnownChains::default();
        let [a, b] = ["a", "b"].map(anchors);
        let mut both = a.clone();
        let other = b.certificates()[0].clone();
        Arc::make_mut(&mut both).push(other).unwrap();
        let again = Arc::new(a.as_ref().clone());
        known.insert(chain(1), &a, day());
        for (case, number, anchors, now, is_known) in [
            ("the same", 1, &a, NOW, true),
            ("at its end", 1, &a, NOW + DAY, true),
            ("after it", 1, &a, NOW + DAY + 1, false),
            ("before it", 1, &a, NOW - 1, false),
            ("by others", 1, &b, NOW, false),
            ("by more", 1, &both, NOW, false),
            ("by a copy", 1, &again, NOW, true),
            ("by the first again", 1, &a, NOW, true),
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
            assert_eq!(kept.chains.len(), kept.order.len());
        }
        for number in 0..3 * MAX_ANCHORS {
            let authority = anchors(&number.to_string());
            known.insert(chain(number), &authority, day());
            assert!(known.lock().anchors.len() <= MAX_ANCHORS);
            assert!(known.contains(&chain(number), &authority, at(NOW)));
            let kept = known.lock();
            assert_eq!(kept.chains.len(), kept.order.len());
        }
    }

    #[test]
    fn the_oldest_makes_room_and_the_others_stay() {
        let known = KnownChains::default();
        let a = anchors("a");
        for number in 0..=CAPACITY {
            known.insert(chain(number), &a, day());
        }
        let is_known = |number| known.contains(&chain(number), &a, at(NOW));
        assert!(!is_known(0));
        assert!((1..=CAPACITY).all(is_known));

        let others: Vec<Anchors> = (1..MAX_ANCHORS)
            .map(|of| anchors(&of.to_string()))
            .collect();
        for (number, authority) in others.iter().enumerate() {
            known.insert(chain(number), authority, day());
        }
        known.insert(chain(CAPACITY), &anchors("last"), day());
        assert!(!is_known(CAPACITY - 1), "its authorities were the oldest");
        for (number, authority) in others.iter().enumerate() {
            assert!(known.contains(&chain(number), authority, at(NOW)));
        }
    }

    #[test]
    fn whoever_appends_to_its_chain_displaces_no_other() {
        let known = KnownChains::default();
        let a = anchors("a");
        known.insert(chain(1), &a, day());
        for junk in 0..2 * CAPACITY {
            known.insert(chain_with(2, &junk.to_ne_bytes()), &a, day());
        }
        assert!(known.contains(&chain(1), &a, at(NOW)));
        assert!(!known.contains(&chain(2), &a, at(NOW)), "it was another");
        assert_eq!(known.lock().chains.len(), 2);
    }

    #[test]
    fn authorities_that_are_published_once_more_are_compared_once() {
        let known = KnownChains::default();
        let a = anchors("a");
        let again = Arc::new(a.as_ref().clone());
        for number in 0..2 {
            known.insert(chain(number), &a, day());
        }
        assert!(known.contains(&chain(0), &again, at(NOW)));
        let kept = known.lock();
        let mut chains = kept.chains.values();
        assert!(chains.all(|chain| Arc::ptr_eq(&chain.anchors, &again)));
        assert!(Arc::ptr_eq(&kept.anchors[0], &again));
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
        let chains = chains.map(|chain| chain.map(|chain| (chain.leaf, chain.signers)));
        for (at, chain) in chains.iter().enumerate() {
            assert!(chain.is_some());
            assert!(!chains[at + 1..].contains(chain));
        }
        let large: &'static [u8] = &[0; MAX_BYTES];
        assert!(of(b"a", large, Purpose::Client).is_none());
    }
}
