//! Run hyper's tasks on the thread that starts them.

use std::future::Future;

/// Executor that spawns onto the current thread, for futures that are not `Send`.
///
/// Must be used in a [`LocalRuntime`](tokio::runtime::LocalRuntime).
///
/// # Example
///
/// ```
/// use examples::local::LocalExecutor;
/// use hyper::rt::Executor;
/// use tokio::sync::oneshot;
///
/// # #[tokio::main(flavor = "local")]
/// # async fn main() {
/// let (tell, told) = oneshot::channel();
/// LocalExecutor.execute(async { tell.send(7).unwrap() });
/// assert_eq!(told.await, Ok(7));
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        // hyper keeps no handle either: its tasks end with the connection they belong to.
        drop(tokio::task::spawn_local(future));
    }
}
