//! The gateway over real sockets: what a client sees of a configuration.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod balancing;
mod https;
mod policies;
mod routing;
mod scene;
