//! What is counted of mirrored requests.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::Response;
use mesh_core::attributes::ResponseFlag;
use mesh_routing::layer::mirror::LocalTasks;

const NAME: &str = "mesh_mirrored_requests_dropped_total";

/// Mirrored requests that no endpoint has seen. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Mirrors {
    beyond_tasks: Arc<AtomicU64>,
    beyond_limits: Arc<AtomicU64>,
}

impl Mirrors {
    /// Runs the mirrored requests of a thread, and counts those that it drops.
    pub(super) fn tasks(&self) -> LocalTasks {
        LocalTasks::default().with_count(Arc::clone(&self.beyond_tasks))
    }

    /// Counts a mirrored request that the `connectionPool` of its cluster had no room for.
    pub(super) fn record<B>(&self, response: &Response<B>) {
        let flag = response.extensions().get::<ResponseFlag>();
        if flag == Some(&ResponseFlag::UpstreamOverflow) {
            self.beyond_limits.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts in the text format of Prometheus.
    pub(super) fn encode(&self) -> String {
        let mut text = format!(
            "# HELP {NAME} Mirrored requests that were not sent, by why\n# TYPE {NAME} counter\n"
        );
        for (reason, count) in [
            ("circuit_breaker", &self.beyond_limits),
            ("in_flight", &self.beyond_tasks),
        ] {
            let count = count.load(Ordering::Relaxed);
            // Writing to a text does not fail.
            let _ = writeln!(text, "{NAME}{{reason=\"{reason}\"}} {count}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use mesh_routing::layer::mirror::Executor;
    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn what_a_thread_has_no_room_for_is_counted_with_that_of_others() {
        let mirrors = Mirrors::default();
        let threads = [mirrors.tasks(), mirrors.tasks()];
        let run = async {
            let tasks = threads.iter().flat_map(|tasks| [tasks; 1025]);
            tasks.for_each(|tasks| tasks.execute(pending()));
        };
        LocalSet::new().run_until(run).await;
        let expected = format!("{NAME}{{reason=\"in_flight\"}} 2\n");
        let text = mirrors.encode();
        assert!(text.ends_with(&expected), "{text}");
    }
}
