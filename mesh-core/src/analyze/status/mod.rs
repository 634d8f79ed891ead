//! The status that a controller would write of the resources of the Gateway API.
//!
//! [`statuses`] says of every class, Gateway, ListenerSet, route and BackendTLSPolicy whether it is
//! accepted, whether what it refers to is there, and how many routes a listener has: by the same
//! verdicts by which [`resolve`](crate::resolve) serves them. The values have the form that
//! Kubernetes has under `status`; each [`Condition`] knows besides what was written that makes it
//! so. It is pure: nobody has to run a cluster, and nothing is written anywhere.
//!
//! # What istiod does otherwise
//!
//! Types, reasons and words are istiod's (`pilot/pkg/config/kube/gateway`), with these differences:
//!
//! - A backend whose Service has not the port is `BackendNotFound`, as nothing is routed there.
//! - A value of a route that is not supported makes it `PartiallyInvalid`. istiod ignores it.
//! - Routes of TCP and TLS connections that are for clients of a Service are not `Accepted`, as
//!   sidecars do not obey them.
//! - UDPRoutes have a status, which says that no listener takes them.
//! - A BackendTLSPolicy of an unknown authority fails its connections; istiod takes the system's.
//! - Waypoints and gateways between networks of ambient meshes are left to others.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "yaml")] {
//! use mesh_core::analyze::status::{ConditionType, Reason, StatusOptions, statuses};
//! use mesh_core::config::MeshConfig;
//! use mesh_core::parse::{Limits, parse};
//!
//! let yaml = "
//! apiVersion: gateway.networking.k8s.io/v1
//! kind: Gateway
//! metadata: { name: edge, namespace: infra }
//! spec:
//!   gatewayClassName: istio
//!   listeners: [{ name: http, port: 80, protocol: HTTP }]
//! ---
//! apiVersion: gateway.networking.k8s.io/v1
//! kind: HTTPRoute
//! metadata: { name: cart, namespace: shop }
//! spec:
//!   parentRefs: [{ name: edge, namespace: infra }]
//! ";
//! let parsed = parse("edge.yaml", yaml, &Limits::default());
//! let config = MeshConfig::builder().extend(parsed.objects).build(1).unwrap();
//! let options = StatusOptions::default().served_at("infra", "edge", ["192.0.2.1"]);
//! let statuses = statuses(&config, &options);
//!
//! assert_eq!(statuses.gateways[0].status.addresses[0].value, "192.0.2.1");
//! assert_eq!(statuses.gateways[0].status.listeners[0].attached_routes, 0);
//! // The listener takes routes of its own namespace alone.
//! let parent = &statuses.http_routes[0].status.parents.own[0];
//! let accepted = &parent.conditions[0];
//! assert_eq!(accepted.r#type, ConditionType::Accepted);
//! assert_eq!((accepted.status, accepted.reason), (false, Reason::NotAllowedByListeners));
//! let origin = accepted.origin.to_string();
//! assert_eq!(origin, "HTTPRoute shop/cart spec.parentRefs[0] (edge.yaml:13:16)");
//! # }
//! ```

mod address;
mod backend_tls_policy;
mod condition;
mod entries;
mod existing;
mod gateway;
mod gateway_class;
mod listener;
mod listener_set;
mod mesh;
mod options;
mod route;
mod scene;
mod statuses;
#[cfg(all(test, feature = "yaml"))]
mod tests;

pub use self::address::GatewayStatusAddress;
pub use self::backend_tls_policy::{PolicyAncestorStatus, PolicyStatus};
pub use self::condition::{Condition, ConditionType};
pub use self::entries::Entries;
pub use self::gateway::GatewayStatus;
pub use self::gateway_class::GatewayClassStatus;
pub use self::listener::ListenerStatus;
pub use self::listener_set::ListenerSetStatus;
pub use self::options::StatusOptions;
pub use self::route::{RouteParentStatus, RouteStatus};
pub use self::statuses::{ResourceStatus, Statuses, statuses};
pub use crate::config::gateway_api::reason::Reason;
