//! One signer after the other.

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::UnixTime;

use super::issuer::{IssuancePolicy, Issuer};
use super::signer::Signer;
use crate::certificate::Certificate;
use crate::clock::later;

/// How long the old and the new root are trusted together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OverlapPolicy {
    /// How long before it signs the new root is trusted, so that all peers have heard of it.
    /// Workloads hear of roots with each certificate, which by default they fetch twice a day.
    /// Default: 24 hours.
    pub announce: Duration,
    /// How long after it signed last the old root is trusted. `None`, the default, is until the
    /// longest-lived certificate that it can have issued has expired.
    pub retain: Option<Duration>,
}

impl Default for OverlapPolicy {
    fn default() -> Self {
        Self {
            announce: Duration::from_secs(24 * 60 * 60),
            retain: None,
        }
    }
}

/// What an [`Authority`] changed. After each, its [`issuer`](Authority::issuer) is to be published.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// The next signer signs from now on.
    Switched,
    /// An old root is trusted no more.
    Retired,
}

/// Moves from one signer to the next without a moment in which a peer does not trust another.
///
/// A machine: it is told the time, and says what changed.
///
/// 1. [`replace`](Self::replace) takes the next signer. Peers are told to trust its root, and the
///    old one goes on signing. A signer that leads to a root that is trusted already (an
///    intermediate below the same root, or a root renewed with its key) signs at once.
/// 2. When [`OverlapPolicy::announce`] is over, or the old one has expired, so that there is nothing to wait
///    for, the next one signs. Peers still trust the old root.
/// 3. When the certificates of the old signer have all expired, its root is dropped.
///
/// What it is in the middle of ([`next`](Self::next), [`retained`](Self::retained)) has to be kept by
/// whoever may restart, with the key of the signer: an authority that begins anew with the next signer
/// signs by it at once, and tells nobody of the old root.
#[derive(Debug)]
pub struct Authority {
    issuance: IssuancePolicy,
    overlap: OverlapPolicy,
    signer: Arc<Signer>,
    next: Option<Next>,
    retained: Vec<Retained>,
}

/// A signer that was announced.
#[derive(Clone, Debug)]
pub struct Next {
    /// Who signs then.
    pub signer: Arc<Signer>,
    /// From when on it signs.
    pub switch_at: UnixTime,
}

/// A root that signs no more.
#[derive(Clone, Debug)]
pub struct Retained {
    /// Its certificate.
    pub root: Certificate,
    /// From when on it is trusted no more.
    pub until: UnixTime,
}

impl Authority {
    /// Starts with one signer.
    pub fn new(signer: Arc<Signer>, issuance: IssuancePolicy, overlap: OverlapPolicy) -> Self {
        Self {
            issuance,
            overlap,
            signer,
            next: None,
            retained: Vec::new(),
        }
    }

    /// Goes on where another left off that had the same signer: after a restart, say.
    #[must_use]
    pub fn resume(self, next: Option<Next>, retained: Vec<Retained>) -> Self {
        Self {
            next,
            retained,
            ..self
        }
    }

    /// Who was announced, and does not sign yet.
    pub fn next(&self) -> Option<&Next> {
        self.next.as_ref()
    }

    /// The old roots that are still trusted.
    pub fn retained(&self) -> &[Retained] {
        &self.retained
    }

    /// Who signs now.
    pub fn signer(&self) -> &Arc<Signer> {
        &self.signer
    }

    /// The roots that peers are told to trust: old ones, announced ones, and the signer's last.
    pub fn roots(&self) -> Vec<Certificate> {
        let own = self.signer.roots();
        let retained = self.retained.iter().map(|retained| &retained.root);
        let announced = self.next.iter().flat_map(|next| next.signer.roots());
        let mut roots: Vec<Certificate> = Vec::new();
        for root in retained.chain(announced) {
            if !own.contains(root) && !roots.contains(root) {
                roots.push(root.clone());
            }
        }
        roots.extend_from_slice(own);
        roots
    }

    /// Issues by the current signer, and tells peers of all roots.
    pub fn issuer(&self) -> Issuer {
        Issuer::new(Arc::clone(&self.signer), self.issuance).with_roots(self.roots())
    }

    /// Takes the signer that is to follow, in the place of one that was announced before. Gives
    /// what changed besides the roots, if it signs at once.
    pub fn replace(&mut self, next: Arc<Signer>, now: UnixTime) -> Option<Change> {
        let is_trusted = next.leads_to(self.signer.roots(), now);
        let switch_at = if is_trusted {
            now
        } else {
            later(now, self.overlap.announce).min(self.signer.not_after(now))
        };
        self.next = Some(Next {
            signer: next,
            switch_at,
        });
        self.switch(now)
    }

    /// Does what is due at `now`. Call again until there is nothing.
    pub fn advance(&mut self, now: UnixTime) -> Option<Change> {
        self.switch(now).or_else(|| self.retire(now))
    }

    /// When [`advance`](Self::advance) has something to do.
    pub fn wake_at(&self) -> Option<UnixTime> {
        let switch = self.next.as_ref().map(|next| next.switch_at);
        let retire = self.retained.iter().map(|retained| retained.until).min();
        [switch, retire].into_iter().flatten().min()
    }

    fn switch(&mut self, now: UnixTime) -> Option<Change> {
        let next = self.next.take_if(|next| next.switch_at <= now)?;
        let old = std::mem::replace(&mut self.signer, next.signer);
        let until = self.retain_until(&old, now);
        for root in old.roots() {
            if !self.signer.roots().contains(root) {
                let root = root.clone();
                self.retained.push(Retained { root, until });
            }
        }
        Some(Change::Switched)
    }

    /// A second after the last certificate of `old` has expired.
    fn retain_until(&self, old: &Signer, now: UnixTime) -> UnixTime {
        let longest = self.issuance.max_ttl.max(self.issuance.default_ttl);
        let retain = self.overlap.retain.unwrap_or(longest);
        let last = later(now, retain).min(old.certificate().validity().not_after());
        later(last, Duration::from_secs(1))
    }

    fn retire(&mut self, now: UnixTime) -> Option<Change> {
        let before = self.retained.len();
        self.retained.retain(|retained| now < retained.until);
        (self.retained.len() < before).then_some(Change::Retired)
    }
}
