//! Tables that are compiled beside the picks.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use crate::balance::balancer::Balancer;
use crate::balance::level::Level;
use crate::balance::snapshot::Snapshot;

/// A level with a table of its endpoints.
struct Renewed {
    /// The level as it was, with the table of others.
    stale: Arc<Level>,
    level: Arc<Level>,
}

impl Balancer {
    /// Whether a table is not that of the endpoints yet, so that [`rebuild`](Self::rebuild) has
    /// something to do.
    pub fn is_stale(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
    }

    /// Compiles the tables that are not those of the endpoints yet. That may take milliseconds, and
    /// neither picks nor changes wait for it. If endpoints change meanwhile, it is stale again. Where
    /// this happens already, it waits for that, and then sees to what has changed since.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Instant;
    ///
    /// use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
    /// use mesh_core::service::ClusterName;
    /// use mesh_discovery::balance::{Balancer, PickRequest};
    /// use tower::discover::Change;
    ///
    /// let endpoint = |port| Endpoint::new(EndpointAddress::Ip(([10, 0, 0, 7], port).into()));
    /// let mut cluster = Cluster::new(ClusterName::from("cart"));
    /// cluster.policy.load_balancer = Some(serde_json::from_str(
    ///     r#"{"consistentHash": {"useSourceIp": true, "maglev": {}}}"#,
    /// )?);
    /// cluster.endpoints.push(endpoint(80));
    /// let now = Instant::now();
    /// let balancer = Balancer::new(Arc::new(cluster), Default::default(), now, 0);
    ///
    /// let new = Arc::new(endpoint(81));
    /// balancer.apply([Change::Insert(new.address.clone(), new)], now);
    /// assert!(balancer.is_stale());
    /// balancer.rebuild(now);
    /// let picks_new = (0..64).any(|hash| {
    ///     let request = PickRequest { hash: Some(hash), ..PickRequest::new(now) };
    ///     let host = balancer.pick(&request, || 0);
    ///     host.is_some_and(|host| host.endpoint().address.port() == Some(81))
    /// });
    /// assert!(picks_new && !balancer.is_stale());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn rebuild(&self, now: Instant) {
        if !self.is_stale() {
            return;
        }
        // One at a time: none puts an older table in the place of a newer one.
        let renewal = self.renewal.lock();
        let _renewal = renewal.unwrap_or_else(PoisonError::into_inner);
        if self.is_stale() {
            let renewed = renewed(&self.snapshot());
            self.put_renewed(renewed, now);
        }
    }

    /// Has picks made by tables that were compiled beside them. One is dropped if its level has got
    /// another table meanwhile, or is gone: it is of older endpoints.
    fn put_renewed(&self, renewed: Vec<Renewed>, now: Instant) {
        let mut state = self.state();
        // What has changed meanwhile is different from what was compiled.
        let current = self.snapshot();
        let settings = Arc::clone(&current.settings);
        let mut levels = current.levels.clone();
        for Renewed { stale, level } in renewed {
            let current = levels.iter_mut().find(|other| other.has_table_of(&stale));
            if let Some(current) = current {
                state.members.touch(level.priority);
                *current = level;
            }
        }
        let base = Snapshot {
            cluster: Arc::clone(&current.cluster),
            settings: Arc::clone(&settings),
            levels,
            loads: Vec::new(),
        };
        self.publish_after(&base, &mut state, settings, now);
    }

    /// Says whether there is something to [rebuild](Self::rebuild) that nobody else has taken on.
    #[cfg(feature = "balance")]
    pub(crate) fn claim_rebuild(&self) -> bool {
        self.is_stale() && !self.is_claimed.swap(true, Ordering::Acquire)
    }

    #[cfg(feature = "balance")]
    pub(crate) fn release_rebuild(&self) {
        self.is_claimed.store(false, Ordering::Release);
    }
}

/// The levels that are stale, with tables of their endpoints. That may take milliseconds.
fn renewed(snapshot: &Snapshot) -> Vec<Renewed> {
    let renew = |stale: &Arc<Level>| {
        Some(Renewed {
            level: Arc::new(stale.renew()?),
            stale: Arc::clone(stale),
        })
    };
    snapshot.levels.iter().filter_map(renew).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mesh_core::model::cluster::Cluster;
    use mesh_core::service::ClusterName;
    use tower::discover::Change;

    use super::*;
    use crate::balance::PickRequest;
    use crate::balance::testing::{endpoint, now};
    use crate::locality::Client;

    #[test]
    fn a_table_that_took_longer_than_a_newer_one_is_dropped() {
        let balancer = balancer(&[1]);
        insert(&balancer, 2);
        let late = renewed(&balancer.snapshot());
        insert(&balancer, 3);
        balancer.rebuild(now());
        balancer.put_renewed(late, now());
        assert!(!balancer.is_stale());
        assert_eq!(picked(&balancer), [1, 2, 3].into());
    }

    #[test]
    fn who_rebuilds_while_another_does_has_the_endpoints_of_then() {
        let balancer = balancer(&[1]);
        insert(&balancer, 2);
        let other = balancer.renewal.lock().unwrap();
        let tables = renewed(&balancer.snapshot());
        insert(&balancer, 3);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                balancer.rebuild(now());
                assert!(!balancer.is_stale());
                assert_eq!(picked(&balancer), [1, 2, 3].into());
            });
            balancer.put_renewed(tables, now());
            drop(other);
        });
    }

    #[test]
    fn what_changed_while_a_table_was_compiled_leaves_it_stale() {
        let balancer = balancer(&[1]);
        insert(&balancer, 2);
        let table = renewed(&balancer.snapshot());
        insert(&balancer, 3);
        balancer.put_renewed(table, now());
        assert!(balancer.is_stale());
        assert_eq!(picked(&balancer), [1, 2].into());
        balancer.rebuild(now());
        assert_eq!(picked(&balancer), [1, 2, 3].into());
    }

    #[test]
    fn the_table_of_a_priority_that_is_gone_is_dropped() {
        let balancer = balancer(&[1]);
        insert(&balancer, 2);
        let table = renewed(&balancer.snapshot());
        balancer.replace_endpoints([], now());
        balancer.put_renewed(table, now());
        assert_eq!(picked(&balancer), BTreeSet::new());
    }

    fn balancer(ports: &[u16]) -> Balancer {
        let mut cluster = Cluster::new(ClusterName::from("cart"));
        let policy = r#"{"consistentHash": {"useSourceIp": true, "maglev": {"tableSize": 251}}}"#;
        cluster.policy.load_balancer = Some(serde_json::from_str(policy).unwrap());
        cluster.endpoints = ports.iter().map(|port| endpoint(*port)).collect();
        Balancer::new(Arc::new(cluster), Client::default(), now(), 0)
    }

    fn insert(balancer: &Balancer, port: u16) {
        let added = Arc::new(endpoint(port));
        balancer.apply([Change::Insert(added.address.clone(), added)], now());
    }

    fn picked(balancer: &Balancer) -> BTreeSet<u16> {
        let pick = |hash| {
            let request = PickRequest {
                hash: Some(hash),
                ..PickRequest::new(now())
            };
            let host = balancer.pick(&request, || 0)?;
            host.endpoint().address.port()
        };
        (0..251).filter_map(pick).collect()
    }
}
