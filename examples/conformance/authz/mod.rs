//! Istio's authorization policies, by the verdicts of an Envoy that runs Istio's own output, and by
//! Istio's end-to-end security tests.

mod backend;
mod hop;
mod integration;
mod verdict;

pub(crate) use integration::run as integration;
pub(crate) use verdict::{builder, leaves};
