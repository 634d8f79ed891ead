//! What the tests of sidecars share.

use std::net::Ipv4Addr;

use mesh_core::model::Model;
use mesh_core::model::listener::{FilterChain, Listener, NetworkFilter};
use mesh_core::model::route::{ClusterSpecifier, RouteAction, RouteConfiguration};
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;

use crate::support::config;

pub(crate) fn service(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{ name: {name}, namespace: {namespace} }}
spec: {spec}
---
"
    )
}

pub(crate) fn sidecar(spec: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{ name: default, namespace: shop }}
spec: {spec}
---
"
    )
}

pub(crate) fn model(text: &str) -> Model {
    let mut workload = Workload::sidecar("shop").with_label("app", "web");
    workload.addresses = vec![Ipv4Addr::new(192, 0, 2, 9).into()];
    resolve(&config(text), &workload)
}

pub(crate) fn listener<'m>(model: &'m Model, name: &str) -> &'m Listener {
    let found = model.listeners.iter().find(|found| found.name == name);
    let names = model.listeners.iter().map(|found| &found.name);
    found.unwrap_or_else(|| panic!("{name} not in {:?}", names.collect::<Vec<_>>()))
}

pub(crate) fn chain_cluster(chain: &FilterChain) -> &str {
    match &chain.filter {
        NetworkFilter::Http(http) => &http.route_configuration,
        NetworkFilter::SniCluster => "",
        NetworkFilter::Tcp(proxy) => match &proxy.destinations[0].cluster {
            ClusterSpecifier::Name(name) => name.as_str(),
            other => panic!("{other:?}"),
        },
    }
}

/// The cluster of the first route of each virtual host, by its first domain.
pub(crate) fn first_clusters(routes: &RouteConfiguration) -> Vec<(&str, String)> {
    let hosts = routes.virtual_hosts.iter();
    let hosts = hosts.map(|host| {
        let cluster = match &host.routes[0].action {
            RouteAction::Forward(forward) => match &forward.destinations[0].cluster {
                ClusterSpecifier::Name(name) => name.to_string(),
                other => panic!("{other:?}"),
            },
            RouteAction::DirectResponse(response) => response.status.to_string(),
            RouteAction::Redirect(_) => "redirect".to_owned(),
        };
        (&*host.domains[0], cluster)
    });
    hosts.collect()
}
