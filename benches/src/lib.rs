//! Criterion benches, a file a crate. Nothing is exported.
