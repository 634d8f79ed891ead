//! Ejection of endpoints that fail, as Envoy's outlier detection does it.
//!
//! Each endpoint has a [`Monitor`], which counts errors in a row, and says when there are too many.
//! The [`Detector`] of the cluster then ejects the endpoint, if not too many are ejected already:
//! for `baseEjectionTime` times the number of its ejections, at most 300 seconds. Endpoints return
//! at the next `interval`; each interval in which a returned endpoint is well takes one off its
//! number of ejections.
//!
//! Istio switches detection by success rate and by failure percentage off, so there is none here.
//!
//! An ejection that would exceed `maxEjectionPercent` does not happen: with 10 %, nobody is ejected
//! among fewer than ten endpoints. So does Envoy since 1.34, where at least one could be ejected
//! before.
//!
//! Source: Envoy's [outlier detection].
//!
//! [outlier detection]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier
//!
//! # Example
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use mesh_core::resource::istio::destination_rule::OutlierDetection;
//! use mesh_discovery::health::outlier::{Cause, Detector, OutlierSettings};
//!
//! let now = Instant::now();
//! let settings = OutlierSettings::compile(&OutlierDetection {
//!     max_ejection_percent: 50,
//!     ..OutlierDetection::default()
//! });
//! let mut detector = Detector::new(settings, now);
//!
//! assert!(detector.handle_trip("10.0.0.1", Cause::Consecutive5xx, 3, now).is_ok());
//! assert!(detector.handle_trip("10.0.0.2", Cause::Consecutive5xx, 3, now).is_err(), "66 % are too many");
//!
//! let returned = detector.handle_time(now + Duration::from_secs(29));
//! assert!(returned.is_empty());
//! let returned = detector.handle_time(now + Duration::from_secs(30));
//! assert_eq!(returned, ["10.0.0.1"]);
//! ```

mod detector;
mod monitor;
mod settings;

pub use self::detector::{Detector, Ejection, NotEjected};
pub use self::monitor::{Cause, Monitor, Outcome};
pub use self::settings::OutlierSettings;
