//! What holds of the types, whatever is asked of them.

use std::fmt::Debug;
use std::future::Ready;
use std::sync::Arc;

use super::*;
use crate::layer::mirror::{MirrorLayer, Mirroring};

#[test]
fn layers_services_and_futures_can_be_sent_and_shared() {
    fn check<T: Clone + Send + Sync + Debug>() {}
    fn check_future<T: Send>() {}
    check::<RoutingLayer>();
    check::<Routing<()>>();
    check::<RouterLayer>();
    check::<router::Router<()>>();
    check::<FiltersLayer>();
    check::<filters::Filters<()>>();
    check::<HeadersLayer>();
    check::<CorsLayer>();
    check::<MirrorLayer<()>>();
    check::<Mirroring<(), ()>>();
    check_future::<ResponseFuture<Ready<()>, Bytes>>();
    check::<Arc<RouteTable>>();
}

/// Checks that a layer's service gives the service that is in it.
macro_rules! inner_of {
    ($($layer:expr),* $(,)?) => {$(
        let mut service = $layer.layer(7);
        *service.get_mut() += 1;
        assert_eq!(*service.get_ref(), 8, stringify!($layer));
        assert_eq!(service.into_inner(), 8, stringify!($layer));
    )*};
}

#[test]
fn the_inner_service_of_each_can_be_had() {
    inner_of![
        RoutingLayer::new(table([])),
        RouterLayer::new(table([])),
        FiltersLayer::new(),
        CorsLayer::new(),
        HeadersLayer::new(),
        RedirectLayer::new(),
        DirectResponseLayer::new(),
        RewriteLayer::new(),
        MirrorLayer::new(()),
    ];
}
