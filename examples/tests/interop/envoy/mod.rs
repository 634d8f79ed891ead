//! A real Envoy that is given a resolved model.
//!
//! The encoding is written by hand, from Envoy's documentation and what Istio writes, and shares no
//! code with what it judges.

mod bootstrap;
mod filters;
mod matches;
mod process;
mod route;

use std::time::Duration;

pub(crate) use self::bootstrap::{Filters, bootstrap};
pub(crate) use self::process::Envoy;

/// A duration in protobuf's JSON.
fn seconds(duration: Duration) -> String {
    format!("{}.{:09}s", duration.as_secs(), duration.subsec_nanos())
}
