//! The contract of tower, kept by every layer of every crate.
//!
//! [`strict::Strict`] is an inner service that forgives nothing: it panics when it is called before
//! it was ready, has as many places as it is given, and knows whether they came back.
//! [`checks::keeps_the_contract`] puts a layer above it, and looks whether
//!
//! - the instance that was ready is the one that is called, and no clone is taken for ready;
//! - the layer waits as long as the inner service, and is woken with it;
//! - a future that is dropped gives everything back, whatever it was waiting for;
//! - errors, of calls and of readiness, pass as they are;
//! - a refusal leaves the inner service alone, and its readiness to the next request;
//! - inner services that cannot fail, and bodies that can neither be cloned nor shared, will do.
//!
//! [`hosts`] puts each layer into real servers and around a real client.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod checks;
mod coverage;
mod discovery;
mod hosts;
mod kit;
mod permits;
mod policy;
mod requests;
mod routing;
mod strict;
mod tls;

/// Writes a test for each layer: `name: layer, cases`.
macro_rules! contracts {
    ($($name:ident: $layer:expr, $cases:expr;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let cases = $cases;
            crate::checks::keeps_the_contract(|| $layer, &cases).await;
            crate::checks::serves_what_cannot_fail(|| $layer, &cases).await;
        }
    )*};
}
use contracts;
