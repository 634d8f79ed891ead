//! Which endpoint of a cluster gets a request.
//!
//! A [`Balancer`] picks for one cluster, as Envoy does:
//!
//! 1. Priorities share load by their health ([`priority`]).
//! 2. Within one, places share it by weight or capacity, where the locality settings say so
//!    ([`locality`](crate::locality), [`zone_aware`]).
//! 3. An endpoint is picked by the cluster's [`policy`]: [`round_robin`], [`least_request`],
//!    [`random`], [`ring_hash`], [`maglev`], [`peak_ewma`].
//!
//! Endpoints that fail are left out for a while ([`outlier`](crate::health::outlier)), new ones are
//! warmed up ([`slow_start`]). Each policy is a pure function of the endpoints, the time and random
//! numbers, and has a module of its own. The tower services are in `service` (feature `balance`).
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
//! use mesh_core::service::ClusterName;
//! use mesh_discovery::balance::{Balancer, PickRequest};
//! use mesh_discovery::locality::Client;
//!
//! let mut cluster = Cluster::new(ClusterName::outbound(80, "", "cart.shop.svc.cluster.local"));
//! cluster.policy.load_balancer = Some(serde_json::from_str(r#"{"simple": "ROUND_ROBIN"}"#)?);
//! for host in [7, 8] {
//!     let address = EndpointAddress::Ip(([10, 0, 0, host], 8080).into());
//!     cluster.endpoints.push(Endpoint::new(address));
//! }
//!
//! let now = Instant::now();
//! let balancer = Balancer::new(Arc::new(cluster), Client::default(), now, 0);
//! let mut pick = || balancer.pick(&PickRequest::new(now), || 0).unwrap();
//! let (first, second) = (pick(), pick());
//! assert_ne!(first.endpoint().address, second.endpoint().address);
//! assert_eq!(pick().endpoint().address, first.endpoint().address);
//! # Ok::<(), serde_json::Error>(())
//! ```

pub mod edf;
pub mod hash;
pub mod hash_key;
pub mod host;
pub mod host_list;
pub mod least_request;
pub mod maglev;
pub mod peak_ewma;
pub mod policy;
pub mod priority;
pub mod random;
pub mod ring_hash;
pub mod round_robin;
pub mod slow_start;
pub mod zone_aware;

pub(crate) mod balancer;
mod explain;
mod group;
mod host_ring;
mod host_table;
mod level;
mod members;
mod outcomes;
mod renewal;
mod schedule;
mod settings;
mod snapshot;
mod state;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod turn_queues;

pub use balancer::Balancer;
pub use explain::Choice;
#[cfg(feature = "dns")]
pub(crate) use settings::is_resolved;
#[cfg(feature = "connect")]
pub(crate) use settings::lists_endpoints;
pub use settings::{Settings, Target};
pub use snapshot::{Pick, PickRequest};
