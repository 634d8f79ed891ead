//! Nouns, configuration and the resolved model of a service mesh.
//!
//! This crate reads what Istio users write, checks it, and says what it asks of one gateway or
//! service: which listeners, which routes in which order, which clusters, which policies. The
//! answer is a plain value, the [`model`], in the nouns of xDS. Every rule in it knows where it was
//! written.
//!
//! It is *not* a proxy and performs no IO: files, sockets, clocks and random numbers belong to its
//! callers. It matches no requests either: that is `mesh-routing`, one of four sibling crates that
//! share these types and never depend on each other.
//!
//! # Example
//!
//! ```
//! # #[cfg(feature = "yaml")] {
//! use mesh_core::config::MeshConfig;
//! use mesh_core::load::Loaded;
//! use mesh_core::resolve::resolve;
//! use mesh_core::workload::Workload;
//!
//! let yaml = "
//! apiVersion: networking.istio.io/v1
//! kind: ServiceEntry
//! metadata: { name: books, namespace: shop }
//! spec:
//!   hosts: [books.example]
//!   resolution: STATIC
//!   ports: [{ number: 80, name: http, protocol: HTTP }]
//!   endpoints: [{ address: 192.0.2.7 }]
//! ";
//! let mut loaded = Loaded::default();
//! loaded.add("books.yaml", yaml);
//!
//! // Read and valid, or all that is wrong.
//! let (config, _warnings) = loaded.build(MeshConfig::builder(), 1).map_err(|found| found.to_string())?;
//! let model = resolve(&config, &Workload::sidecar("shop"));
//! let routes = &model.route_configurations["80"];
//! assert!(routes.virtual_hosts.iter().any(|host| host.domains.contains(&"books.example".into())));
//! # }
//! # Ok::<(), String>(())
//! ```
//!
//! # How it composes
//!
//! ```text
//! YAML, JSON ── parse ── resource ── validate ── config ── resolve ── model
//!                                       │                               │
//!                                   analyze                    compiled by the siblings
//! ```
//!
//! | step | module |
//! |---|---|
//! | text to resources, with positions and all problems at once | `parse` (feature `yaml`) |
//! | texts read, checked and put together, in one go | `load` (feature `yaml`) |
//! | resources, as the user wrote them | [`resource`] |
//! | what a resource gets wrong | [`validate`] |
//! | what of it is acted on | [`analyze`] |
//! | all resources together, indexed, versioned | [`config`] |
//! | what they ask of one workload | [`resolve`], [`workload`], [`model`] |
//! | vocabulary | [`host`], [`service`], [`labels`], [`percent`], [`duration`], [`identity`], [`matcher`] |
//! | what layers share | [`attributes`], [`decision`], [`origin`], [`reply`], [`watch`] |
//!
//! # Features
//!
//! | feature | default | brings |
//! |---|---|---|
//! | `yaml` | yes | `parse`: text to resources, and diagnostics drawn under an excerpt |
//! | `gateway-api` | no | resources of the Kubernetes Gateway API, validated and resolved |
//! | `full` | no | both |
//!
//! # Minimum Rust version
//!
//! 1.89. It is raised no sooner than six months after the release of the version it is raised to.

pub mod analyze;
pub mod attributes;
mod base64;
pub mod config;
pub mod decision;
pub mod diagnostic;
pub mod dns;
pub mod duration;
pub mod format_string;
pub mod header;
pub mod host;
pub mod identity;
pub mod labels;
#[cfg(feature = "yaml")]
pub mod load;
pub mod matcher;
pub mod model;
pub mod origin;
#[cfg(feature = "yaml")]
pub mod parse;
pub mod path;
pub mod percent;
pub mod reply;
pub mod resolve;
pub mod resource;
pub mod service;
pub mod status;
pub mod validate;
pub mod watch;
pub mod workload;
