//! Criterion benches: of each crate, and of what has to count its allocations apart, for counting
//! takes time. Nothing is exported.
