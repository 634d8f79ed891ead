use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

const TASKS: usize = 1024;

/// Runs copies.
///
/// A seam for runtimes and policies of your own: an executor may run, delay or drop what it is
/// given, but not wait for it.
pub trait Executor<F> {
    /// Runs `copy` beside the caller.
    fn execute(&self, copy: F);
}

/// Runs copies as tasks of the tokio runtime in which a request is handled.
///
/// The tasks are stopped when the last clone is dropped.
///
/// # Panics
///
/// Outside of a runtime, when a request is to be copied.
#[derive(Clone, Debug)]
pub struct TokioTasks(Tasks);

/// Runs copies as tasks of the `tokio::task::LocalSet` in which a request is handled, for clients
/// whose futures are not `Send`.
///
/// The tasks are stopped when the last clone is dropped.
///
/// # Panics
///
/// Outside of a `LocalSet`, when a request is to be copied.
#[derive(Clone, Debug)]
pub struct LocalTasks(Tasks);

impl TokioTasks {
    /// Runs at most `limit` copies at a time, and drops those beyond. The default is 1,024.
    pub fn new(limit: usize) -> Self {
        Self(Tasks::new(limit))
    }

    /// Counts the copies that are dropped in `dropped`, which others may share. By default nobody
    /// is told.
    #[must_use]
    pub fn with_count(self, dropped: Arc<AtomicU64>) -> Self {
        Self(Tasks { dropped, ..self.0 })
    }
}

impl LocalTasks {
    /// Runs at most `limit` copies at a time, and drops those beyond. The default is 1,024.
    pub fn new(limit: usize) -> Self {
        Self(Tasks::new(limit))
    }

    /// Counts the copies that are dropped in `dropped`, which others may share. By default nobody
    /// is told.
    #[must_use]
    pub fn with_count(self, dropped: Arc<AtomicU64>) -> Self {
        Self(Tasks { dropped, ..self.0 })
    }
}

impl Default for TokioTasks {
    fn default() -> Self {
        Self::new(TASKS)
    }
}

impl Default for LocalTasks {
    fn default() -> Self {
        Self::new(TASKS)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for TokioTasks {
    fn execute(&self, copy: F) {
        self.0.add(|tasks| drop(tasks.spawn(copy)));
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for LocalTasks {
    fn execute(&self, copy: F) {
        self.0.add(|tasks| drop(tasks.spawn_local(copy)));
    }
}

#[derive(Clone, Debug)]
struct Tasks {
    running: Arc<Mutex<JoinSet<()>>>,
    limit: usize,
    dropped: Arc<AtomicU64>,
}

impl Tasks {
    fn new(limit: usize) -> Self {
        Self {
            running: Arc::default(),
            limit,
            dropped: Arc::default(),
        }
    }

    fn add(&self, spawn: impl FnOnce(&mut JoinSet<()>)) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while running.try_join_next().is_some() {}
        if running.len() < self.limit {
            spawn(&mut running);
        } else {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::oneshot;
    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn tasks_are_stopped_with_the_last_clone() {
        let (alive, stopped) = oneshot::channel::<()>();
        let tasks = TokioTasks::default();
        let clone = tasks.clone();
        tasks.execute(async move {
            let _alive = alive;
            pending().await
        });
        drop(tasks);
        drop(clone);
        assert!(stopped.await.is_err());
    }

    #[tokio::test]
    async fn tasks_beyond_the_limit_are_dropped_and_counted() {
        let count = Arc::new(AtomicU64::new(0));
        let tasks = TokioTasks::new(1).with_count(Arc::clone(&count));
        let (first, done) = oneshot::channel();
        let (kept, mut open) = oneshot::channel::<()>();
        let (beyond, dropped) = oneshot::channel::<()>();
        tasks.execute(async move {
            let _kept = kept;
            first.send(()).unwrap();
            pending().await
        });
        tasks.execute(async move {
            let _beyond = beyond;
            pending().await
        });
        assert!(dropped.await.is_err());
        assert_eq!(count.load(Ordering::Relaxed), 1);
        done.await.unwrap();
        assert!(
            open.try_recv()
                .is_err_and(|error| error == oneshot::error::TryRecvError::Empty)
        );
    }

    #[tokio::test]
    async fn futures_that_are_not_send_run_in_a_local_set() {
        let run = async {
            let (done, finished) = oneshot::channel();
            let not_send = std::rc::Rc::new(7);
            let tasks = LocalTasks::default();
            tasks.execute(async move { done.send(*not_send).unwrap() });
            finished.await.unwrap()
        };
        assert_eq!(LocalSet::new().run_until(run).await, 7);
    }
}
