//! What happens to a request beside forwarding, as pure functions.
//!
//! Each module is one filter: a function of the route and the request, without tower, clock or
//! randomness of its own. The layers of `mesh_routing::layer` (feature `tower`) apply them.
//!
//! A request passes them in Envoy's order; what is said of responses holds for those that a filter
//! gives itself, too:
//!
//! 1. *fault injection*, which is not part of this crate: a route carries it as data
//!    ([`MatchedRoute::fault`]), and a layer that enforces it belongs between routing and the
//!    filters;
//! 2. [`cors`] answers preflights. Its response fields are written last;
//! 3. [`redirect`] and [`direct_response`] answer the routes that do not forward;
//! 4. [`headers`] writes request fields, then, on the way back, response fields;
//! 5. [`rewrite`] changes authority and path, so that header values still see the original ones;
//! 6. [`mirror`] copies what is now about to be forwarded.
//!
//! Preflights, redirects and direct responses follow Envoy's `cors` and `router` filters. Only a
//! route that forwards has CORS, as in Envoy.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::time::SystemTime;
//!
//! use http::Request;
//! use mesh_core::attributes::MatchedRoute;
//! use mesh_core::model::route::{PathRewrite, Route, RouteAction, RouteMatch};
//! use mesh_core::service::ClusterName;
//! use mesh_routing::filter;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = ClusterName::outbound(80, "", "cart.example");
//! let mut route = Route::forward("cart", RouteMatch::prefix("/v1/"), cluster);
//! if let RouteAction::Forward(forward) = &mut route.action {
//!     forward.rewrite.path = Some(PathRewrite::Prefix("/".into()));
//! }
//! filter::validate(&route)?;
//!
//! let (request, ()) = Request::get("/v1/cart").body(())?.into_parts();
//! let matched = MatchedRoute::new(Arc::new(route), 0);
//! let steps = filter::explain(&matched, &request, SystemTime::UNIX_EPOCH);
//! assert_eq!(steps.len(), 1);
//! assert_eq!(steps[0].to_string(), "path: rewritten from `/v1/cart` to `/cart`  [route]");
//! # Ok(())
//! # }
//! ```
//!
//! [`MatchedRoute::fault`]: mesh_core::attributes::MatchedRoute::fault

pub mod cors;
pub mod direct_response;
pub mod headers;
pub mod mirror;
pub mod redirect;
pub mod rewrite;

mod explain;
mod validate;

pub use self::explain::explain;
pub(crate) use self::validate::validate_headers;
pub use self::validate::{InvalidFilter, validate};
