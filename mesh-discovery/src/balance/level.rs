//! The endpoints of one priority, compiled for picking.

use std::sync::{Mutex, PoisonError};

use crate::balance::edf::Edf;
use crate::balance::group::Group;
use crate::balance::host::{Host, Weighing};
use crate::balance::host_list::HostList;
use crate::balance::members::{Hosts, LevelMembers};
use crate::balance::priority::Health;
use crate::balance::settings::Settings;
use crate::balance::zone_aware::{Zone, ZoneAware};
use crate::locality::Locality;

/// One priority.
#[derive(Debug)]
pub(crate) struct Level {
    pub(crate) priority: u32,
    /// Whether it is the highest priority.
    pub(crate) is_first: bool,
    pub(crate) panic: bool,
    pub(crate) health: Health,
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
            choice: Choice::compile(panic, members, build),
        }
    }

    /// The same level, which can be picked from without changing whose turn it is in this one.
    pub(crate) fn fork(&self) -> Self {
        Self {
            choice: self.choice.clone(),
            ..*self
        }
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
        Some((group.pick(draw)?, group.place.as_ref()))
    }

    /// Whether what is compiled is not that of its endpoints yet.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(&self.choice, Choice::Whole(group) if group.is_stale())
    }

    /// Whether this and `other` pick by the same table, stale or not.
    pub(crate) fn has_table_of(&self, other: &Self) -> bool {
        matches!((&self.choice, &other.choice), (Choice::Whole(group), Choice::Whole(other)) if group.has_table_of(other))
    }

    /// The same level with what is compiled of its endpoints, if this is stale.
    pub(crate) fn renew(&self) -> Option<Self> {
        let Choice::Whole(group) = &self.choice else {
            return None;
        };
        Some(Self {
            choice: Choice::Whole(group.renew()?),
            ..*self
        })
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
        let by_hash = build.settings.policy.is_hash();
        let by_place = if by_hash {
            Self::shares_by_place(panic, members, build)
        } else if panic {
            None
        } else {
            Self::weighted(members, build).or_else(|| Self::zones(members, build))
        };
        by_place.unwrap_or_else(|| Self::Whole(Group::compile(None, hosts.ready(panic), build)))
    }

    /// All places in one ring or table, where the weight of a place is divided among its endpoints.
    /// `None` if weights of places do not count.
    fn shares_by_place(panic: bool, members: &LevelMembers, build: &Build<'_>) -> Option<Self> {
        let weights = weights(members, build.settings)?;
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut all = HostList::default();
        let mut shares = Vec::new();
        for (hosts, weight) in members.places.values().zip(weights) {
            let hosts = hosts.ready(panic);
            let whole = f64::from(weight) / total.max(1) as f64;
            let sum = hosts.weight() as f64;
            shares.extend(
                hosts
                    .iter()
                    .map(|host| f64::from(host.weight()) * whole / sum),
            );
            all.extend(hosts);
        }
        Some(Self::Whole(Group::by_share(
            all,
            shares,
            build.settings.policy,
        )))
    }

    /// Places by weight, less where endpoints are not healthy. `None` if weights do not count, or
    /// no place has any.
    fn weighted(members: &LevelMembers, build: &Build<'_>) -> Option<Self> {
        let weights = weights(members, build.settings)?;
        let places = members.places.iter().zip(weights);
        let weigh =
            |hosts: &Hosts, weight: u32| f64::from(weight) * hosts.health().locality_capacity();
        let places: Vec<_> = places
            .map(|((place, hosts), weight)| (place, hosts, weigh(hosts, weight)))
            .filter(|(_, _, weight)| *weight > 0.0)
            .collect();
        if places.is_empty() {
            return None;
        }
        let turns = Turns::new(places.iter().map(|(_, _, weight)| *weight).collect());
        let group = |(place, hosts, _): &(&Locality, &Hosts, f64)| {
            Group::compile(Some(place), hosts.ready(false), build)
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
        let here: usize = zones.iter().map(|zone| zone.replicas).sum();
        let elsewhere = client.replicas.len() - here;
        let group = |(place, hosts): (&Locality, &Hosts)| {
            Group::compile(Some(place), hosts.ready(false), build)
        };
        Some(Self::Zones {
            routing: ZoneAware::compile(&zones, elsewhere),
            places: places.into_iter().map(group).collect(),
        })
    }
}

/// The weight of each place, if they share load by weight.
fn weights(members: &LevelMembers, settings: &Settings) -> Option<Vec<u32>> {
    let places: Vec<(Locality, u64)> = members
        .places
        .iter()
        .map(|(place, hosts)| (place.clone(), hosts.all.list().weight()))
        .collect();
    settings.rules.weights(&places)
}

impl<'a> Build<'a> {
    /// The group of a place as it was before.
    pub(crate) fn group_before(&self, place: Option<&Locality>) -> Option<&'a Group> {
        self.before?.group_before(place)
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
