//! Policies, beside what they are made of: the bare service, the bare signature, a scan of all
//! rules.
//!
//! Each bench checks what it times.
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use std::alloc::System;

use criterion::{criterion_group, criterion_main};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

mod authorization;
mod stack;
mod tokens;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

criterion_group!(
    benches,
    authorization::benches,
    stack::benches,
    tokens::benches
);
criterion_main!(benches);
