//! Sidecars for pods, and valid resources only: Istio's admission webhooks as pure functions.
//!
//! [`decision`] says whether a pod gets a sidecar, and why. [`Injector`] lays [`Template`]s over it
//! and gives the pod back; [`review`] and [`validation`] wrap both in the API server's
//! AdmissionReview, as bytes. Nothing here listens, reads files or asks a cluster.
//!
//! What is added is what Istio 1.32 adds: the proxy and the init container that redirects traffic
//! to it (or the check that a CNI plugin has), volumes, labels and annotations; probes are sent
//! through the agent, metrics are merged, and containers of the pod that have the names of
//! injected ones adjust them.
//!
//! A pod with the annotation `inject.istio.io/templates: mesh-sidecar` gets a sidecar without Envoy:
//! everything around it is the same, and the container `istio-proxy` runs the program of
//! [`values::MeshSidecar::image`].
//!
//! # Differences from istiod
//!
//! Istio's templates are built in, and set by [`values::Values`]. A template of one's own is a
//! partial pod, as data: the language of Go's templates is not evaluated. Quantities are written as
//! they were, where istiod writes them in canonical form (`2000m` becomes `2`).
//!
//! # Example
//!
//! ```
//! use mesh_policy::admission::{Injector, Owner, Placement, Pod};
//! use serde_json::json;
//!
//! let pod = Pod::new(json!({
//!     "metadata": {"name": "cart", "namespace": "shop", "labels": {"app": "cart"}},
//!     "spec": {"containers": [{
//!         "name": "cart",
//!         "image": "cart:1",
//!         "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
//!     }]},
//! }));
//! let injector = Injector::new(Default::default(), Default::default());
//! let injected = injector.inject(&pod, &Owner::of(&pod), Placement::default())?;
//!
//! let spec = &injected.value()["spec"];
//! assert_eq!(spec["initContainers"][0]["name"], "istio-init");
//! assert_eq!(spec["initContainers"][1]["name"], "istio-proxy");
//! let probe = &spec["containers"][0]["readinessProbe"]["httpGet"];
//! assert_eq!(probe["path"], "/app-health/cart/readyz");
//! # Ok::<(), mesh_policy::admission::InjectError>(())
//! ```

mod annotation;
mod error;
mod injector;
mod merge;
mod order;
mod overrides;
mod owner;
mod pod;
mod probe;
mod prometheus;
mod proxy_config;
mod status;
mod template;
mod workload;

pub mod decision;
pub mod review;
pub mod validation;
pub mod values;

pub use error::{AnnotationError, InjectError};
pub use injector::{Injector, Placement};
pub use owner::Owner;
pub use pod::Pod;
pub use template::Template;
pub use workload::inject_object;
