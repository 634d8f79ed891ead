//! What a balancer knows, and what is compiled of it.

use std::sync::Arc;
use std::time::Instant;

use mesh_core::model::cluster::{Cluster, EndpointAddress};
use tower::discover::Change;

use crate::balance::host::Weighing;
use crate::balance::level::{Build, Level};
use crate::balance::members::Members;
use crate::balance::policy::Policy;
use crate::balance::priority::{self, Health};
use crate::balance::settings::{self, Settings};
use crate::balance::snapshot::Snapshot;
use crate::endpoint_set::{EndpointChange, EndpointSet};
use crate::health::outlier::Detector;
use crate::locality::Client;

/// What changes.
pub(crate) struct State {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) client: Client,
    /// What is picked by, if not by what the cluster says.
    pub(crate) policy: Option<Policy>,
    pub(crate) members: Members,
    /// Whether endpoints came since the cluster did.
    pub(crate) has_other_endpoints: bool,
    pub(crate) detector: Option<Detector<EndpointAddress>>,
    seed: u64,
}

impl State {
    /// No endpoints, and no detector.
    pub(crate) fn new(cluster: Arc<Cluster>, client: Client, seed: u64) -> Self {
        Self {
            cluster,
            client,
            policy: None,
            members: Members::default(),
            has_other_endpoints: false,
            detector: None,
            seed,
        }
    }

    /// The settings of the cluster as it is now.
    pub(crate) fn settings(&self) -> Settings {
        match self.policy {
            Some(policy) => Settings::with_policy(&self.cluster, &self.client, policy),
            None => Settings::compile(&self.cluster, &self.client),
        }
    }

    /// Whether the cluster, which takes the place of `before`, leaves the endpoints as they are: it has
    /// those of before, and what came since is nothing, or what its names resolve to.
    pub(crate) fn keeps_endpoints(&self, before: &Cluster) -> bool {
        let mut both = [before, &self.cluster].into_iter();
        before.endpoints == self.cluster.endpoints
            && (!self.has_other_endpoints || both.all(settings::is_resolved))
    }

    pub(crate) fn set_detector(&mut self, settings: &Settings, now: Instant) {
        let Some(outlier) = settings.outlier.clone() else {
            self.detector = None;
            let ejected: Vec<EndpointAddress> = self
                .members
                .iter()
                .filter(|member| member.is_ejected)
                .map(|member| member.host.endpoint().address.clone())
                .collect();
            for address in ejected {
                self.members
                    .set_health(&address, |member| member.is_ejected = false);
            }
            return;
        };
        match &mut self.detector {
            Some(detector) => detector.set_settings(outlier, now),
            None => self.detector = Some(Detector::new(outlier, now)),
        }
    }

    pub(crate) fn set_endpoints(
        &mut self,
        endpoints: &EndpointSet,
        settings: &Settings,
        now: Instant,
    ) {
        let before = self.members.iter();
        let before: EndpointSet = before
            .map(|member| Arc::clone(member.host.endpoint()))
            .collect();
        for change in endpoints.changes_since(&before) {
            self.apply(change, settings, now);
        }
    }

    pub(crate) fn apply(&mut self, change: EndpointChange, settings: &Settings, now: Instant) {
        match change {
            Change::Insert(_, endpoint) => self.members.insert(endpoint, &settings.rules, now),
            Change::Remove(address) => {
                self.members.remove(&address);
                if let Some(detector) = &mut self.detector {
                    detector.remove(&address);
                }
            }
        }
    }

    pub(crate) fn compile(
        &mut self,
        before: &Snapshot,
        settings: Arc<Settings>,
        now: Instant,
    ) -> Snapshot {
        let changed = self.members.take_changed();
        let has_same_settings = Arc::ptr_eq(&before.settings, &settings);
        let healths: Vec<Health> = self
            .members
            .levels()
            .map(|(_, level)| level.hosts.health())
            .collect();
        let loads: Vec<_> = priority::loads(&healths, settings.panic_threshold).collect();
        let weighing = Weighing {
            warmup: settings.warmup.as_ref(),
            now,
        };
        let mut levels = Vec::with_capacity(loads.len());
        for ((index, (priority, members)), load) in self.members.levels().enumerate().zip(&loads) {
            let before = before
                .levels
                .iter()
                .find(|level| level.priority == priority);
            let is_first = index == 0;
            let is_same =
                |level: &&Arc<Level>| level.panic == load.panic && level.is_first == is_first;
            let stays = has_same_settings && !changed.contains(&priority);
            if let Some(level) = before.filter(|_| stays).filter(is_same) {
                levels.push(Arc::clone(level));
                continue;
            }
            self.seed = self
                .seed
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(0x1405_7b7e_f767_814f);
            let build = Build {
                settings: &settings,
                weighing,
                seed: self.seed,
                before: before.map(Arc::as_ref),
                is_first,
            };
            levels.push(Arc::new(Level::compile(
                priority, load.panic, members, &build,
            )));
        }
        Snapshot {
            cluster: Arc::clone(&self.cluster),
            settings,
            levels,
            loads,
        }
    }
}
