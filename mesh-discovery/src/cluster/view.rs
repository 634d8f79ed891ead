use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use mesh_core::service::ClusterName;

use super::Upstream;

pub(super) type Table = HashMap<ClusterName, Arc<Upstream>>;

/// Clusters that are looked up by their names, and neither added nor removed by who has this. Cheap to
/// clone.
///
/// ```
/// use std::collections::BTreeMap;
/// use std::sync::Arc;
/// use std::time::Instant;
///
/// use mesh_core::model::cluster::Cluster;
/// use mesh_core::service::ClusterName;
/// use mesh_discovery::cluster::{Clusters, ClustersView};
/// use mesh_discovery::locality::Client;
///
/// let clusters = Clusters::new(Client::default());
/// let (live, before) = (ClustersView::from(clusters.clone()), clusters.snapshot());
/// let cart = ClusterName::from("cart");
/// let model = BTreeMap::from([(cart.clone(), Arc::new(Cluster::new(cart.clone())))]);
/// clusters.publish(&model, Instant::now());
/// assert!(live.get(&cart).is_some());
/// assert!(before.get(&cart).is_none());
/// ```
#[derive(Clone)]
pub struct ClustersView {
    table: Arc<ArcSwap<Table>>,
}

impl ClustersView {
    pub(super) fn new(table: Arc<Table>) -> Self {
        Self {
            table: Arc::new(ArcSwap::new(table)),
        }
    }

    /// The cluster of a name.
    pub fn get(&self, name: &ClusterName) -> Option<Arc<Upstream>> {
        self.table.load().get(name).cloned()
    }

    /// All clusters, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (ClusterName, Arc<Upstream>)> + use<> {
        let table = self.table.load();
        let clusters = table
            .iter()
            .map(|(name, one)| (name.clone(), Arc::clone(one)));
        let clusters: BTreeMap<_, _> = clusters.collect();
        clusters.into_iter()
    }

    pub(super) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// Puts another table in place of this one, for all clones.
    pub(super) fn replace(&self, table: Table) {
        self.table.store(Arc::new(table));
    }
}

impl fmt::Debug for ClustersView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = self.table.load();
        f.debug_set().entries(table.keys()).finish()
    }
}
