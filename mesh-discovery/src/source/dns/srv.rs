//! SRV records (RFC 2782).

mod cluster;
mod driver;
mod endpoints;

use std::time::Duration;

use mesh_core::model::cluster::{Endpoint, EndpointAddress};

pub use self::cluster::{SrvCluster, SrvLookup};
pub use self::driver::SrvDriver;

/// One target of a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SrvTarget {
    /// Its name, without the dot at the end.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Targets of the lowest priority are used as long as one of them can be.
    pub priority: u16,
    /// Share among the targets of the same priority; one of weight 0 gets next to nothing beside
    /// others.
    pub weight: u16,
}

/// What a service resolves to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SrvAnswer {
    /// Nobody could be asked, or nobody knows.
    Failed,
    /// These targets.
    Targets {
        /// None if there is no such service, or it is declared to be none.
        targets: Vec<SrvTarget>,
        /// How long the answer is good. Zero if it does not say.
        ttl: Duration,
    },
}

/// The targets as endpoints that are names, in groups: those to use first, those to use when none
/// of the first can be, and so on.
///
/// A weight of 0 becomes the least share that an endpoint can have, against the others' times 100.
///
/// ```
/// use mesh_discovery::source::dns::{SrvTarget, by_priority};
///
/// let target = |host: &str, priority, weight| SrvTarget {
///     host: host.into(), port: 5060, priority, weight,
/// };
/// let groups = by_priority([target("reserve", 20, 0), target("a", 10, 3), target("b", 10, 0)]);
/// assert_eq!(groups.len(), 2);
/// assert_eq!(groups[0].iter().map(|endpoint| endpoint.weight).collect::<Vec<_>>(), [300, 1]);
/// assert_eq!(groups[1][0].weight, 1);
/// ```
pub fn by_priority(targets: impl IntoIterator<Item = SrvTarget>) -> Vec<Vec<Endpoint>> {
    let mut targets: Vec<SrvTarget> = targets.into_iter().collect();
    targets.sort_by_key(|target| target.priority);
    let groups = targets.chunk_by(|a, b| a.priority == b.priority);
    groups
        .map(|group| group.iter().map(endpoint).collect())
        .collect()
}

fn endpoint(target: &SrvTarget) -> Endpoint {
    let address = EndpointAddress::Dns {
        host: target.host.clone(),
        port: target.port,
    };
    Endpoint {
        weight: (u32::from(target.weight) * 100).max(1),
        ..Endpoint::new(address)
    }
}
