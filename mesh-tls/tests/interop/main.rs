//! Handshakes with real programs, in both directions, with right and wrong certificates.
//!
//! Each peer is started by its test and ended with it. `bash .ci/install` of the repository installs
//! those that are missing.
#![cfg(all(feature = "ca", feature = "tokio"))]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../ca/above.rs"]
mod above;
mod curl;
mod envoy;
mod files;
mod hosts;
mod lines;
mod load;
mod mesh;
mod nginx;
mod openssl;
mod ours;
mod process;
mod python;
mod wrk;
