//! The endpoints of one priority, compiled for picking.

use std::sync::{Mutex, PoisonError};

use mesh_core::model::cluster::EndpointAddress;

use crate::balance::edf::Edf;
use crate::balance::host::{Host, Weighing};
use crate::balance::host_list::HostList;
use crate::balance::least_request::LeastRequest;
use crate::balance::maglev::Maglev;
use crate::balance::members::{Hosts, LevelMembers};
use crate::balance::policy::Policy;
use crate::balance::priority::Health;
use crate::balance::ring_hash::RingHash;
use crate::balance::round_robin::RoundRobin;
use crate::balance::settings::Settings;
use crate::balance::zone_aware::{Zone, ZoneAware};
use crate::balance::{peak_ewma, random};
use crate::endpoint::AddressText;
use crate::locality::Locality;

/// One priority.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) priority: u32,
    /// Whether it is the highest priority.
    pub(crate) is_first: bool,
    pub(crate) panic: bool,
    pub(crate) health: Health,
    /// All its endpoints.
    all: HostList,
    choice: Choice,
}

/// Among whom an endpoint is picked.
#[derive(Clone, Debug)]
enum Choice {
    /// All endpoints alike.
    Whole(Group),
    /// A place by weight, then an endpoint there.
    Weighted { turns: Turns, places: Vec<Group> },
    /// A zone by capacity, the client's first, then an endpoint there.
    Zones {
        routing: ZoneAware,
        places: Vec<Group>,
    },
}

/// Endpoints that are picked from by the cluster's policy.
#[derive(Clone, Debug)]
struct Group {
    place: Option<Locality>,
    hosts: HostList,
    picker: Picker,
}

#[derive(Clone, Debug)]
enum Picker {
    LeastRequest(LeastRequest),
    Maglev(Maglev),
    PeakEwma,
    Random,
    RingHash(RingHash),
    RoundRobin(RoundRobin),
}

/// What a pick depends on besides the endpoints.
pub(crate) struct Draw<'a, R> {
    pub(crate) weighing: Weighing<'a>,
    /// The hash of the request, or a random number in its place.
    pub(crate) hash: u64,
    /// How many endpoints were picked before and not accepted.
    pub(crate) attempt: u32,
    pub(crate) random: R,
}

/// What a level is compiled from besides its endpoints.
pub(crate) struct Build<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) weighing: Weighing<'a>,
    pub(crate) seed: u64,
    /// The level as it was before, whose turns are continued.
    pub(crate) before: Option<&'a Level>,
    /// Whether it is the highest priority.
    pub(crate) is_first: bool,
}

impl Level {
    pub(crate) fn compile(
        priority: u32,
        panic: bool,
        members: &LevelMembers,
        build: &Build<'_>,
    ) -> Self {
        Self {
            priority,
            is_first: build.is_first,
            panic,
            health: members.hosts.health(),
            all: members.hosts.all.clone(),
            choice: Choice::compile(panic, members, build),
        }
    }

    /// The same level, which can be picked from without changing whose turn it is in this one.
    pub(crate) fn fork(&self) -> Self {
        Self {
            choice: self.choice.clone(),
            all: self.all.clone(),
            ..*self
        }
    }

    /// Whether the endpoint at an address is one of these. Takes time in proportion to their number.
    pub(crate) fn contains(&self, address: &EndpointAddress) -> bool {
        let mut all = self.all.iter();
        all.any(|host| host.endpoint().address == *address)
    }

    /// Picks an endpoint, and says in which place if places count.
    pub(crate) fn pick<R: FnMut() -> u64>(
        &self,
        draw: &mut Draw<'_, R>,
    ) -> Option<(&Host, Option<&Locality>)> {
        let group = match &self.choice {
            Choice::Whole(group) => group,
            Choice::Weighted { turns, places } => places.get(turns.pick()?)?,
            Choice::Zones { routing, places } => places.get(routing.pick(&mut draw.random))?,
        };
        let host = group.hosts.get(group.pick(draw)?)?;
        Some((host, group.place.as_ref()))
    }

    fn group_before(&self, place: Option<&Locality>) -> Option<&Group> {
        match &self.choice {
            Choice::Whole(group) => place.is_none().then_some(group),
            Choice::Weighted { places, .. } | Choice::Zones { places, .. } => {
                places.iter().find(|group| group.place.as_ref() == place)
            }
        }
    }
}

impl Choice {
    fn compile(panic: bool, members: &LevelMembers, build: &Build<'_>) -> Self {
        let hosts = &members.hosts;
        if build.settings.policy.is_hash() {
            return Self::Whole(Group::by_hash(panic, members, build));
        }
        if panic {
            return Self::Whole(Group::compile(None, &hosts.all, build));
        }
        let by_place = Self::weighted(members, build).or_else(|| Self::zones(members, build));
        by_place.unwrap_or_else(|| Self::Whole(Group::compile(None, &hosts.healthy, build)))
    }

    /// Places by weight, less where endpoints are not healthy. `None` if weights do not count, or
    /// no place has any.
    fn weighted(members: &LevelMembers, build: &Build<'_>) -> Option<Self> {
        let weights = weights(members, build.settings)?;
        let places = members.places.iter().zip(weights);
        let weigh = |hosts: &Hosts, weight: u32| {
            // Envoy drops the fraction.
            (f64::from(weight) * hosts.health().locality_capacity()).floor()
        };
        let places: Vec<_> = places
            .map(|((place, hosts), weight)| (place, hosts, weigh(hosts, weight)))
            .filter(|(_, _, weight)| *weight > 0.0)
            .collect();
        if places.is_empty() {
            return None;
        }
        let turns = Turns::new(places.iter().map(|(_, _, weight)| *weight).collect());
        let group = |(place, hosts, _): &(&Locality, &Hosts, f64)| {
            Group::compile(Some(place), &hosts.healthy, build)
        };
        let places = places.iter().map(group).collect();
        Some(Self::Weighted { turns, places })
    }

    /// Zones by capacity, at the highest priority. `None` if zones do not count.
    fn zones(members: &LevelMembers, build: &Build<'_>) -> Option<Self> {
        let rules = &build.settings.rules;
        let minimum = rules.zone_aware_minimum()?;
        let client = rules.client();
        let replicas = |place: &Locality| {
            let replicas = client.replicas.iter();
            replicas.filter(|replica| *replica == place).count()
        };
        let is_alone = client
            .replicas
            .iter()
            .all(|place| *place == client.locality);
        let healthy = members.hosts.healthy.len() as u64;
        if !build.is_first
            || healthy < minimum
            || is_alone
            || replicas(&client.locality) == 0
            || members.places.len() < 2
        {
            return None;
        }
        let none = Hosts::default();
        let own = members.places.get(&client.locality).unwrap_or(&none);
        let others = members.places.iter();
        let others = others.filter(|(place, _)| **place != client.locality);
        let places: Vec<_> = [(&client.locality, own)]
            .into_iter()
            .chain(others)
            .collect();
        let zones: Vec<Zone> = places
            .iter()
            .map(|(place, hosts)| Zone {
                replicas: replicas(place),
                endpoints: hosts.healthy.len(),
            })
            .collect();
        let group = |(place, hosts): (&Locality, &Hosts)| {
            Group::compile(Some(place), &hosts.healthy, build)
        };
        Some(Self::Zones {
            routing: ZoneAware::compile(&zones),
            places: places.into_iter().map(group).collect(),
        })
    }
}

/// The weight of each place, if they share load by weight.
fn weights(members: &LevelMembers, settings: &Settings) -> Option<Vec<u32>> {
    let places: Vec<(Locality, u64)> = members
        .places
        .iter()
        .map(|(place, hosts)| (place.clone(), hosts.all.weight()))
        .collect();
    settings.rules.weights(&places)
}

impl Group {
    fn compile(place: Option<&Locality>, hosts: &HostList, build: &Build<'_>) -> Self {
        let seed = build.seed_of(place);
        let weighing = build.weighing;
        let picker = match build.settings.policy {
            Policy::LeastRequest { choices } => {
                Picker::LeastRequest(LeastRequest::new(hosts, weighing, choices, seed))
            }
            Policy::PeakEwma => Picker::PeakEwma,
            Policy::RoundRobin => Picker::RoundRobin(RoundRobin::new(hosts, weighing, seed)),
            // Hashes are compiled by `by_hash`, and what passes through has no list.
            Policy::Maglev { .. }
            | Policy::Passthrough
            | Policy::Random
            | Policy::RingHash { .. } => Picker::Random,
        };
        Self {
            place: place.cloned(),
            hosts: hosts.clone(),
            picker,
        }
    }

    /// All places in one ring or table, where the weight of a place is divided among its endpoints.
    fn by_hash(panic: bool, members: &LevelMembers, build: &Build<'_>) -> Self {
        let of = |hosts: &Hosts| match panic {
            true => hosts.all.clone(),
            false => hosts.healthy.clone(),
        };
        let (hosts, shares) = match weights(members, build.settings) {
            None => {
                let hosts = of(&members.hosts);
                let shares = shares(&hosts, 1.0);
                (hosts, shares)
            }
            Some(weights) => {
                let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
                let mut all = HostList::default();
                let mut all_shares = Vec::new();
                for (hosts, weight) in members.places.values().zip(weights) {
                    let hosts = of(hosts);
                    let share = f64::from(weight) / total.max(1) as f64;
                    all_shares.extend(shares(&hosts, share));
                    all.extend(&hosts);
                }
                (all, all_shares)
            }
        };
        let key = |host: &Host| AddressText(&host.endpoint().address).to_string();
        let keys: Vec<(String, f64)> = hosts.iter().map(key).zip(shares).collect();
        let picker = match build.settings.policy {
            Policy::Maglev { table_size } => {
                // The size was checked when the policy was compiled.
                Maglev::new(keys, table_size).map_or(Picker::Random, Picker::Maglev)
            }
            Policy::RingHash { minimum_ring_size } => {
                Picker::RingHash(RingHash::new(keys, minimum_ring_size))
            }
            _ => Picker::Random,
        };
        Self {
            place: None,
            hosts,
            picker,
        }
    }

    fn pick<R: FnMut() -> u64>(&self, draw: &mut Draw<'_, R>) -> Option<usize> {
        let hosts = &self.hosts;
        match &self.picker {
            Picker::LeastRequest(picker) => picker.pick(hosts, draw.weighing, &mut draw.random),
            Picker::Maglev(table) => table.pick(draw.hash, draw.attempt),
            Picker::PeakEwma => peak_ewma::pick(hosts, draw.weighing.now, &mut draw.random),
            Picker::Random => random::pick(hosts.len(), (draw.random)()),
            Picker::RingHash(ring) => ring.pick(draw.hash, draw.attempt),
            Picker::RoundRobin(picker) => picker.pick(hosts, draw.weighing),
        }
    }
}

/// The part of `whole` that each of `hosts` has by its weight.
fn shares(hosts: &HostList, whole: f64) -> Vec<f64> {
    let total = hosts.weight() as f64;
    let hosts = hosts.iter();
    hosts
        .map(|host| f64::from(host.weight()) * whole / total)
        .collect()
}

impl Build<'_> {
    /// Where the turns of a group begin: where they were before.
    fn seed_of(&self, place: Option<&Locality>) -> u64 {
        let before = self.before.and_then(|level| level.group_before(place));
        match before.map(|group| &group.picker) {
            Some(Picker::RoundRobin(picker)) => picker.turn(),
            _ => self.seed,
        }
    }
}

/// Turns of places by weight.
#[derive(Debug)]
struct Turns {
    weights: Vec<f64>,
    schedule: Mutex<Edf>,
}

impl Turns {
    fn new(weights: Vec<f64>) -> Self {
        let schedule = Mutex::new(Edf::new(weights.iter().copied()));
        Self { weights, schedule }
    }

    fn pick(&self) -> Option<usize> {
        // Held for one step of the heap.
        let mut schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        schedule.pick(|index| self.weights.get(index).copied().unwrap_or_default())
    }
}

impl Clone for Turns {
    fn clone(&self) -> Self {
        let schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            weights: self.weights.clone(),
            schedule: Mutex::new(schedule.clone()),
        }
    }
}
