//! What one workload must do: the resolved configuration.
//!
//! `resolve` makes a [`Model`] from the resources; the other crates compile their
//! part of it. Nouns and order of evaluation are those of xDS, so that the same model drives our
//! layers, an Envoy and a gRPC client, and means the same in each. Every rule knows its
//! [`Origin`].
//!
//! # Example
//!
//! ```
//! use mesh_core::model::route::{Route, RouteConfiguration, RouteMatch, VirtualHost};
//! use mesh_core::service::ClusterName;
//!
//! let cart = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
//! let routes = RouteConfiguration {
//!     name: "http.80".into(),
//!     virtual_hosts: vec![VirtualHost::new(
//!         "shop.example:80",
//!         ["shop.example"],
//!         [Route::forward("cart", RouteMatch::prefix("/cart"), cart)],
//!     )],
//!     ignore_port: true,
//!     ..RouteConfiguration::default()
//! };
//! assert_eq!(routes.virtual_hosts[0].routes[0].name, "cart");
//! ```

pub mod cluster;
pub mod filter;
pub mod listener;
pub mod policy;
pub mod retry;
pub mod route;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::model::cluster::Cluster;
use crate::model::listener::Listener;
use crate::model::policy::Policies;
use crate::model::route::RouteConfiguration;
use crate::origin::Origin;
use crate::service::ClusterName;
use crate::workload::Workload;

/// The resolved configuration of one workload.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    /// Whose configuration it is, with its locality and its node where the registry or labels say.
    pub workload: Workload,
    /// Where the healthy replicas of the workload are, itself included: a locality each. Empty if no
    /// service is in front of it.
    pub replicas: Vec<String>,
    /// Version of the configuration it was resolved from.
    pub version: u64,
    /// What it listens on, in the order in which they were declared.
    pub listeners: Vec<Listener>,
    /// The route configurations that the listeners name.
    pub route_configurations: BTreeMap<String, Arc<RouteConfiguration>>,
    /// The clusters that the routes name.
    pub clusters: BTreeMap<ClusterName, Arc<Cluster>>,
    /// Who may call it, by which proof, and what is recorded.
    pub policies: Policies,
    /// What was written but has no effect on this workload, or not the effect it seems to have.
    pub notices: Vec<Notice>,
}

/// Something in the configuration that has not the effect it seems to have: the loser of a
/// conflict, a reference to nothing.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Notice {
    /// Where it was written.
    pub origin: Origin,
    /// What happens instead, as a sentence without full stop.
    pub message: String,
}

/// The message, and where it was written in brackets.
impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.origin)
    }
}
