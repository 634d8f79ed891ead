use std::borrow::Cow;
use std::fmt;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use http::Extensions;
use mesh_core::attributes::{
    ConnectionInfo, PeerIdentity, ResponseFlag, SelectedEndpoint, TransportFailure,
    UpstreamConnection,
};
use mesh_core::format_string::Completion;
use mesh_core::service::ClusterName;
use tokio::time::Instant;

use super::entry::Entry;
use super::layer::{AccessLogLayer, note_upstream};

/// A connection that carries no requests, as far as it has come. Its line is written when it is
/// dropped.
///
/// What is of requests has no value in the line, and what filters ask of them is not true of it, as
/// in Envoy.
///
/// # Example
///
/// ```
/// use mesh_core::attributes::{ConnectionInfo, ResponseFlag};
/// use mesh_core::service::ClusterName;
/// use mesh_policy::telemetry::access_log::{AccessLogLayer, LogFormat, Logger, channel};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (sink, mut lines) = channel(100);
/// let format = LogFormat::text("%PROTOCOL% %RESPONSE_FLAGS% %BYTES_SENT% %UPSTREAM_CLUSTER%")?;
/// let log = AccessLogLayer::new([Logger::new(format, sink)]);
///
/// let info = ConnectionInfo {
///     peer: "10.0.0.7:41000".parse()?,
///     local: "10.0.0.9:27017".parse()?,
///     tls: None,
/// };
/// let cluster = ClusterName::outbound(27017, "", "mongo.shop.svc.cluster.local");
/// let connection = log.connection(info, None, Some(cluster));
/// connection.sent(3);
/// connection.break_off(ResponseFlag::DurationTimeout);
/// drop(connection);
/// let line = b"- DT 3 outbound|27017||mongo.shop.svc.cluster.local\n";
/// assert_eq!(lines.recv().await.as_deref(), Some(&line[..]));
/// # Ok(())
/// # }
/// ```
pub struct LoggedConnection {
    log: AccessLogLayer,
    start: Instant,
    started: SystemTime,
    cluster: Option<ClusterName>,
    received: AtomicU64,
    sent: AtomicU64,
    known: Mutex<Known>,
}

/// What becomes known as the connection goes on.
#[derive(Default)]
struct Known {
    extensions: Extensions,
    completion: Completion,
}

impl AccessLogLayer {
    /// Logs a connection, by which a client came that has proven to be `identity`, and which goes to
    /// an endpoint of `cluster`.
    pub fn connection(
        &self,
        info: ConnectionInfo,
        identity: Option<PeerIdentity>,
        cluster: Option<ClusterName>,
    ) -> LoggedConnection {
        let mut extensions = Extensions::new();
        extensions.insert(info);
        identity.map(|identity| extensions.insert(identity));
        LoggedConnection {
            log: self.clone(),
            start: Instant::now(),
            started: self.clock().now(),
            cluster,
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            known: Mutex::new(Known {
                extensions,
                completion: Completion::default(),
            }),
        }
    }
}

impl LoggedConnection {
    /// Counts the time from `accepted` on. Default: from when this was made.
    #[must_use]
    pub fn since(mut self, accepted: Instant) -> Self {
        let earlier = self.start.saturating_duration_since(accepted);
        self.started = self.started.checked_sub(earlier).unwrap_or(self.started);
        self.start = accepted;
        self
    }

    /// Counts bytes that the client has sent.
    pub fn received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that the client was sent.
    pub fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes the endpoint that was picked.
    pub fn sent_to(&self, endpoint: SelectedEndpoint) {
        self.known().extensions.insert(endpoint);
    }

    /// Notes the connection to the endpoint.
    pub fn connected(&self, upstream: &UpstreamConnection) {
        note_upstream(upstream, &mut self.known().completion);
    }

    /// Notes why the endpoint was not reached.
    pub fn unreached(&self, why: &TransportFailure) {
        let TransportFailure(why) = why;
        self.known().completion.upstream_transport_failure_reason = Some(why.to_string().into());
    }

    /// Notes a flag.
    pub fn break_off(&self, flag: ResponseFlag) {
        let flags = &mut self.known().completion.flags;
        *flags = flags.with(flag);
    }

    /// Notes a flag, and what it comes from (`RESPONSE_CODE_DETAILS`).
    pub fn refuse(&self, flag: ResponseFlag, details: impl Into<Cow<'static, str>>) {
        self.break_off(flag);
        self.known().completion.response_code_details = Some(details.into());
    }

    /// Notes why the connection was ended (`CONNECTION_TERMINATION_DETAILS`).
    pub fn terminate(&self, details: impl Into<Cow<'static, str>>) {
        self.known().completion.connection_termination_details = Some(details.into());
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LoggedConnection {
    fn drop(&mut self) {
        let known = self.known.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Known {
            extensions,
            mut completion,
        } = mem::take(known);
        completion.bytes_received = *self.received.get_mut();
        completion.bytes_sent = *self.sent.get_mut();
        completion.duration = self.start.elapsed();
        self.log.write(&Entry {
            request: None,
            extensions: &extensions,
            response: None,
            cluster: self.cluster.as_ref(),
            completion: &completion,
            started: self.started,
        });
    }
}

impl fmt::Debug for LoggedConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggedConnection")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}
