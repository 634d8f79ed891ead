use std::sync::Arc;
use std::sync::atomic::Ordering;

use http::Extensions;
use mesh_core::attributes::{ConnectionInfo, PeerIdentity, ResponseFlags, UpstreamConnection};
use mesh_core::service::ClusterName;

use super::labels::{Facts, Protocol, Reporter};
use super::peer::Peer;
use super::series::Series;
use super::{IstioMetrics, PeerWorkload};

/// A TCP connection that is counted: as opened when it is made, as closed when it is dropped.
///
/// # Example
///
/// ```
/// use mesh_core::service::ClusterName;
/// use mesh_policy::telemetry::PeerWorkload;
/// use mesh_policy::telemetry::metrics::{IstioMetrics, Reporter};
///
/// let metrics = IstioMetrics::new(Reporter::Source, PeerWorkload::default());
/// let cluster = ClusterName::outbound(27017, "", "mongo.shop.svc.cluster.local");
/// let connection = metrics.tcp_connection(None, (None, None), Some(&cluster));
/// connection.sent(3);
/// drop(connection);
/// assert!(metrics.encode().contains("istio_tcp_connections_closed_total"));
/// ```
#[derive(Debug)]
pub struct TcpConnection {
    series: Vec<Arc<Series>>,
}

impl IstioMetrics {
    /// Counts a connection, by which `peer` came with `identity`, or which goes to an endpoint of
    /// `cluster`.
    pub fn tcp_connection(
        &self,
        connection: Option<&ConnectionInfo>,
        (identity, peer): (Option<&PeerIdentity>, Option<&PeerWorkload>),
        cluster: Option<&ClusterName>,
    ) -> TcpConnection {
        let custom = self.of_connection(connection, identity);
        // Who an endpoint is, it has proven to us.
        let upstream = identity.map(|PeerIdentity(peer)| UpstreamConnection {
            peer: Some(peer.clone()),
            ..UpstreamConnection::default()
        });
        let peer = Peer::of(peer, identity);
        let has_tls = connection.is_some_and(|connection| connection.tls.is_some());
        let facts = Facts {
            reporter: self.reporter,
            local: &self.local,
            peer: peer.as_ref(),
            cluster,
            host: None,
            upstream: upstream.as_ref(),
            protocol: Protocol::Tcp,
            is_mutual_tls: identity.is_some() && (has_tls || self.reporter == Reporter::Source),
            code: 0,
            grpc_status: None,
            flags: ResponseFlags::default(),
            custom: &custom,
        };
        let mut key = Vec::new();
        let series = self.groups(true).filter_map(|group| {
            group.key.write(&facts, &mut key);
            let labels = || group.plan.values(&facts);
            let rest = || group.plan.rest(self.reporter);
            group.table.find_or_add(&key, (labels, rest), false)
        });
        let series: Vec<_> = series.collect();
        for series in &series {
            series.tcp.opened.fetch_add(1, Ordering::Relaxed);
        }
        TcpConnection { series }
    }

    /// The values of custom labels for a connection.
    fn of_connection(
        &self,
        connection: Option<&ConnectionInfo>,
        identity: Option<&PeerIdentity>,
    ) -> Vec<String> {
        if self.custom.is_empty() {
            return Vec::new();
        }
        let mut extensions = Extensions::new();
        connection.map(|connection| extensions.insert(connection.clone()));
        identity.map(|identity| extensions.insert(identity.clone()));
        let custom = self.custom.iter();
        custom
            .map(|value| value.of_connection(&extensions))
            .collect()
    }
}

impl TcpConnection {
    /// Counts bytes that the server has sent.
    pub fn sent(&self, bytes: u64) {
        for series in &self.series {
            series.tcp.sent.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Counts bytes that the server has received.
    pub fn received(&self, bytes: u64) {
        for series in &self.series {
            series.tcp.received.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for TcpConnection {
    fn drop(&mut self) {
        for series in &self.series {
            series.tcp.closed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
