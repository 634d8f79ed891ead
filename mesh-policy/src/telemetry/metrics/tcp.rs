use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::Extensions;
use mesh_core::attributes::{
    ConnectionInfo, PeerIdentity, ResponseFlag, ResponseFlags, SelectedEndpoint, UpstreamConnection,
};
use mesh_core::service::ClusterName;

use super::labels::{Facts, Protocol, Reporter};
use super::peer::Peer;
use super::series::Series;
use super::{IstioMetrics, PeerWorkload};

/// A TCP connection that is counted: as opened when it has reached an endpoint, or has ended without,
/// and as closed when it is dropped.
///
/// All its metrics have the same labels, which are decided when it is counted as opened, as in Istio:
/// the `response_flags` of one that reached an endpoint are `-`, whatever becomes of it; those of
/// another say why it did not. One that a policy denied is counted as well.
///
/// Source: `source/extensions/filters/http/istio_stats/istio_stats.cc` of istio/proxy.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use mesh_core::attributes::{ConnectionInfo, ResponseFlag};
/// use mesh_core::service::ClusterName;
/// use mesh_policy::telemetry::PeerWorkload;
/// use mesh_policy::telemetry::metrics::{IstioMetrics, Reporter};
///
/// let metrics = Arc::new(IstioMetrics::new(Reporter::Source, PeerWorkload::default()));
/// let info = ConnectionInfo {
///     peer: "10.0.0.7:41000".parse()?,
///     local: "10.0.0.9:27017".parse()?,
///     tls: None,
/// };
/// let cluster = ClusterName::outbound(27017, "", "mongo.shop.svc.cluster.local");
/// let connection = metrics.tcp_connection(info, None, Some(cluster));
/// connection.break_off(ResponseFlag::NoHealthyUpstream);
/// drop(connection);
/// let text = metrics.encode();
/// assert!(text.contains("istio_tcp_connections_closed_total"));
/// assert!(text.contains(r#"response_flags="UH""#));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Debug)]
pub struct TcpConnection {
    metrics: Arc<IstioMetrics>,
    info: ConnectionInfo,
    identity: Option<PeerIdentity>,
    peer: Option<PeerWorkload>,
    cluster: Option<ClusterName>,
    known: Mutex<Known>,
    /// Once the labels are decided.
    series: OnceLock<Vec<Arc<Series>>>,
}

/// What becomes known until the labels are decided.
#[derive(Debug, Default)]
struct Known {
    endpoint: Option<SelectedEndpoint>,
    upstream: Option<UpstreamConnection>,
    flags: ResponseFlags,
}

impl IstioMetrics {
    /// Counts a connection, by which a client came that has proven to be `identity`, and which goes to
    /// an endpoint of `cluster`.
    pub fn tcp_connection(
        self: &Arc<Self>,
        info: ConnectionInfo,
        identity: Option<PeerIdentity>,
        cluster: Option<ClusterName>,
    ) -> TcpConnection {
        TcpConnection {
            metrics: Arc::clone(self),
            info,
            identity,
            peer: None,
            cluster,
            known: Mutex::default(),
            series: OnceLock::new(),
        }
    }

    /// The values of custom labels for a connection.
    fn of_connection(&self, info: &ConnectionInfo, identity: Option<&PeerIdentity>) -> Vec<String> {
        if self.custom.is_empty() {
            return Vec::new();
        }
        let mut extensions = Extensions::new();
        extensions.insert(info.clone());
        identity.map(|identity| extensions.insert(identity.clone()));
        let custom = self.custom.iter();
        custom
            .map(|value| value.of_connection(&extensions))
            .collect()
    }
}

impl TcpConnection {
    /// Names the workload at the other end, where it is known from an exchange of metadata or by its
    /// address. Default: what the identity of a client says, or the endpoint.
    #[must_use]
    pub fn with_peer(mut self, peer: PeerWorkload) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Notes the endpoint that was picked.
    pub fn sent_to(&self, endpoint: SelectedEndpoint) {
        self.known().endpoint = Some(endpoint);
    }

    /// Counts the connection as opened: the endpoint was reached, by `upstream`.
    pub fn connected(&self, upstream: &UpstreamConnection) {
        self.known().upstream = Some(upstream.clone());
        self.series();
    }

    /// Notes a flag. It is in the labels if these are not decided yet.
    pub fn break_off(&self, flag: ResponseFlag) {
        let flags = &mut self.known().flags;
        *flags = flags.with(flag);
    }

    /// Counts bytes that the server has sent.
    pub fn sent(&self, bytes: u64) {
        for series in self.series() {
            series.tcp.sent.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Counts bytes that the server has received.
    pub fn received(&self, bytes: u64) {
        for series in self.series() {
            series.tcp.received.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series with the labels, which are decided if they are not. Decides once, and counts then.
    fn series(&self) -> &[Arc<Series>] {
        self.series.get_or_init(|| {
            let series = self.find_series(&mem::take(&mut *self.known()));
            for series in &series {
                series.tcp.opened.fetch_add(1, Ordering::Relaxed);
            }
            series
        })
    }

    fn find_series(&self, known: &Known) -> Vec<Arc<Series>> {
        let metrics = &self.metrics;
        let is_client = metrics.reporter == Reporter::Source;
        let custom = metrics.of_connection(&self.info, self.identity.as_ref());
        let peer = self.other_end(known);
        let facts = Facts {
            reporter: metrics.reporter,
            local: &metrics.local,
            peer: peer.as_ref(),
            cluster: self.cluster.as_ref(),
            host: None,
            upstream: known.upstream.as_ref(),
            protocol: Protocol::Tcp,
            is_mutual_tls: !is_client && self.info.tls.is_some() && self.identity.is_some(),
            code: 0,
            grpc_status: None,
            flags: known.flags,
            custom: &custom,
        };
        let mut key = Vec::new();
        let series = metrics.groups(true).map(|group| {
            group.key.write(&facts, &mut key);
            let labels = || group.plan.values(&facts);
            let rest = || group.plan.rest(metrics.reporter);
            group.table.find_or_add(&key, (labels, rest))
        });
        series.collect()
    }

    /// Who came to a server; where a client went.
    fn other_end(&self, known: &Known) -> Option<Peer> {
        if self.metrics.reporter == Reporter::Destination {
            return Peer::of(self.peer.as_ref(), self.identity.as_ref());
        }
        let endpoint = known.endpoint.as_ref();
        let endpoint = endpoint.map(|SelectedEndpoint(endpoint)| Arc::clone(endpoint));
        Peer::of(self.peer.as_ref(), None).or_else(|| endpoint.map(Peer::Endpoint))
    }
}

impl Drop for TcpConnection {
    fn drop(&mut self) {
        for series in self.series() {
            series.tcp.closed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
