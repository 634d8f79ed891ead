//! Which endpoints are well.
//!
//! - [`outlier`]: by how they answer requests (Envoy's outlier detection)
//! - [`probe`]: by how they answer probes (Envoy's active health checks)
//!
//! Both are machines without IO: they take the time and what happened, and say what follows.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::istio::destination_rule::OutlierDetection;
//! use mesh_discovery::health::outlier::{Monitor, Outcome, OutlierSettings};
//!
//! let settings = OutlierSettings::compile(&OutlierDetection::default());
//! let monitor = Monitor::default();
//! let trips = (0..5).filter_map(|_| monitor.record(&settings, Outcome::Status(503)));
//! assert_eq!(trips.count(), 1, "five errors in a row");
//! ```

pub mod outlier;
pub mod probe;
