//! The hosts of a pool, by the way that leads to them.

use std::collections::HashMap;
use std::rc::Rc;

use mesh_core::service::ClusterName;

use super::address::AddressMap;
use super::endpoint::{Address, Endpoint};
use super::host::Host;
use super::transport::Way;

/// The hosts of a pool.
pub(super) struct Hosts<B> {
    /// In plaintext over TCP, from wherever the system likes: found without hashing more than an address.
    plain: AddressMap<Rc<Host<B>>>,
    /// All others. The names of servers may be chosen by clients.
    others: HashMap<Way, Rc<Host<B>>>,
    /// Those of clusters with limits, each for its cluster alone.
    limited: HashMap<(ClusterName, Way), Rc<Host<B>>>,
}

impl<B> Default for Hosts<B> {
    fn default() -> Self {
        Self {
            plain: AddressMap::default(),
            others: HashMap::new(),
            limited: HashMap::new(),
        }
    }
}

impl<B> Hosts<B> {
    /// The host of an endpoint, for requests to `host`, and whether there was none.
    pub(super) fn get_or_insert(
        &mut self,
        endpoint: &Endpoint,
        host: Option<&str>,
        new: impl FnOnce(Way) -> Host<B>,
    ) -> (Rc<Host<B>>, bool) {
        let way = || {
            let way = Way::new(endpoint.address.clone(), endpoint.tls.clone(), host);
            way.with_source(endpoint.source)
                .with_preface(endpoint.preface)
        };
        if let Some(limits) = &endpoint.limits {
            let way = way();
            let key = (limits.cluster().name.clone(), way.clone());
            let known = self.limited.get(&key);
            if let Some(known) = known.filter(|known| known.is_limited_by(limits)) {
                known.follow(limits);
                return (Rc::clone(known), false);
            }
            // Connections by other limits end with their requests.
            let new = Rc::new(new(way).with_limits(limits.clone()));
            self.limited.insert(key, Rc::clone(&new));
            return (new, true);
        }
        let Endpoint {
            address,
            tls,
            source,
            preface,
            ..
        } = endpoint;
        if let (Address::Ip(address), None, None, None) = (address, tls, source, preface) {
            if let Some(known) = self.plain.get(address) {
                return (Rc::clone(known), false);
            }
            let new = Rc::new(new(way()));
            self.plain.insert(*address, Rc::clone(&new));
            return (new, true);
        }
        let way = way();
        if let Some(known) = self.others.get(&way) {
            return (Rc::clone(known), false);
        }
        let new = Rc::new(new(way.clone()));
        self.others.insert(way, Rc::clone(&new));
        (new, true)
    }

    /// Forgets the hosts that are not kept.
    pub(super) fn retain(&mut self, keep: impl Fn(&Rc<Host<B>>) -> bool) {
        self.plain.retain(|_, host| keep(host));
        self.others.retain(|_, host| keep(host));
        self.limited.retain(|_, host| keep(host));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.others.is_empty() && self.limited.is_empty()
    }
}
