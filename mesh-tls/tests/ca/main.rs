//! The authority through the public API: what it issues, how one signer follows another, the
//! service and the clients of it.
#![cfg(feature = "ca")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod above;
mod dates;
mod issuing;
#[cfg(feature = "tokio")]
mod load;
mod rotation;
#[cfg(feature = "grpc")]
mod service;
#[cfg(feature = "tokio")]
mod source;
mod support;
