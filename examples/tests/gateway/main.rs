//! The gateway over real sockets: what a client sees of a configuration.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod addresses;
mod balancing;
mod client_mesh;
mod client_tls;
mod connections_asked;
mod explained;
mod front;
mod http2_settings;
mod https;
mod mirrors;
mod modes;
mod mutual;
mod peers;
mod places;
mod policies;
mod policies_asked;
mod policies_traced;
mod ports;
mod proxy_headers;
mod recorded;
mod redirected;
mod revoked;
mod routing;
mod scene;
mod scripted;
mod sidecar;
mod standing;
mod statistics;
mod tcp;
mod upgrades;
