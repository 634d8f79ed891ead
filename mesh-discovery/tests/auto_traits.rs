//! What the types of this crate can be used for, so that a change to it is noticed.

use std::fmt::Debug;

use mesh_discovery::balance::host::{Host, HostState};
use mesh_discovery::balance::host_list::HostList;
use mesh_discovery::balance::maglev::Maglev;
use mesh_discovery::balance::ring_hash::RingHash;
use mesh_discovery::balance::{Balancer, PickRequest, Settings};
use mesh_discovery::circuit_breaker::{Breakers, Permit};
use mesh_discovery::cluster::{Clusters, ClustersView, Upstream};
use mesh_discovery::endpoint_set::EndpointSet;
use mesh_discovery::health::outlier::{Detector, Monitor};
use mesh_discovery::health::probe::Prober;
use mesh_discovery::locality::{Client, LocalityRules};

#[test]
fn values_can_be_shared_between_threads() {
    fn shared<T: Debug + Send + Sync>() {}
    shared::<Balancer>();
    shared::<Breakers>();
    shared::<Client>();
    shared::<Detector<u8>>();
    shared::<HostState>();
    shared::<Monitor>();
    shared::<Permit>();
    shared::<Prober>();
    shared::<Upstream>();
}

#[test]
fn handles_and_snapshots_can_be_cloned() {
    fn cloned<T: Clone + Debug + Send + Sync>() {}
    cloned::<Clusters>();
    cloned::<ClustersView>();
    cloned::<EndpointSet>();
    cloned::<Host>();
    cloned::<HostList>();
    cloned::<LocalityRules>();
    cloned::<Maglev>();
    cloned::<PickRequest<'_>>();
    cloned::<RingHash>();
    cloned::<Settings>();
}
