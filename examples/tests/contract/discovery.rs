//! The services of mesh-discovery, which stand above one service an endpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
use mesh_discovery::cluster::{Clusters, Upstream};
use mesh_discovery::locality::Client;
use mesh_discovery::service::{Balance, Dispatch, NewService, Target};
use tokio::time::Instant;
use tower_layer::layer_fn;

use crate::checks::{Cases, Readiness};
use crate::contracts;
use crate::requests::{cluster, equipped, forwarded, on, to};

contracts! {
    balance: layer_fn(balanced),
        Cases::passing(forwarded).and("one with a body", equipped).ready(Readiness::InCall);
    dispatch: layer_fn(dispatched),
        Cases::passing(forwarded)
            .and("one with a body", equipped)
            .refused("one to a cluster without endpoints", 503, || on(to("nobody").into()))
            .refused("one to no cluster", 503, || on(to("unknown").into()))
            .ready(Readiness::InCall);
}

pub(crate) fn balanced<S: Clone>(endpoint: S) -> Balance<impl NewService<Service = S> + Clone> {
    let now = Instant::now().into_std();
    let upstream = Upstream::new(Arc::new(one_endpoint()), Client::default(), now, 0);
    Balance::new(Arc::new(upstream), move |_: &Target| endpoint.clone())
}

pub(crate) fn dispatched<S: Clone>(endpoint: S) -> Dispatch<impl NewService<Service = S> + Clone> {
    let clusters = Clusters::new(Client::default());
    let all = [one_endpoint(), Cluster::new(cluster("nobody"))];
    let all: BTreeMap<_, _> = all.map(|each| (each.name.clone(), Arc::new(each))).into();
    clusters.publish(&all, Instant::now().into_std());
    Dispatch::new(clusters, move |_: &Target| endpoint.clone())
}

fn one_endpoint() -> Cluster {
    let address = EndpointAddress::Ip("192.0.2.7:80".parse().unwrap());
    let mut one = Cluster::new(cluster("cart"));
    one.endpoints.push(Endpoint::new(address));
    one
}
