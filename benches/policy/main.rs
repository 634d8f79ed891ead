//! Policies, beside what they are made of: the bare service, the bare signature.
//!
//! Each bench checks what it times.
#![expect(clippy::unwrap_used, reason = "a bench may panic")]

use criterion::{criterion_group, criterion_main};

mod policies;
mod stack;
mod tokens;

criterion_group!(benches, stack::benches, tokens::benches);
criterion_main!(benches);
