use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use http::uri::Authority;
use mesh_core::attributes::PreviousEndpoints;
use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};

use crate::balance::host::{Host, Weighing};
use crate::balance::level::{Draw, Level};
use crate::balance::priority::{self, Health, Load};
use crate::balance::settings::{Settings, Target};
use crate::locality::Locality;

/// Attempts after which priorities are looked at again (`update_frequency`).
pub(crate) const PRIORITY_UPDATES: usize = 2;

/// What a pick depends on.
#[derive(Clone, Copy, Debug)]
pub struct PickRequest<'a> {
    /// The moment.
    pub now: Instant,
    /// The hash of the request, for policies that pick by it. `None` picks at random.
    pub hash: Option<u64>,
    /// Endpoints to avoid.
    pub previous: Option<&'a PreviousEndpoints>,
    /// Whether priorities that two endpoints were tried of are avoided as well (Envoy's
    /// `previous_priorities`; Istio's `retryRemoteLocalities`).
    pub avoids_priorities: bool,
    /// The request's authority, for clusters that resolve it.
    pub authority: Option<&'a Authority>,
    /// Where the client's connection went, for clusters that pass it through.
    pub original_destination: Option<SocketAddr>,
}

impl PickRequest<'_> {
    /// A request of which nothing is known.
    pub fn new(now: Instant) -> Self {
        Self {
            now,
            hash: None,
            previous: None,
            avoids_priorities: false,
            authority: None,
            original_destination: None,
        }
    }
}

/// An endpoint that was picked, and the version of its cluster that it was picked from.
#[derive(Clone, Debug)]
pub struct Pick {
    /// The endpoint.
    pub host: Host,
    /// The cluster, which says how that endpoint is spoken to. A later version may say otherwise of
    /// others.
    pub cluster: Arc<Cluster>,
}

/// The endpoints of a cluster at one time, compiled for picking. It does not change, but for whose
/// turn it is.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The version of the cluster that the endpoints are of.
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) levels: Vec<Arc<Level>>,
    pub(crate) loads: Vec<Load>,
}

/// An endpoint that was picked, and how.
#[derive(Debug)]
pub(crate) struct Picked<'a> {
    pub(crate) host: Host,
    /// The index of its level, unless it is not listed.
    pub(crate) level: Option<usize>,
    /// Its place, if places count within the level.
    pub(crate) place: Option<&'a Locality>,
}

impl Snapshot {
    /// Picks an endpoint, away from the priorities that were `tried` before.
    pub(crate) fn pick<R: FnMut() -> u64>(
        &self,
        request: &PickRequest<'_>,
        tried: &[u32],
        mut random: R,
    ) -> Option<Picked<'_>> {
        if self.settings.target != Target::Listed {
            return self.unlisted(request);
        }
        let previous = request.previous.filter(|list| !list.addresses.is_empty());
        let attempts = previous.map_or(0, |list| list.selection_attempts);
        let by_hash = self.settings.policy.is_hash();
        let loads = self.loads(tried);
        let mut number = request.hash.unwrap_or_else(&mut random);
        for attempt in 0..=attempts {
            if attempt > 0 && !by_hash {
                number = random();
            }
            let index = priority::choose(loads.iter().copied(), number)?;
            let mut draw = Draw {
                weighing: self.weighing(request.now),
                hash: number,
                attempt,
                random: &mut random,
            };
            let (host, place) = self.levels.get(index)?.pick(&mut draw)?;
            let is_avoided = previous.is_some_and(|list| avoids(list, host.endpoint()));
            if !is_avoided || attempt == attempts {
                return Some(Picked {
                    host: host.clone(),
                    level: Some(index),
                    place,
                });
            }
        }
        None
    }

    /// The load of each priority, moved away from those that were tried before. Where nothing is
    /// left, load is divided as if nothing had been tried.
    fn loads(&self, tried: &[u32]) -> Cow<'_, [Load]> {
        if tried.is_empty() {
            return Cow::Borrowed(&self.loads);
        }
        let healths: Vec<Health> = self
            .levels
            .iter()
            .map(|level| Health {
                healthy: match tried.contains(&level.priority) {
                    true => 0,
                    false => level.health.healthy,
                },
                ..level.health
            })
            .collect();
        if healths.iter().all(|health| health.healthy == 0) {
            return Cow::Borrowed(&self.loads);
        }
        Cow::Owned(priority::loads(&healths, 0).collect())
    }

    /// The endpoint that the request itself names, which is made for it: that takes one allocation for the
    /// endpoint, one for its state, and one for its name where it has one.
    fn unlisted(&self, request: &PickRequest<'_>) -> Option<Picked<'static>> {
        let address = match self.settings.target {
            Target::Listed => return None,
            Target::Authority(port) => {
                let authority = request.authority?;
                let host = authority.host();
                let host = host.strip_prefix('[').unwrap_or(host);
                let host = host.strip_suffix(']').unwrap_or(host);
                let port = authority.port_u16().unwrap_or(port);
                match host.parse() {
                    Ok(address) => EndpointAddress::Ip(SocketAddr::new(address, port)),
                    Err(_) => EndpointAddress::Dns {
                        host: host.to_owned(),
                        port,
                    },
                }
            }
            Target::OriginalDestination(port) => {
                let mut address = request.original_destination?;
                address.set_port(port.unwrap_or_else(|| address.port()));
                EndpointAddress::Ip(address)
            }
        };
        Some(Picked {
            host: Host::new(Endpoint::new(address), request.now),
            level: None,
            place: None,
        })
    }

    pub(crate) fn weighing(&self, now: Instant) -> Weighing<'_> {
        Weighing {
            warmup: self.settings.warmup.as_ref(),
            now,
        }
    }

    /// The same snapshot, which can be picked from without changing whose turn it is in this one.
    pub(crate) fn fork(&self) -> Self {
        Self {
            cluster: Arc::clone(&self.cluster),
            settings: Arc::clone(&self.settings),
            levels: self
                .levels
                .iter()
                .map(|level| Arc::new(level.fork()))
                .collect(),
            loads: self.loads.clone(),
        }
    }
}

fn avoids(previous: &PreviousEndpoints, endpoint: &Endpoint) -> bool {
    previous.addresses.contains(&endpoint.address)
}
