//! The endpoints of a cluster, sorted by priority, place and health.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use mesh_core::model::cluster::{Endpoint, EndpointAddress};

use crate::balance::host::Host;
use crate::balance::host_list::HostList;
use crate::balance::priority::Health;
use crate::locality::{Locality, LocalityRules};

/// The endpoints of a cluster.
#[derive(Debug, Default)]
pub(crate) struct Members {
    index: HashMap<EndpointAddress, Member>,
    levels: BTreeMap<u32, LevelMembers>,
    /// Levels that have changed since they were compiled last.
    changed: BTreeSet<u32>,
}

/// One endpoint, and where it is listed.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) host: Host,
    /// Its level; `None` if it gets no load.
    pub(crate) priority: Option<u32>,
    place: Locality,
    /// Whether it was ever ready, and so may have been picked.
    was_ready: bool,
    pub(crate) is_ejected: bool,
    pub(crate) fails_probes: bool,
}

impl Member {
    pub(crate) fn is_healthy(&self) -> bool {
        self.host.endpoint().healthy && !self.is_ejected && !self.fails_probes
    }
}

/// The endpoints of a priority.
#[derive(Clone, Debug, Default)]
pub(crate) struct LevelMembers {
    pub(crate) hosts: Hosts,
    /// The same by place, if places count within the level.
    pub(crate) places: BTreeMap<Locality, Hosts>,
}

/// Endpoints, and those of them that are healthy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hosts {
    pub(crate) all: Listed,
    pub(crate) healthy: Listed,
}

/// A list of hosts, and where in it each is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listed {
    list: HostList,
    index: HashMap<usize, usize>,
}

impl Listed {
    pub(crate) fn list(&self) -> &HostList {
        &self.list
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    fn push(&mut self, host: &Host) {
        self.index.insert(host.id(), self.list.len());
        self.list.push(host.clone());
    }

    /// Removes a host, if it is there.
    fn take(&mut self, host: &Host) {
        let Some(index) = self.index.remove(&host.id()) else {
            return;
        };
        self.list.swap_remove(index);
        if let Some(moved) = self.list.get(index) {
            self.index.insert(moved.id(), index);
        }
    }
}

impl Hosts {
    /// Those that can be picked: in panic all, otherwise those that are healthy.
    pub(crate) fn ready(&self, panic: bool) -> &HostList {
        match panic {
            true => &self.all.list,
            false => &self.healthy.list,
        }
    }

    pub(crate) fn health(&self) -> Health {
        Health {
            healthy: self.healthy.len(),
            total: self.all.len(),
        }
    }
}

impl Members {
    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn get(&self, address: &EndpointAddress) -> Option<&Member> {
        self.index.get(address)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.index.values()
    }

    /// The levels, highest priority first.
    pub(crate) fn levels(&self) -> impl Iterator<Item = (u32, &LevelMembers)> {
        self.levels
            .iter()
            .map(|(priority, level)| (*priority, level))
    }

    /// The levels that have changed since this was asked last.
    pub(crate) fn take_changed(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.changed)
    }

    /// Notes that a level has to be compiled again.
    pub(crate) fn touch(&mut self, priority: u32) {
        self.changed.insert(priority);
    }

    /// Adds an endpoint, or replaces the one at its address, which keeps its state. One that is
    /// ready for the first time is new: it is warmed up from now on.
    pub(crate) fn insert(&mut self, endpoint: Arc<Endpoint>, rules: &LocalityRules, now: Instant) {
        let before = self.index.get(&endpoint.address).cloned();
        let mut member = Member {
            priority: rules.priority(&endpoint),
            place: Locality::from(endpoint.locality.as_str()),
            host: Host::new(Arc::clone(&endpoint), now),
            was_ready: endpoint.healthy,
            is_ejected: false,
            fails_probes: false,
        };
        if let Some(before) = &before {
            member.is_ejected = before.is_ejected;
            member.fails_probes = before.fails_probes;
            if before.was_ready || !endpoint.healthy {
                member.was_ready = before.was_ready;
                member.host = before.host.replaced(endpoint);
            }
            self.unlist(before);
        }
        self.list(&member, rules);
        let address = member.host.endpoint().address.clone();
        self.index.insert(address, member);
    }

    /// Removes an endpoint. Says whether it was there.
    pub(crate) fn remove(&mut self, address: &EndpointAddress) -> bool {
        let Some(member) = self.index.remove(address) else {
            return false;
        };
        self.unlist(&member);
        true
    }

    /// Changes what is known of an endpoint's health. Says whether that makes a difference.
    pub(crate) fn set_health(
        &mut self,
        address: &EndpointAddress,
        change: impl FnOnce(&mut Member),
    ) -> bool {
        let Some(member) = self.index.get_mut(address) else {
            return false;
        };
        let was_healthy = member.is_healthy();
        change(member);
        let is_healthy = member.is_healthy();
        if was_healthy == is_healthy {
            return false;
        }
        let member = member.clone();
        self.each_list(&member, |hosts| {
            if is_healthy {
                hosts.healthy.push(&member.host);
            } else {
                hosts.healthy.take(&member.host);
            }
        });
        true
    }

    /// Sorts all endpoints again, by other rules, in the order that they have.
    pub(crate) fn sort(&mut self, rules: &LocalityRules) {
        self.changed.extend(self.levels.keys());
        let levels = std::mem::take(&mut self.levels);
        let mut index = std::mem::take(&mut self.index);
        let listed = levels
            .values()
            .flat_map(|level| level.hosts.all.list.iter());
        let listed: Vec<Member> = listed
            .filter_map(|host| index.remove(&host.endpoint().address))
            .collect();
        for mut member in listed.into_iter().chain(index.into_values()) {
            member.priority = rules.priority(member.host.endpoint());
            self.list(&member, rules);
            let address = member.host.endpoint().address.clone();
            self.index.insert(address, member);
        }
    }

    fn list(&mut self, member: &Member, rules: &LocalityRules) {
        let Some(priority) = member.priority else {
            return;
        };
        let level = self.levels.entry(priority).or_default();
        if rules.counts_places() && !level.places.contains_key(&member.place) {
            level.places.insert(member.place.clone(), Hosts::default());
        }
        self.each_list(member, |hosts| {
            hosts.all.push(&member.host);
            if member.is_healthy() {
                hosts.healthy.push(&member.host);
            }
        });
    }

    fn unlist(&mut self, member: &Member) {
        self.each_list(member, |hosts| {
            hosts.all.take(&member.host);
            hosts.healthy.take(&member.host);
        });
        let Some(priority) = member.priority else {
            return;
        };
        if let Some(level) = self.levels.get_mut(&priority) {
            level.places.retain(|_, hosts| !hosts.all.list.is_empty());
            if level.hosts.all.list.is_empty() {
                self.levels.remove(&priority);
            }
        }
    }

    fn each_list(&mut self, member: &Member, change: impl Fn(&mut Hosts)) {
        let priority = member.priority;
        let Some(level) = priority.and_then(|priority| self.levels.get_mut(&priority)) else {
            return;
        };
        change(&mut level.hosts);
        if let Some(hosts) = level.places.get_mut(&member.place) {
            change(hosts);
        }
        self.changed.extend(priority);
    }
}
