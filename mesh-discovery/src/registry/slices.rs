//! Which EndpointSlices list a pod or an address, and which are of a Service.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use mesh_core::resource::Resource;
use mesh_core::resource::kubernetes::endpoint_slice::EndpointSlice;

use crate::registry::affected::{pod_of, service_of, slice_addresses};
use crate::registry::store::Name;

/// The slices of one source, found without looking at all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct SliceIndex {
    by_address: Slices<IpAddr>,
    by_pod: Slices<Name>,
    by_service: Slices<Name>,
}

/// The names of slices, by something that they have.
#[derive(Clone, Debug)]
struct Slices<K>(HashMap<K, Vec<Arc<Name>>>);

impl SliceIndex {
    pub(super) fn insert(&mut self, slice: &Resource<EndpointSlice>, name: &Name) {
        let name = Arc::new(name.clone());
        for address in slice_addresses(slice) {
            self.by_address.insert(address, &name);
        }
        for pod in pods(slice) {
            self.by_pod.insert(pod, &name);
        }
        if let Some((_, service)) = service_of(slice) {
            self.by_service.insert(service, &name);
        }
    }

    pub(super) fn remove(&mut self, slice: &Resource<EndpointSlice>, name: &Name) {
        for address in slice_addresses(slice) {
            self.by_address.remove(&address, name);
        }
        for pod in pods(slice) {
            self.by_pod.remove(&pod, name);
        }
        if let Some((_, service)) = service_of(slice) {
            self.by_service.remove(&service, name);
        }
    }

    /// The slices that list an address.
    pub(super) fn at(&self, address: IpAddr) -> &[Arc<Name>] {
        self.by_address.get(&address)
    }

    /// The slices that list a pod.
    pub(super) fn with_pod(&self, pod: &Name) -> &[Arc<Name>] {
        self.by_pod.get(pod)
    }

    /// The slices of a Service.
    pub(super) fn of_service(&self, service: &Name) -> &[Arc<Name>] {
        self.by_service.get(service)
    }
}

fn pods(slice: &Resource<EndpointSlice>) -> impl Iterator<Item = Name> {
    let targets = slice.spec.endpoints.iter();
    let targets = targets.filter_map(|endpoint| endpoint.target_ref.as_ref());
    targets.filter_map(|target| pod_of(target, &slice.metadata.namespace))
}

impl<K: Eq + Hash> Slices<K> {
    fn get(&self, key: &K) -> &[Arc<Name>] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    fn insert(&mut self, key: K, slice: &Arc<Name>) {
        let slices = self.0.entry(key).or_insert_with(|| Vec::with_capacity(1));
        if !slices.contains(slice) {
            slices.push(Arc::clone(slice));
        }
    }

    fn remove(&mut self, key: &K, slice: &Name) {
        let Some(slices) = self.0.get_mut(key) else {
            return;
        };
        slices.retain(|known| **known != *slice);
        if slices.is_empty() {
            self.0.remove(key);
        }
    }
}

impl<K> Default for Slices<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::resource::kubernetes::endpoint_slice::{Endpoint, TargetReference};

    use super::*;

    #[test]
    fn a_slice_is_found_by_what_it_has_until_it_is_removed() {
        let (slice, name) = (slice(), Name::new("shop", "cart-1"));
        let (address, pod, service) = (
            "10.0.0.7".parse().unwrap(),
            Name::new("shop", "cart-pod"),
            Name::new("shop", "cart"),
        );
        let mut index = SliceIndex::default();
        index.insert(&slice, &name);
        index.insert(&slice, &name);
        let found = |index: &SliceIndex| {
            [
                index.at(address).len(),
                index.with_pod(&pod).len(),
                index.of_service(&service).len(),
            ]
        };
        assert_eq!(found(&index), [1, 1, 1]);
        index.remove(&slice, &name);
        assert_eq!(found(&index), [0, 0, 0]);
        assert!(index.by_address.0.is_empty() && index.by_pod.0.is_empty());
    }

    fn slice() -> Resource<EndpointSlice> {
        let mut slice = Resource::<EndpointSlice>::default();
        slice.metadata.namespace = "shop".into();
        let label = ("kubernetes.io/service-name".into(), "cart".into());
        slice.metadata.labels.extend([label]);
        slice.spec.endpoints.push(Endpoint {
            addresses: vec!["10.0.0.7".into()],
            target_ref: Some(TargetReference {
                kind: Some("Pod".into()),
                name: Some("cart-pod".into()),
                ..TargetReference::default()
            }),
            ..Endpoint::default()
        });
        slice
    }
}
