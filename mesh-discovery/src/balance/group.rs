//! Endpoints that are picked from by one policy.

use crate::balance::host::Host;
use crate::balance::host_list::HostList;
use crate::balance::host_ring::HostRing;
use crate::balance::host_table::HostTable;
use crate::balance::least_request::LeastRequest;
use crate::balance::level::{Build, Draw};
use crate::balance::policy::Policy;
use crate::balance::round_robin::RoundRobin;
use crate::balance::{peak_ewma, random};
use crate::locality::Locality;

/// Endpoints that are picked from by the cluster's policy.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// `None` if places do not count.
    pub(crate) place: Option<Locality>,
    hosts: HostList,
    picker: Picker,
}

#[derive(Clone, Debug)]
enum Picker {
    LeastRequest(LeastRequest),
    Maglev(HostTable),
    PeakEwma,
    Random,
    RingHash(HostRing),
    RoundRobin(RoundRobin),
}

impl Group {
    /// The endpoints of a place, or all alike. Where the group before them was picked from by the
    /// same policy, what is compiled of it is made that of these by what is different.
    pub(crate) fn compile(place: Option<&Locality>, hosts: &HostList, build: &Build<'_>) -> Self {
        let before = build.group_before(place);
        let picker = match build.settings.policy {
            Policy::LeastRequest { choices } => {
                Picker::LeastRequest(least_request(before, hosts, choices, build))
            }
            Policy::Maglev { table_size } => maglev(before, hosts, table_size),
            Policy::PeakEwma => Picker::PeakEwma,
            // What passes through has no list.
            Policy::Passthrough | Policy::Random => Picker::Random,
            Policy::RingHash { minimum_ring_size } => {
                Picker::RingHash(ring_hash(before, hosts, minimum_ring_size))
            }
            Policy::RoundRobin => Picker::RoundRobin(round_robin(before, hosts, build)),
        };
        Self {
            place: place.cloned(),
            hosts: hosts.clone(),
            picker,
        }
    }

    /// Endpoints with the share of the hashes that each has.
    pub(crate) fn by_share(hosts: HostList, shares: Vec<f64>, policy: Policy) -> Self {
        let picker = match policy {
            Policy::Maglev { table_size } => {
                // The size was checked when the policy was compiled.
                let table = HostTable::by_share(&hosts, shares, table_size);
                table.map_or(Picker::Random, Picker::Maglev)
            }
            Policy::RingHash { minimum_ring_size } => {
                Picker::RingHash(HostRing::by_share(&hosts, shares, minimum_ring_size))
            }
            _ => Picker::Random,
        };
        Self {
            place: None,
            hosts,
            picker,
        }
    }

    /// Picks an endpoint.
    pub(crate) fn pick<R: FnMut() -> u64>(&self, draw: &mut Draw<'_, R>) -> Option<&Host> {
        let hosts = &self.hosts;
        let index = match &self.picker {
            Picker::LeastRequest(picker) => picker.pick(hosts, draw.weighing, &mut draw.random),
            Picker::Maglev(table) => table.pick(hosts, draw.hash, draw.attempt),
            Picker::PeakEwma => peak_ewma::pick(hosts, draw.weighing.now, &mut draw.random),
            Picker::Random => random::pick(hosts.len(), (draw.random)()),
            Picker::RingHash(ring) => ring.pick(draw.hash, draw.attempt),
            Picker::RoundRobin(picker) => picker.pick(hosts, draw.weighing),
        };
        hosts.get(index?)
    }

    /// Whether what is compiled is not that of the endpoints yet.
    pub(crate) fn is_stale(&self) -> bool {
        matches!(&self.picker, Picker::Maglev(table) if table.is_stale())
    }

    /// Whether this and `other` pick by the same table, stale or not.
    pub(crate) fn has_table_of(&self, other: &Self) -> bool {
        matches!((&self.picker, &other.picker), (Picker::Maglev(table), Picker::Maglev(other)) if table.is_of(other))
    }

    /// The same group with what is compiled of its endpoints, if this is stale.
    pub(crate) fn renew(&self) -> Option<Self> {
        let Picker::Maglev(table) = &self.picker else {
            return None;
        };
        Some(Self {
            place: self.place.clone(),
            hosts: self.hosts.clone(),
            picker: Picker::Maglev(table.renew(&self.hosts)?),
        })
    }
}

fn least_request(
    before: Option<&Group>,
    hosts: &HostList,
    choices: u32,
    build: &Build<'_>,
) -> LeastRequest {
    match before.map(|group| (&group.picker, &group.hosts)) {
        Some((Picker::LeastRequest(picker), before)) if picker.choices() == choices.max(2) => {
            picker.follow(before, hosts, build.weighing, build.seed)
        }
        _ => LeastRequest::new(hosts, build.weighing, choices, build.seed),
    }
}

fn round_robin(before: Option<&Group>, hosts: &HostList, build: &Build<'_>) -> RoundRobin {
    match before.map(|group| (&group.picker, &group.hosts)) {
        Some((Picker::RoundRobin(picker), before)) => {
            picker.follow(before, hosts, build.weighing, build.seed)
        }
        _ => RoundRobin::new(hosts, build.weighing, build.seed),
    }
}

fn maglev(before: Option<&Group>, hosts: &HostList, size: u64) -> Picker {
    let followed = match before.map(|group| (&group.picker, &group.hosts)) {
        Some((Picker::Maglev(table), before)) => table.follow(before, hosts, size),
        _ => None,
    };
    // The size was checked when the policy was compiled.
    let table = followed.or_else(|| HostTable::new(hosts, size));
    table.map_or(Picker::Random, Picker::Maglev)
}

fn ring_hash(before: Option<&Group>, hosts: &HostList, minimum: u64) -> HostRing {
    let followed = match before.map(|group| (&group.picker, &group.hosts)) {
        Some((Picker::RingHash(ring), before)) => ring.follow(before, hosts, minimum),
        _ => None,
    };
    followed.unwrap_or_else(|| HostRing::new(hosts, minimum))
}
