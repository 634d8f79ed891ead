use mesh_core::workload::{Workload, WorkloadKind};
use mesh_policy::telemetry::trace::Direction;

/// What is recorded of either direction of a workload's traffic.
#[derive(Clone, Debug, Default)]
pub(super) struct ByDirection<T> {
    /// Of what a sidecar sends, and of all that a gateway passes on.
    pub(super) sent: T,
    /// Of what a sidecar gets.
    pub(super) received: Option<T>,
}

impl<T> ByDirection<T> {
    /// Compiles what is recorded for both directions of a sidecar, or for the only one that a gateway
    /// has: it is the client of those that it passes requests on to.
    pub(super) fn compile(workload: &Workload, mut compile: impl FnMut(Direction) -> T) -> Self {
        let is_sidecar = workload.kind == WorkloadKind::Sidecar;
        Self {
            sent: compile(Direction::Client),
            received: is_sidecar.then(|| compile(Direction::Server)),
        }
    }

    /// What is recorded of the traffic that comes to the workload, or of that which it sends.
    pub(super) fn of(&self, is_inbound: bool) -> &T {
        let received = self.received.as_ref().filter(|_| is_inbound);
        received.unwrap_or(&self.sent)
    }

    /// Both, or the only one.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        std::iter::once(&mut self.sent).chain(&mut self.received)
    }
}
