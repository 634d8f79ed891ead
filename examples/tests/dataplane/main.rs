//! Clients and upstreams that speak through the data plane of the gateway, over real sockets.

#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod drain;
mod frames;
mod http1;
mod http2;
mod scene;
