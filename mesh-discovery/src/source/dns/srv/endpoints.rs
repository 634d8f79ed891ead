//! What targets and their addresses are to a balancer.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use mesh_core::labels::Labels;
use mesh_core::model::cluster::{Endpoint, EndpointAddress, LocalityBalancing};
use mesh_core::resource::istio::destination_rule::LocalityLoadBalancerSetting;

use super::SrvTarget;

/// How many priorities are told apart. Targets of further ones are left out.
const MAX_PRIORITIES: usize = 16;
/// The share of an address whose target has a weight of 1, and no other address. One of weight 0 has 1.
const SHARE: u32 = 100;
/// Label of an endpoint that comes before those of a priority.
const BEFORE: &str = "srv.priority";
const YES: &str = "before";

/// The endpoints of `targets`, those of lower priorities first, and how a cluster balances among them.
///
/// Endpoints of different priorities have different labels, so that the balancer moves load to the next
/// priority where the endpoints of one are not healthy. Where all have the same, nothing is said of how
/// to balance.
pub(super) fn endpoints<'a>(
    targets: &[SrvTarget],
    addresses: impl Fn(&str) -> &'a [IpAddr],
) -> (Vec<Endpoint>, Option<LocalityBalancing>) {
    let mut sorted: Vec<&SrvTarget> = targets.iter().collect();
    sorted.sort_by_key(|target| target.priority);
    let groups = sorted.chunk_by(|a, b| a.priority == b.priority);
    let groups: Vec<&[&SrvTarget]> = groups.take(MAX_PRIORITIES).collect();
    let mut pool = Pool::default();
    for (number, group) in groups.iter().enumerate() {
        let labels = before(number, groups.len());
        // Where no target has a weight, each has the same share.
        let is_unweighted = group.iter().all(|target| target.weight == 0);
        for target in *group {
            let weight = if is_unweighted { 1 } else { target.weight };
            pool.add(target.port, addresses(&target.host), weight, &labels);
        }
    }
    let balancing = (groups.len() > 1).then(|| in_order(groups.len()));
    (pool.endpoints, balancing)
}

/// Labels of the endpoints of a group: one for each group that comes after.
fn before(number: usize, groups: usize) -> Labels {
    (number + 1..groups)
        .map(|later| (format!("{BEFORE}/{later}"), YES))
        .collect()
}

/// Balances by these labels: an endpoint that lacks the last has the last priority, and so on.
fn in_order(groups: usize) -> LocalityBalancing {
    let labels = (1..groups).rev();
    let setting = LocalityLoadBalancerSetting {
        failover_priority: labels
            .map(|later| format!("{BEFORE}/{later}={YES}"))
            .collect(),
        ..LocalityLoadBalancerSetting::default()
    };
    LocalityBalancing::Locality {
        setting: Box::new(setting),
        force: true,
    }
}

/// Endpoints, each address once.
#[derive(Debug, Default)]
struct Pool {
    endpoints: Vec<Endpoint>,
    index: HashMap<SocketAddr, usize>,
}

impl Pool {
    /// Adds the addresses of a target, which share its weight.
    fn add(&mut self, port: u16, addresses: &[IpAddr], weight: u16, labels: &Labels) {
        let count = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
        let weight = (u32::from(weight) * SHARE).div_ceil(count).max(1);
        for ip in addresses {
            let address = SocketAddr::new(*ip, port);
            let known = self.index.get(&address);
            match known.and_then(|index| self.endpoints.get_mut(*index)) {
                // Another target has it. One of a later priority adds nothing to it.
                Some(endpoint) if endpoint.labels == *labels => {
                    endpoint.weight = endpoint.weight.saturating_add(weight);
                }
                Some(_) => {}
                None => {
                    self.index.insert(address, self.endpoints.len());
                    self.endpoints.push(Endpoint {
                        weight,
                        labels: labels.clone(),
                        ..Endpoint::new(EndpointAddress::Ip(address))
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, priority: u16, weight: u16) -> SrvTarget {
        SrvTarget {
            host: host.into(),
            port: 5060,
            priority,
            weight,
        }
    }

    /// The last parts of the addresses of `targets` with their weights. A host has the addresses that
    /// its letters stand for.
    fn weights(targets: &[SrvTarget]) -> Vec<(u8, u32)> {
        let known: HashMap<String, Vec<IpAddr>> = targets
            .iter()
            .map(|target| {
                let addresses = target.host.bytes().map(|last| [192, 0, 2, last].into());
                (target.host.clone(), addresses.collect())
            })
            .collect();
        let (endpoints, _) = endpoints(targets, |host| &known[host]);
        endpoints
            .iter()
            .map(|endpoint| match endpoint.address {
                EndpointAddress::Ip(SocketAddr::V4(address)) => {
                    (address.ip().octets()[3], endpoint.weight)
                }
                _ => panic!("{endpoint:?}"),
            })
            .collect()
    }

    #[test]
    fn a_target_has_its_share_whatever_the_number_of_its_addresses() {
        let targets = [target("a", 1, 6), target("bcd", 1, 3), target("e", 1, 0)];
        let expected = [
            (b'a', 600),
            (b'b', 100),
            (b'c', 100),
            (b'd', 100),
            (b'e', 1),
        ];
        assert_eq!(weights(&targets), expected);
    }

    #[test]
    fn targets_without_weights_share_alike() {
        let targets = [target("a", 1, 0), target("bc", 1, 0), target("d", 2, 5)];
        let expected = [(b'a', 100), (b'b', 50), (b'c', 50), (b'd', 500)];
        assert_eq!(weights(&targets), expected);
    }

    #[test]
    fn an_address_of_two_targets_has_the_shares_of_both_and_its_first_priority() {
        let targets = [target("a", 1, 2), target("ab", 1, 2), target("a", 2, 9)];
        assert_eq!(weights(&targets), [(b'a', 300), (b'b', 100)]);
    }

    #[test]
    fn no_more_than_sixteen_priorities_are_told_apart() {
        let targets: Vec<SrvTarget> = (0..20)
            .map(|priority| target(&char::from(b'a' + priority).to_string(), priority.into(), 1))
            .collect();
        assert_eq!(weights(&targets).len(), MAX_PRIORITIES);
    }
}
