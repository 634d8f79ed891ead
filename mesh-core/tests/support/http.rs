//! What the tests of HTTP rules share.

use std::sync::Arc;

use mesh_core::config::MeshConfig;
use mesh_core::model::Model;
use mesh_core::model::route::{ClusterSpecifier, Forward, Route, VirtualHost};
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;

use crate::support::config;

pub(crate) const SERVICES: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { clusterIP: 10.0.0.1, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: cart-v2, namespace: shop }
spec: { clusterIP: 10.0.0.2, ports: [{ name: http, port: 80 }] }
---
";

/// A VirtualService `shop/cart` for the host `cart` with these HTTP rules, indented by two.
pub(crate) fn virtual_service(http: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{ name: cart, namespace: shop }}
spec:
  hosts: [cart]
  http:
{http}
---
"
    )
}

pub(crate) fn model_of(config: &MeshConfig) -> Model {
    resolve(config, &Workload::sidecar("shop").with_label("app", "web"))
}

pub(crate) fn host_of<'m>(model: &'m Model, port: &str, domain: &str) -> Option<&'m VirtualHost> {
    let hosts = &model.route_configurations.get(port)?.virtual_hosts;
    hosts
        .iter()
        .find(|host| host.domains.iter().any(|found| found == domain))
}

/// The routes of `cart` at port 80 with these rules, and what was noticed.
pub(crate) fn routes_of(http: &str) -> (Vec<Arc<Route>>, Vec<String>) {
    let model = model_of(&config(&format!("{SERVICES}{}", virtual_service(http))));
    let host = host_of(&model, "80", "cart.shop.svc.cluster.local").expect("cart is served");
    let notices = model.notices.iter();
    // Destinations need not exist.
    let notices = notices.filter(|notice| !notice.message.contains("does not exist"));
    let notices = notices.map(|notice| format!("{}: {}", notice.origin.path(), notice.message));
    (host.routes.clone(), notices.collect())
}

/// The only route with these rules, which make no notice.
pub(crate) fn route_of(http: &str) -> Route {
    let (routes, notices) = routes_of(http);
    assert_eq!(notices, [""; 0], "{http}");
    assert_eq!(routes.len(), 1, "{http}");
    Route::clone(&routes[0])
}

pub(crate) fn clusters(forward: &Forward) -> Vec<(String, u32)> {
    let destinations = forward.destinations.iter();
    let named = destinations.map(|to| match &to.cluster {
        ClusterSpecifier::Name(name) => (name.to_string(), to.weight),
        other => panic!("{other:?}"),
    });
    named.collect()
}
