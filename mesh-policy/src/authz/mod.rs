//! Who may do what: AuthorizationPolicy.
//!
//! A [`PolicySet`] is compiled from the policies that are attached to a workload and says of each
//! request whether it may pass:
//!
//! 1. If a rule of a CUSTOM policy matches, its provider is asked first ([`CustomPolicies`]).
//! 2. A rule of an AUDIT policy that matches marks the request, and decides nothing.
//! 3. If a rule of a DENY policy matches, the request is denied.
//! 4. If there is no ALLOW policy, it is allowed.
//! 5. If a rule of an ALLOW policy matches, it is allowed, else it is denied.
//!
//! Policies of the root namespace and of the workload's own are one set; none comes before the
//! other. Those with the annotation `istio.io/dry-run` are evaluated and recorded, and decide
//! nothing.
//!
//! A value is exact, a prefix `abc*`, a suffix `*abc`, or `*` for whatever is there. What is not
//! there matches no value; so it never satisfies a field such as `hosts`, and always one such as
//! `notHosts`. The principal `*` is there if the peer has a certificate that was verified, with an identity
//! or not, as that of a client of a Gateway with `MUTUAL` may be; no other principal is without an identity.
//!
//! Evaluating takes no lock, and no memory unless a header that a rule looks at has several values.
//! Rules that cannot match, because the request has none of their paths, hosts, principals,
//! namespaces, methods or ports, are not looked at.
//!
//! Sources: [Istio's reference], `pilot/pkg/security/authz`, Envoy's [RBAC filter].
//!
//! Conditions on headers see what Envoy's do: `request.headers[host]` and `[:authority]` are the host
//! that is asked, whichever version of HTTP has brought it, `[:method]` is the method, `[:path]` the path
//! with its query, and `[:scheme]` the scheme that the client names, or else that of its connection.
//!
//! One key is not enforced: `experimental.envoy.filters.…` reads metadata that filters of Envoy
//! leave for each other. An ALLOW rule that has it allows nothing, other rules apply as if it was not
//! there, and [`PolicySet::notices`] tells.
//!
//! [Istio's reference]: https://istio.io/latest/docs/reference/config/security/authorization-policy/
//! [RBAC filter]: https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/rbac_filter
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use http::HeaderMap;
//! use mesh_core::identity::TrustDomains;
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::AuthorizationPolicy;
//! use mesh_policy::authz::{Connection, HttpRequest, PolicySet};
//!
//! let mut policy = Resource::<AuthorizationPolicy>::default();
//! policy.metadata.namespace = "shop".into();
//! policy.metadata.name = "no-admin".into();
//! policy.spec = serde_json::from_str(
//!     r#"{
//!         "action": "DENY",
//!         "rules": [{
//!             "from": [{"source": {"notNamespaces": ["ops"]}}],
//!             "to": [{"operation": {"paths": ["/admin", "/admin/*"]}}]
//!         }]
//!     }"#,
//! )?;
//! let domains = TrustDomains::new("cluster.local".parse()?);
//! let policies = PolicySet::compile(&[Arc::new(policy)], &domains);
//!
//! let headers = HeaderMap::new();
//! let connection = Connection {
//!     peer: Some("spiffe://cluster.local/ns/shop/sa/cart"),
//!     ..Connection::new("10.0.0.7:41000".parse()?, "10.0.0.9:8080".parse()?)
//! };
//! let request = HttpRequest {
//!     connection,
//!     method: "GET",
//!     scheme: "https",
//!     host: Some(b"cart.shop"),
//!     path: "/admin/users",
//!     headers: &headers,
//!     claims: None,
//! };
//! assert!(!policies.evaluate(&request).is_allowed());
//!
//! let decision = policies.explain(&request);
//! let rule = &decision.decided_by().unwrap().subject;
//! assert_eq!(rule, "DENY ns[shop]-policy[no-admin]-rule[0]");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attributes;
mod claim;
mod compile;
mod condition;
mod custom;
mod explain;
mod field;
mod forwarding;
mod index;
pub mod layer;
mod peer;
mod policy_set;
#[cfg(test)]
mod property;
mod record;
mod rule;
mod rule_set;
#[cfg(test)]
mod tests;
mod verdict;
mod view;

pub use attributes::{Connection, HttpRequest};
pub use custom::{Custom, CustomPolicies};
pub use explain::Outcome;
pub use forwarding::Forwarding;
pub use policy_set::PolicySet;
pub use record::{Recorded, Records};
pub use rule::RuleName;
pub use verdict::{DryRun, Reason, Verdict};
#[cfg(feature = "ext-authz")]
pub(crate) use view::View;
