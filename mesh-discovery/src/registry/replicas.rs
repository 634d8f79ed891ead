//! The replicas of a workload, while its configuration stays.

use std::sync::Arc;

use mesh_core::config::MeshConfig;
use mesh_core::config::services::Service;
use mesh_core::resolve;
use mesh_core::workload::Workload;

use crate::locality::Locality;
use crate::registry::EndpointUpdate;

/// Where the replicas of a workload are, kept up with the endpoints of the services that it is behind.
///
/// Between two configurations, [`apply`](Self::apply) says where they are after an [`EndpointUpdate`]:
/// what [`Client::replicas`](crate::locality::Client::replicas) of
/// [`Clusters::set_client`](crate::cluster::Clusters::set_client) has to be, for zone-aware balancing.
///
/// ```
/// # #[cfg(feature = "yaml")] {
/// use mesh_core::config::MeshConfig;
/// use mesh_core::parse::{Limits, parse};
/// use mesh_core::workload::Workload;
/// use mesh_discovery::locality::Locality;
/// use mesh_discovery::registry::{EndpointUpdate, Replicas};
///
/// let config = |zone: &str| {
///     let text = format!("
/// apiVersion: networking.istio.io/v1
/// kind: ServiceEntry
/// metadata: {{ name: cart, namespace: shop }}
/// spec:
///   hosts: [cart.example]
///   ports: [{{ number: 80, name: http }}]
///   resolution: STATIC
///   workloadSelector: {{ labels: {{ app: cart }} }}
/// ---
/// apiVersion: networking.istio.io/v1
/// kind: WorkloadEntry
/// metadata: {{ name: cart, namespace: shop }}
/// spec: {{ address: 192.0.2.7, labels: {{ app: cart }}, locality: {zone} }}
/// ");
///     let objects = parse("mesh.yaml", &text, &Limits::default()).objects;
///     MeshConfig::builder().extend(objects).build(1).unwrap()
/// };
/// let workload = Workload::sidecar("shop").with_label("app", "cart");
/// let mut replicas = Replicas::new(&config("eu/a"), &workload);
///
/// let moved = config("eu/b").services().lookup("cart.example", "shop").unwrap().clone();
/// let update = [EndpointUpdate::new(moved)];
/// assert_eq!(replicas.apply(&update), Some(vec![Locality::from("eu/b")]));
/// assert_eq!(replicas.apply(&update), None, "they stay");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Replicas {
    workload: Workload,
    // The services that it is behind.
    services: Vec<Arc<Service>>,
    places: Vec<String>,
}

impl Replicas {
    /// The replicas of `workload`, by the endpoints that `config` knows.
    pub fn new(config: &MeshConfig, workload: &Workload) -> Self {
        let services = config.services().iter();
        let own = services.filter(|service| service.targets(workload).next().is_some());
        let mut replicas = Self {
            workload: workload.clone(),
            services: own.cloned().collect(),
            places: Vec::new(),
        };
        replicas.places = replicas.find();
        replicas
    }

    /// Takes other endpoints of services, and says where the replicas are, if that is elsewhere than
    /// before. Services that the workload is not behind do not count.
    pub fn apply(&mut self, updates: &[EndpointUpdate]) -> Option<Vec<Locality>> {
        for update in updates {
            let service = update.service();
            let mut known = self.services.iter_mut();
            if let Some(known) = known.find(|known| is_same(known, service)) {
                *known = Arc::clone(service);
            }
        }
        let places = self.find();
        if places == self.places {
            return None;
        }
        self.places = places;
        let places = self.places.iter();
        Some(places.map(|place| Locality::from(&**place)).collect())
    }

    fn find(&self) -> Vec<String> {
        let services = self.services.iter().map(|service| &**service);
        resolve::replicas(services, &self.workload)
    }
}

/// Whether two are versions of one service.
pub(crate) fn is_same(a: &Service, b: &Service) -> bool {
    let declared = a.provider == b.provider && a.namespace == b.namespace && a.name == b.name;
    declared && a.hostname == b.hostname
}

#[cfg(test)]
#[cfg(feature = "yaml")]
mod tests {
    use mesh_core::parse::{Limits, parse};
    use mesh_core::resource::Object;

    use super::*;
    use crate::registry::{Change, Debounce, Registry};
    use crate::source::Update;

    const CART: &str = "
apiVersion: v1
kind: Service
metadata: { name: cart, namespace: shop }
spec: { selector: { app: cart }, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Node
metadata: { name: n1, labels: { topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: a } }
";
    const SLICE: &str = "
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: cart-x, namespace: shop, labels: { kubernetes.io/service-name: cart } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: [10.0.0.1], nodeName: n1 }]
";

    fn objects(text: &str) -> Vec<Object> {
        parse("test.yaml", text, &Limits::default()).objects
    }

    #[test]
    fn endpoints_alone_tell_where_the_replicas_are_and_those_of_others_do_not() {
        let now = tokio::time::Instant::now().into_std();
        let mut registry = Registry::new(MeshConfig::builder()).with_debounce(Debounce::NONE);
        let source = registry.add_source("files");
        registry.handle_update(source, Update::All(objects(CART)), now);
        let Some(Change::Config(config)) = registry.poll(now) else {
            panic!();
        };
        let of = |app: &str| {
            let workload = Workload::sidecar("shop").with_label("app", app);
            Replicas::new(&config, &workload)
        };
        let (mut own, mut others) = (of("cart"), of("users"));

        let slices = Update::Changes {
            applied: objects(SLICE),
            removed: Vec::new(),
        };
        registry.handle_update(source, slices, now);
        let Some(Change::Endpoints(updates)) = registry.poll(now) else {
            panic!();
        };
        assert_eq!(own.apply(&updates), Some(vec![Locality::from("eu/a")]));
        assert_eq!(own.apply(&updates), None, "nobody has moved");
        assert_eq!(others.apply(&updates), None);
    }
}
