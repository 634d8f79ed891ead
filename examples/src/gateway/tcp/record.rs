//! What is recorded of a connection that carries no HTTP.

use std::sync::Arc;

use mesh_core::attributes::{
    ResponseFlag, SelectedEndpoint, TlsInfo, TransportFailure, UpstreamConnection,
};
use mesh_core::service::ClusterName;
use mesh_policy::ext_authz::ConnectionDenied;
use mesh_policy::telemetry::access_log::{AccessLogLayer, LoggedConnection};
use mesh_policy::telemetry::metrics::TcpConnection;

use super::info;
use crate::gateway::generation::Generation;
use crate::serve::Connection;

/// A connection as it is counted and logged, as far as either is wanted.
#[derive(Debug, Default)]
pub(super) struct Record {
    metrics: Option<TcpConnection>,
    log: Option<LoggedConnection>,
}

impl Record {
    /// Begins to record a connection that goes to `cluster`.
    pub(super) fn begin(
        generation: &Generation,
        connection: &Connection,
        cluster: &ClusterName,
    ) -> Self {
        let identity = connection.tls.as_ref().and_then(|tls| tls.identity.clone());
        let metrics = generation.telemetry().metrics_of(cluster);
        let metrics = metrics.map(|metrics| {
            metrics.tcp_connection(info(connection), identity, Some(cluster.clone()))
        });
        let is_inbound = generation.is_inbound(connection.listener);
        let log = generation.telemetry().access_log(is_inbound);
        let log = log.map(|log| begin_log(log, connection, Some(cluster)));
        Self { metrics, log }
    }

    /// Begins to record a connection that no filter chain takes: Envoy does not count these.
    pub(super) fn unmatched(generation: &Generation, connection: &Connection) -> Self {
        let is_inbound = generation.is_inbound(connection.listener);
        let log = generation.telemetry().listener_log(is_inbound);
        let log = log.map(|log| begin_log(log, connection, None));
        Self { metrics: None, log }
    }

    /// The client has sent something.
    pub(super) fn received(&self, bytes: u64) {
        if let Some(metrics) = &self.metrics {
            metrics.received(bytes);
        }
        if let Some(log) = &self.log {
            log.received(bytes);
        }
    }

    /// The client was sent something.
    pub(super) fn sent(&self, bytes: u64) {
        if let Some(metrics) = &self.metrics {
            metrics.sent(bytes);
        }
        if let Some(log) = &self.log {
            log.sent(bytes);
        }
    }

    /// An endpoint was picked.
    pub(super) fn sent_to(&self, endpoint: &SelectedEndpoint) {
        if let Some(metrics) = &self.metrics {
            metrics.sent_to(endpoint.clone());
        }
        if let Some(log) = &self.log {
            log.sent_to(endpoint.clone());
        }
    }

    /// The endpoint was reached.
    pub(super) fn connected(&self, upstream: &UpstreamConnection) {
        if let Some(metrics) = &self.metrics {
            metrics.connected(upstream);
        }
        if let Some(log) = &self.log {
            log.connected(upstream);
        }
    }

    /// The endpoint was not reached.
    pub(super) fn unreached(&self, why: Option<&TransportFailure>) {
        // A connection is tried once, so that its attempts are used up.
        self.break_off(ResponseFlag::UpstreamConnectionFailure);
        self.break_off(ResponseFlag::UpstreamRetryLimitExceeded);
        if let (Some(log), Some(why)) = (&self.log, why) {
            log.unreached(why);
        }
    }

    pub(super) fn break_off(&self, flag: ResponseFlag) {
        if let Some(metrics) = &self.metrics {
            metrics.break_off(flag);
        }
        if let Some(log) = &self.log {
            log.break_off(flag);
        }
    }

    /// The connection is closed, because of `details`.
    pub(super) fn refuse(&self, flag: ResponseFlag, details: &'static str) {
        self.break_off(flag);
        if let Some(log) = &self.log {
            log.refuse(flag, details);
        }
    }

    /// The connection is closed for what `details` say, which no flag stands for.
    pub(super) fn terminate(&self, details: &'static str) {
        if let Some(log) = &self.log {
            log.terminate(details);
        }
    }

    /// The connection may not pass.
    pub(super) fn denied(&self, denied: &ConnectionDenied) {
        let flag = ResponseFlag::UnauthorizedExternalService;
        match (denied, &self.log) {
            (ConnectionDenied::Policy(denied), Some(log)) => log.terminate(denied.to_string()),
            (ConnectionDenied::Policy(_), None) => {}
            (ConnectionDenied::ProviderFailed, _) => self.refuse(flag, "ext_authz_error"),
            _ => self.refuse(flag, "ext_authz_denied"),
        }
    }
}

/// Begins to log a connection.
fn begin_log(
    log: &AccessLogLayer,
    connection: &Connection,
    cluster: Option<&ClusterName>,
) -> LoggedConnection {
    let mut info = info(connection);
    let identity = connection.tls.as_ref().and_then(|tls| tls.identity.clone());
    // Of TLS that is passed on, the server name is known.
    if let (None, Some(name)) = (&info.tls, &connection.server_name) {
        info.tls = Some(TlsInfo {
            server_name: Some(Arc::clone(name)),
            ..TlsInfo::default()
        });
    }
    let logged = log.connection(info, identity, cluster.cloned());
    logged.since(connection.accepted)
}
