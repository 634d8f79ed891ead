//! Which address serves a destination now?
//!
//! This crate will hold service registries, load balancing, health and connection limits as tower services. It
//! is empty in this version: `mesh_core::resolve` already lists the endpoints of each cluster, and the
//! `ingress-gateway` example balances over them.
