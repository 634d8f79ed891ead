//! Route requests by Istio's rules, as tower layers.
//!
//! Routes come from VirtualServices and Gateway API routes, resolved to the
//! [model](mesh_core::model::route) by mesh-core, or are written in Rust. They are compiled to a
//! [`RouteTable`](table::RouteTable), which answers what Envoy would answer for the same configuration, at a cost that
//! grows with neither the number of hosts nor that of routes that differ in path. Routes that are told apart by
//! other conditions alone, or by expressions, are tried one by one, in order.
//!
//! This crate finds the rule and the destination that a request is for. It does not find an
//! address for the destination, balance, retry or time out, nor does it decide who may call: those
//! read the matched route, and live in mesh-discovery and mesh-policy.
//!
//! # Example
//!
//! ```
//! use http::Request;
//! use mesh_core::model::route::{Route, RouteMatch};
//! use mesh_core::service::ClusterName;
//! use mesh_routing::request::RequestHead;
//! use mesh_routing::table::{Lookup, RouteTable};
//!
//! let v2 = ClusterName::outbound(9080, "v2", "reviews.default.svc.cluster.local");
//! let table = RouteTable::builder()
//!     .exact("health", "*", "/healthz")
//!     .route("reviews.example", Route::forward("v2", RouteMatch::prefix("/reviews/"), v2.clone()))
//!     .compile()?;
//!
//! let request = Request::get("http://reviews.example:8080/reviews/7").body(()).unwrap();
//! let head = RequestHead::from(&request);
//! let Lookup::Matched(route) = table.lookup(&head, 0) else { panic!("no route") };
//! assert_eq!(route.name(), "v2");
//! assert_eq!(route.cluster(), Some(&v2));
//!
//! let decision = table.explain(&head, 0);
//! assert_eq!(decision.decided_by().unwrap().subject, "route `v2`");
//! # Ok::<(), mesh_routing::error::CompileErrors>(())
//! ```
//!
//! # From YAML
//!
//! `mesh_core::load` (feature `yaml`) reads the rules that you have for Istio, and
//! [`resolve`](mesh_core::resolve::resolve) makes the routes of one workload of them. On a gateway all servers of HTTP at
//! one port share the route configuration `http.PORT`, and each server of HTTPS has one of its own,
//! `https.PORT.PORTNAME.GATEWAY.NAMESPACE`; on a sidecar, `PORT` has what it sends. Each listener of the model names
//! its own.
//!
//! ```
//! use mesh_core::config::MeshConfig;
//! use mesh_core::load::Loaded;
//! use mesh_core::resolve::resolve;
//! use mesh_core::workload::Workload;
//! use mesh_routing::table::RouteTable;
//!
//! let mut loaded = Loaded::default();
//! loaded.add("shop.yaml", "
//! apiVersion: networking.istio.io/v1
//! kind: VirtualService
//! metadata: { name: cart, namespace: shop }
//! spec:
//!   hosts: [cart.example]
//!   http: [{ route: [{ destination: { host: cart-v2.example } }] }]
//! ---
//! apiVersion: networking.istio.io/v1
//! kind: ServiceEntry
//! metadata: { name: cart, namespace: shop }
//! spec: { hosts: [cart.example], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: DNS }
//! ");
//! let (config, _warnings) = loaded.build(MeshConfig::builder(), 1).unwrap();
//! let model = resolve(&config, &Workload::sidecar("shop"));
//! let table = RouteTable::compile(&model.route_configurations["80"])?;
//! assert_eq!(table.virtual_host("cart.example"), Some("cart.example:80"));
//! # Ok::<(), mesh_routing::error::CompileErrors>(())
//! ```
//!
//! # Around an application
//!
//! The layers answer redirects, direct responses and what no route takes in the place of the service, so its response
//! body has to be made of nothing and of bytes: `ResBody: Default + From<Bytes>`, as `Full<Bytes>` and the `Body` of axum
//! are. Around an axum `Router` they stand as a whole, by `ServiceBuilder::new().layer(…).service(router)`: what
//! `Router::layer` adds runs after axum has matched the path that a route may still rewrite. The example `axum-routes`
//! does so.
//!
//! # Where it stands
//!
//! ```text
//!  acceptor            mesh-tls        ConnectionInfo, PeerIdentity
//!     │ request
//!  authentication      mesh-policy     RequestPrincipal
//!     │
//!  routing             mesh-routing    MatchedRoute
//!     │
//!  retries, timeouts   mesh-policy
//!     │
//!  balancing           mesh-discovery  an endpoint
//! ```
//!
//! The crates meet in the extensions of [`mesh_core::attributes`] only.
//!
//! # Modules
//!
//! - [`table`]: the routes of a listener, compiled, and lookup in them
//! - [`request`]: what routing looks at in a request
//! - [`destination`]: the choice between weighted destinations
//! - [`filter`]: what happens to a request beside forwarding, as pure functions
//! - `layer`: tower layers that route and filter (feature `tower`)
//! - [`l4`]: filter chains, by address, server name and protocol
//! - [`error`]: why a configuration cannot be compiled
//!
//! # Features
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `tower` | the layers | yes |
//! | `yaml` | parsing of Istio's YAML, in mesh-core | no |
//! | `full` | all of them | no |
//!
//! Without features the crate is matching alone: no runtime, no parser.
//!
//! # Minimum supported Rust version
//!
//! 1.89, as the whole workspace; it is always at least six months old when it is raised.

mod explain;
mod host_index;
mod matches;
mod path_index;
mod radix;

pub mod destination;
pub mod error;
pub mod filter;
pub mod l4;
#[cfg(feature = "tower")]
pub mod layer;
pub mod request;
pub mod table;
