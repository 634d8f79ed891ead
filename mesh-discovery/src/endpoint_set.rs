//! The endpoints of a cluster at one time, and what changes from one time to the next.
//!
//! # Example
//!
//! ```
//! use mesh_core::model::cluster::{Endpoint, EndpointAddress};
//! use mesh_discovery::endpoint_set::EndpointSet;
//! use tower::discover::Change;
//!
//! let endpoint = |port| Endpoint::new(EndpointAddress::Ip(([10, 0, 0, 7], port).into()));
//! let before: EndpointSet = [endpoint(80), endpoint(81)].into_iter().collect();
//! let after: EndpointSet = [endpoint(81), endpoint(82)].into_iter().collect();
//!
//! let changes = after.changes_since(&before);
//! assert_eq!(changes.len(), 2);
//! assert!(matches!(&changes[0], Change::Remove(address) if address.port() == Some(80)));
//! assert!(matches!(&changes[1], Change::Insert(address, _) if address.port() == Some(82)));
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use mesh_core::model::cluster::{Endpoint, EndpointAddress};
use tower::discover::Change;

/// A change to the endpoints of a cluster. To insert an endpoint whose address is known already
/// replaces it.
pub type EndpointChange = Change<EndpointAddress, Arc<Endpoint>>;

/// Endpoints in their order, no two with the same address.
#[derive(Clone, Debug, Default)]
pub struct EndpointSet {
    endpoints: Vec<Arc<Endpoint>>,
    index: HashMap<EndpointAddress, usize>,
}

impl EndpointSet {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.endpoints.is_empty()
    }

    /// The endpoints in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Arc<Endpoint>> {
        self.endpoints.iter()
    }

    /// The endpoint at an address.
    pub fn get(&self, address: &EndpointAddress) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(*self.index.get(address)?)
    }

    /// What makes this set of `before`: endpoints that are gone, then those that are new or
    /// different.
    pub fn changes_since(&self, before: &Self) -> Vec<EndpointChange> {
        let gone = before
            .iter()
            .filter(|endpoint| self.get(&endpoint.address).is_none());
        let gone = gone.map(|endpoint| Change::Remove(endpoint.address.clone()));
        let new = self
            .iter()
            .filter(|endpoint| before.get(&endpoint.address) != Some(endpoint));
        let new = new.map(|endpoint| Change::Insert(endpoint.address.clone(), endpoint.clone()));
        gone.chain(new).collect()
    }
}

impl<E: Into<Arc<Endpoint>>> FromIterator<E> for EndpointSet {
    /// Of endpoints with the same address the first counts, as in Envoy.
    fn from_iter<I: IntoIterator<Item = E>>(endpoints: I) -> Self {
        let mut set = Self::default();
        for endpoint in endpoints {
            let endpoint = endpoint.into();
            if !set.index.contains_key(&endpoint.address) {
                set.index
                    .insert(endpoint.address.clone(), set.endpoints.len());
                set.endpoints.push(endpoint);
            }
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_with_the_same_address_counts() {
        let set: EndpointSet = [endpoint(1, 5), endpoint(1, 6)].into_iter().collect();
        assert_eq!(set.len(), 1);
        assert_eq!(set.iter().next().unwrap().weight, 5);
    }

    #[test]
    fn an_endpoint_that_is_different_is_inserted_again() {
        let before: EndpointSet = [endpoint(1, 1), endpoint(2, 1)].into_iter().collect();
        let after: EndpointSet = [endpoint(1, 2), endpoint(2, 1)].into_iter().collect();
        let changes = after.changes_since(&before);
        assert_eq!(changes.len(), 1);
        assert!(matches!(&changes[0], Change::Insert(_, endpoint) if endpoint.weight == 2));
        assert!(after.changes_since(&after.clone()).is_empty());
    }

    fn endpoint(port: u16, weight: u32) -> Endpoint {
        let address = EndpointAddress::Ip(([10, 0, 0, 1], port).into());
        Endpoint {
            weight,
            ..Endpoint::new(address)
        }
    }
}
