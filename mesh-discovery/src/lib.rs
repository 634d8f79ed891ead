//! Which address serves a destination now?
//!
//! Pilot's registry and Envoy's cluster manager, as a library: sources of endpoints, load balancing,
//! health, circuit breaking and connection pools, as values and as tower services. They are given
//! the clusters that [`mesh_core::resolve`] says, and do with them what an Envoy under Istio does.
//!
//! This crate does not route: it takes the cluster that a request's route names. It does not retry,
//! time out or authorize, and brings no TLS: that goes into the connector.
//!
//! # Example
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
//! use mesh_core::service::ClusterName;
//! use mesh_discovery::balance::PickRequest;
//! use mesh_discovery::cluster::Clusters;
//! use mesh_discovery::health::outlier::Outcome;
//! use mesh_discovery::locality::Client;
//!
//! let cart = ClusterName::outbound(80, "", "cart.shop.svc.cluster.local");
//! let mut cluster = Cluster::new(cart.clone());
//! cluster.policy.outlier_detection = Some(serde_json::from_str(
//!     r#"{"consecutive5xxErrors": 1, "maxEjectionPercent": 50}"#,
//! )?);
//! for host in [7, 8] {
//!     let address = EndpointAddress::Ip(([10, 0, 0, host], 8080).into());
//!     cluster.endpoints.push(Endpoint::new(address));
//! }
//! let now = Instant::now();
//! let clusters = Clusters::new(Client::default());
//! clusters.publish(&BTreeMap::from([(cart.clone(), Arc::new(cluster))]), now);
//!
//! let upstream = clusters.get(&cart).unwrap();
//! let balancer = upstream.balancer();
//! let failing = balancer.pick(&PickRequest::new(now), || 0).unwrap();
//! balancer.record(&failing, Outcome::Status(503), now);
//! let other = balancer.pick(&PickRequest::new(now), || 0).unwrap();
//! assert_ne!(failing.endpoint().address, other.endpoint().address);
//!
//! let decision = balancer.explain(&PickRequest::new(now), || 0);
//! assert!(decision.to_string().contains("ejected for consecutive5xxErrors, for 30 s more"));
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! # How it composes
//!
//! ```text
//!  routing             mesh-routing     MatchedRoute: which cluster
//!     │ request
//!  retries, timeouts   mesh-policy      PreviousEndpoints, Timeouts
//!     │
//!  service::Dispatch   this crate       SelectedEndpoint: which endpoint
//!     │
//!  connect::Pools      this crate       a connection, made by
//!     │
//!  a connector         mesh-tls, or TcpConnector
//! ```
//!
//! # Modules
//!
//! | what | module |
//! |---|---|
//! | where endpoints come from | [`source`], [`registry`], [`vip`] |
//! | endpoints as values | [`endpoint`], [`endpoint_set`], [`locality`] |
//! | which endpoint gets a request | [`balance`] |
//! | which endpoints are well | [`health`] |
//! | how much is under way | [`circuit_breaker`] |
//! | all clusters of a client | [`cluster`] |
//! | tower services | `service` (feature `balance`) |
//! | connections | `connect` (feature `connect`), [`proxy_protocol`] |
//! | names of the mesh, for applications that ask DNS | `dns_proxy` (feature `dns-proxy`) |
//!
//! # Features
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `balance` | the tower services | no |
//! | `connect` | connection pools over hyper; with `balance` and `proxy-protocol` | no |
//! | `dns` | endpoints from DNS | no |
//! | `dns-proxy` | the DNS proxy | no |
//! | `file` | resources from files that are watched | yes |
//! | `gateway-api` | resources of the Kubernetes Gateway API | no |
//! | `kubernetes` | resources from the API server of Kubernetes | no |
//! | `proxy-protocol` | the PROXY protocol over tokio | no |
//! | `source` | sources that are waited for | with `file` |
//! | `yaml` | parsing of YAML, in mesh-core | with `file` |
//! | `full` | all of them | no |
//!
//! # Minimum supported Rust version
//!
//! 1.89, as the whole workspace; it is always at least six months old when it is raised.

#[cfg(any(feature = "connect", feature = "dns", feature = "kubernetes"))]
mod backoff;
pub mod balance;
pub mod circuit_breaker;
pub mod cluster;
#[cfg(feature = "connect")]
pub mod connect;
#[cfg(feature = "dns-proxy")]
pub mod dns_proxy;
pub mod endpoint;
pub mod endpoint_set;
pub mod health;
pub mod locality;
#[cfg(feature = "balance")]
pub mod service;

pub mod proxy_protocol;
pub mod registry;
pub mod source;
pub mod vip;
