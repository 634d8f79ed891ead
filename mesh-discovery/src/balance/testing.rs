//! What the tests of the balancers share.

use std::time::Instant;

use mesh_core::model::cluster::{Endpoint, EndpointAddress};

use crate::balance::host::Host;
use crate::balance::host_list::HostList;

#[expect(clippy::disallowed_methods, reason = "any moment will do")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The endpoint `10.0.0.1:port`.
pub(crate) fn endpoint(port: u16) -> Endpoint {
    Endpoint::new(EndpointAddress::Ip(([10, 0, 0, 1], port).into()))
}

/// Hosts of these weights, at the ports from 0 on.
pub(crate) fn hosts(weights: &[u32]) -> HostList {
    let hosts = (0..).zip(weights).map(|(port, weight)| {
        let weight = *weight;
        let endpoint = Endpoint {
            weight,
            ..endpoint(port)
        };
        Host::new(endpoint, now())
    });
    hosts.collect()
}
