//! What a gateway does to the headers of every request and response, whatever their route.
//!
//! [`HeaderPolicyLayer`] stands between the listener and everything that decides. On the way in it
//!
//! 1. refuses what HTTP, or Envoy, does not allow ([`Refusal`]);
//! 2. settles which host is meant ([`authority`]) and normalizes the path
//!    ([`mesh_core::path`]): afterwards the URI is a path and its query, and the `Host` header
//!    names the host, whatever the version and form of the request; a scheme that is not that of the
//!    connection is kept as a [`TargetScheme`](mesh_core::attributes::TargetScheme);
//! 3. removes the headers that concern the connection only ([`hop_by_hop`]);
//! 4. removes what only trusted peers may say, and tells the upstream who the client is
//!    ([`forwarded`], [`request_id`]).
//!
//! On the way out it removes the headers of the upstream's connection and names the server. The
//! defaults are those of an Istio ingress gateway; each step can be switched in [`HeaderPolicy`].
//!
//! What Envoy's router says about its attempts is in [`router`]: it depends on the route, so the
//! service that forwards applies it.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::rc::Rc;
//!
//! use examples::body::Body;
//! use examples::headers::{HeaderPolicy, HeaderPolicyLayer, Scheme};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "local")]
//! # async fn main() {
//! let policy = Rc::new(HeaderPolicy::default());
//! let service = ServiceBuilder::new()
//!     .layer(HeaderPolicyLayer::new(policy, [203, 0, 113, 9].into(), Scheme::Http))
//!     .service(service_fn(|request: Request<()>| async move {
//!         assert_eq!(request.headers()["x-forwarded-for"], "203.0.113.9");
//!         assert_eq!(request.headers()["host"], "shop.example");
//!         assert_eq!(request.uri().path(), "/cart");
//!         Ok::<_, Infallible>(Response::new(Body::default()))
//!     }));
//!
//! let request = Request::get("http://shop.example/a/../cart").body(()).unwrap();
//! let response = service.oneshot(request).await.unwrap();
//! assert_eq!(response.headers()["server"], "istio-envoy");
//! # }
//! ```

pub mod authority;
pub mod forwarded;
pub mod hop_by_hop;
mod layer;
mod method;
mod policy;
mod refusal;
pub mod request_id;
pub mod router;

pub use self::layer::{HeaderPolicyLayer, HeaderPolicyService, Refuse, ResponseFuture};
pub use self::policy::{HeaderPolicy, Scheme};
pub use self::refusal::Refusal;
