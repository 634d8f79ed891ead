//! Real sockets on loopback: services that echo, our proxy before them, and a client.

pub(crate) mod client;
pub(crate) mod echo;

pub(crate) mod pods;
pub(crate) mod proxy;
pub(crate) mod scene;
