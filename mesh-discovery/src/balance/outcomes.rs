//! What became of requests and probes, and whom a balancer ejects for it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, TryLockError};
use std::time::Instant;

use mesh_core::model::cluster::EndpointAddress;

use crate::balance::balancer::{Balancer, nanos};
use crate::balance::host::Host;
use crate::balance::state::State;
use crate::health::outlier::{Ejection, Outcome};

impl Balancer {
    /// Records what came of a request to `host`, and ejects the endpoint if it failed too often.
    pub fn record(&self, host: &Host, outcome: Outcome, now: Instant) -> Option<Ejection> {
        let snapshot = self.snapshot.load();
        let outlier = snapshot.settings.outlier.as_ref()?;
        let cause = host.state().monitor().record(outlier, outcome)?;
        let mut state = self.state();
        let address = &host.endpoint().address;
        let is_same = |known: &Host| known.id() == host.id();
        // It may be gone, or gone and back as another.
        state
            .members
            .get(address)
            .filter(|member| is_same(&member.host))?;
        let count = state.members.len();
        let detector = state.detector.as_mut()?;
        let ejection = detector
            .handle_trip(address.clone(), cause, count, now)
            .ok()?;
        state
            .members
            .set_health(address, |member| member.is_ejected = true);
        // They may have been replaced before the lock was had.
        let settings = Arc::clone(&self.snapshot.load().settings);
        self.publish(&mut state, settings, now);
        Some(ejection)
    }

    /// Records whether probes find an endpoint well. One that is ejected returns when they do, as in
    /// Envoy: tell of each probe that succeeds, not only of changes.
    pub fn record_probe(&self, address: &EndpointAddress, is_healthy: bool, now: Instant) {
        self.handle_probe(&mut self.state(), address, is_healthy, now);
    }

    /// [`record_probe`](Self::record_probe) of this very endpoint: not of one that has come to its
    /// address since.
    #[cfg(feature = "balance")]
    pub(crate) fn record_probe_of(&self, host: &Host, is_healthy: bool, now: Instant) {
        let mut state = self.state();
        let address = &host.endpoint().address;
        let known = state.members.get(address);
        if known.is_some_and(|known| known.host.id() == host.id()) {
            self.handle_probe(&mut state, address, is_healthy, now);
        }
    }

    fn handle_probe(
        &self,
        state: &mut State,
        address: &EndpointAddress,
        is_healthy: bool,
        now: Instant,
    ) {
        let detector = state.detector.as_mut();
        let returns = is_healthy && detector.is_some_and(|one| one.handle_recovery(address, now));
        if let Some(member) = state.members.get(address).filter(|_| returns) {
            member.host.state().monitor().reset();
        }
        let changed = state.members.set_health(address, |member| {
            member.fails_probes = !is_healthy;
            member.is_ejected &= !returns;
        });
        if changed {
            let settings = Arc::clone(&self.snapshot.load().settings);
            self.publish(state, settings, now);
        }
    }

    /// Lets endpoints return whose ejection is over. Picks do this, so it has to be called only where
    /// nothing is picked.
    pub fn handle_time(&self, now: Instant) {
        if self.is_due(now) {
            self.let_return(&mut self.state(), now);
        }
    }

    /// [`handle_time`](Self::handle_time), left to the next pick while there is a change: that may take
    /// long, and a pick does not wait for it.
    pub(super) fn handle_due(&self, now: Instant) {
        if !self.is_due(now) {
            return;
        }
        match self.state.try_lock() {
            Ok(mut state) => self.let_return(&mut state, now),
            Err(TryLockError::Poisoned(state)) => self.let_return(&mut state.into_inner(), now),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        let elapsed = nanos(now.saturating_duration_since(self.epoch));
        elapsed >= self.due.load(Ordering::Relaxed)
    }

    fn let_return(&self, state: &mut State, now: Instant) {
        let Some(detector) = &mut state.detector else {
            return;
        };
        let returned = detector.handle_time(now);
        for address in &returned {
            if let Some(member) = state.members.get(address) {
                member.host.state().monitor().reset();
            }
            state
                .members
                .set_health(address, |member| member.is_ejected = false);
        }
        let settings = Arc::clone(&self.snapshot.load().settings);
        self.publish(state, settings, now);
    }
}
