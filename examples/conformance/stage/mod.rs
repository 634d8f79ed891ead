//! Real sockets on loopback: services that echo, our proxies before them, and clients.

pub(crate) mod application;
pub(crate) mod certificates;
pub(crate) mod client;
pub(crate) mod dns;
pub(crate) mod echo;
mod identities;
pub(crate) mod lines;
mod network;
pub(crate) mod pods;
mod proxy;
pub(crate) mod scene;
mod sidecar;
pub(crate) mod tls;
