//! Connections that carry no HTTP: each goes whole to an endpoint of a cluster.

use std::cell::Cell;
use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::uri::Authority;
use http::{HeaderMap, Uri};
use mesh_core::attributes::ConnectionInfo;
use mesh_core::host::HostPattern;
use mesh_core::model::cluster::{Cluster, Discovery};
use mesh_core::model::listener::{FilterChain, NetworkFilter};
use mesh_core::model::retry::HashPolicy;
use mesh_core::model::route::ClusterSpecifier;
use mesh_core::service::ClusterName;
use mesh_discovery::balance::host::ActiveRequest;
use mesh_discovery::balance::{PickRequest, hash_key};
use mesh_discovery::circuit_breaker::{Permit, Resource};
use mesh_discovery::health::outlier::Outcome;
use mesh_discovery::service::{Downstream, Target};
use mesh_policy::ext_authz::ConnectionCheck;
use mesh_policy::telemetry::metrics::TcpConnection;
use mesh_routing::l4::tcp_destination;
use mesh_tls::connection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};
use tokio::time::{Instant, sleep_until, timeout};

use super::generation::Generation;
use crate::serve::{Connection, Inspected};
use crate::upstream::Transport;

/// How long a connection may be silent, where its chain does not say: Envoy's hour.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// How many bytes are under way in each direction.
const BUFFER: usize = 16 * 1024;

/// How long a connection may be silent, and how long it may last; `None` is for ever.
#[derive(Clone, Copy, Debug)]
struct Times {
    idle: Option<Duration>,
    whole: Option<Duration>,
}

/// Forwards a connection by the configuration that it came under, until it ends or its time is up.
///
/// A side that has said everything closes its half, and is still told what the other says. A
/// connection that is denied, or has nowhere to go, is closed.
pub(super) async fn forward(
    generation: Arc<Generation>,
    connection: Connection,
    chain: Arc<FilterChain>,
    client: Inspected,
) {
    let Some((cluster, times)) = destination(&chain.filter, &connection) else {
        return;
    };
    within(times.whole, async move {
        if !is_allowed(&generation, &connection, &chain.filter).await {
            return;
        }
        let session = Session::begin(&generation, &connection, &cluster);
        // Nothing of the configuration is needed once there is an endpoint.
        let reached = reach(&generation, &connection, &cluster).await;
        drop((generation, chain));
        if let Some((upstream, _counted)) = reached {
            session.run(client, upstream, times.idle).await;
        }
    })
    .await;
}

/// Does something until it is done, or `time` is up.
async fn within(time: Option<Duration>, work: impl Future<Output = ()>) {
    match time {
        // What it holds is closed with it, and there is nobody to tell.
        Some(time) => drop(timeout(time, work).await),
        None => work.await,
    }
}

/// The cluster that a connection goes to, and how long it may.
fn destination(filter: &NetworkFilter, connection: &Connection) -> Option<(ClusterName, Times)> {
    match filter {
        NetworkFilter::Http(_) => None,
        NetworkFilter::SniCluster => {
            let name = connection.server_name.as_deref()?;
            let times = Times {
                idle: Some(IDLE_TIMEOUT),
                whole: None,
            };
            Some((ClusterName::from(name), times))
        }
        NetworkFilter::Tcp(proxy) => {
            let drawn = tcp_destination(proxy, fastrand::u64(..))?;
            let ClusterSpecifier::Name(name) = &drawn.cluster else {
                return None;
            };
            let idle = proxy.idle_timeout.unwrap_or(IDLE_TIMEOUT);
            let times = Times {
                idle: Some(idle).filter(|idle| !idle.is_zero()),
                whole: proxy.max_duration,
            };
            Some((name.clone(), times))
        }
    }
}

/// Whether policies let a connection pass. Between networks, where its TLS does not end, they are not
/// asked: the workload asks its own.
///
/// An authorizer that is asked by HTTP knows nothing of connections; where Istio lets these pass
/// without asking it, they are closed here.
async fn is_allowed(
    generation: &Generation,
    connection: &Connection,
    filter: &NetworkFilter,
) -> bool {
    if matches!(filter, NetworkFilter::SniCluster) {
        return true;
    }
    let tls = connection.tls.as_ref();
    let check = ConnectionCheck {
        connection: info(connection),
        peer: tls.and_then(|tls| tls.identity.clone()),
        server_name: connection.server_name.as_deref().map(Arc::from),
    };
    generation.policies().allow(check).await
}

/// What counts a connection to an endpoint.
type Counted = (Permit, ActiveRequest);

/// Connects to an endpoint of a cluster.
async fn reach(
    generation: &Generation,
    connection: &Connection,
    cluster: &ClusterName,
) -> Option<(Transport, Counted)> {
    let upstreams = generation.upstreams();
    let upstream = upstreams.get(cluster)?;
    let cluster = upstream.cluster();
    let named = match cluster.discovery {
        Discovery::DynamicDns => Some(named(&cluster, connection)?),
        _ => None,
    };
    let permit = upstream.breakers().acquire(Resource::Connections)?;
    let request = PickRequest {
        hash: hash(&cluster, connection),
        authority: named.as_ref(),
        original_destination: Some(connection.local),
        ..PickRequest::new(Instant::now().into_std())
    };
    let host = upstream.balancer().pick(&request, || fastrand::u64(..))?;
    let active = host.begin();
    let target = Target {
        endpoint: Arc::clone(host.endpoint()),
        cluster,
        breakers: Arc::clone(upstream.breakers()),
        downstream: Some(Downstream {
            peer: connection.peer,
            local: connection.local,
        }),
    };
    let connected = upstreams.connect(&target).await;
    let outcome = match connected {
        // As good as an answer without errors, which Envoy takes it for too.
        Ok(_) => Outcome::Status(200),
        Err(_) => Outcome::ConnectFailure,
    };
    let now = Instant::now().into_std();
    upstream.balancer().record(&host, outcome, now);
    Some((connected.ok()?, (permit, active)))
}

/// The host that a connection names by TLS, where its cluster is for those (`DYNAMIC_DNS`). None other
/// than those of the service is looked up, whatever routes lead to it.
fn named(cluster: &Cluster, connection: &Connection) -> Option<Authority> {
    let name = connection.server_name.as_deref()?.to_ascii_lowercase();
    let pattern = cluster.name.host().map(HostPattern::new);
    let is_of_service = pattern.is_none_or(|pattern| pattern.covers(&name));
    name.parse().ok().filter(|_| is_of_service)
}

/// The hash of the client's address, if endpoints are picked by it.
fn hash(cluster: &Cluster, connection: &Connection) -> Option<u64> {
    let balancer = cluster.policy.load_balancer.as_deref()?;
    let hash = balancer.consistent_hash.as_ref()?;
    let ends = hash_key::Connection {
        remote: connection.peer,
        local: connection.local,
    };
    let by_address = (hash.use_source_ip == Some(true)).then_some(HashPolicy::SourceIp);
    let (headers, uri) = (HeaderMap::new(), Uri::default());
    let key = hash_key::evaluate(by_address.as_slice(), &headers, &uri, Some(ends))?;
    Some(key.hash)
}

/// A connection while it is forwarded.
struct Session {
    last_active: Cell<Instant>,
    metrics: Option<TcpConnection>,
}

impl Session {
    fn begin(generation: &Generation, connection: &Connection, cluster: &ClusterName) -> Self {
        let metrics = generation.telemetry().metrics_of(cluster);
        let metrics = metrics.map(|metrics| {
            metrics.tcp_connection(Some(&info(connection)), (None, None), Some(cluster))
        });
        Self {
            last_active: Cell::new(Instant::now()),
            metrics,
        }
    }

    /// Copies both ways until both sides are done, one of them fails, or both have been silent for
    /// too long.
    async fn run<C, U>(&self, client: C, upstream: U, idle_timeout: Option<Duration>)
    where
        C: AsyncRead + AsyncWrite + Unpin,
        U: AsyncRead + AsyncWrite + Unpin,
    {
        let mut client = Metered {
            io: client,
            count: |bytes| self.passed(bytes, TcpConnection::received),
        };
        let mut upstream = Metered {
            io: upstream,
            count: |bytes| self.passed(bytes, TcpConnection::sent),
        };
        tokio::select! {
            // Whatever went wrong, there is nobody to tell but the two, who are closed.
            _ = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER) => {}
            () = self.silent_for(idle_timeout) => {}
        }
    }

    fn passed(&self, bytes: usize, count: fn(&TcpConnection, u64)) {
        self.last_active.set(Instant::now());
        if let Some(metrics) = &self.metrics {
            count(metrics, bytes as u64);
        }
    }

    async fn silent_for(&self, timeout: Option<Duration>) {
        let Some(timeout) = timeout else {
            return pending().await;
        };
        loop {
            let since = self.last_active.get();
            let Some(due) = since.checked_add(timeout) else {
                return pending().await;
            };
            sleep_until(due).await;
            if self.last_active.get() == since {
                return;
            }
        }
    }
}

fn info(connection: &Connection) -> ConnectionInfo {
    let (peer, local) = (connection.peer, connection.local);
    let known = match connection.tls.clone() {
        Some(tls) => connection::Connection::tls(peer, local, tls),
        None => connection::Connection::plaintext(peer, local),
    };
    known.info().clone()
}

/// Counts the bytes that are read.
struct Metered<IO, F> {
    io: IO,
    count: F,
}

impl<IO: AsyncRead + Unpin, F: Fn(usize) + Unpin> AsyncRead for Metered<IO, F> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
        (this.count)(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin, F: Unpin> AsyncWrite for Metered<IO, F> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_its_time_is_up_however_busy_it_is() {
        let ended = lasts(Some(10 * SECOND), Some(5 * SECOND), Some(SECOND)).await;
        assert_eq!(ended, 10 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_it_was_silent_for_too_long() {
        let ended = lasts(Some(10 * SECOND), Some(5 * SECOND), None).await;
        assert_eq!(ended, 5 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_limits_lasts() {
        let day = 24 * 60 * 60 * SECOND;
        let lasting = lasts(None, None, None);
        assert!(timeout(day, lasting).await.is_err());
    }

    /// How long a connection lasts whose client speaks each `interval`, and whose server answers.
    async fn lasts(
        whole: Option<Duration>,
        idle: Option<Duration>,
        interval: Option<Duration>,
    ) -> Duration {
        let session = Session {
            last_active: Cell::new(Instant::now()),
            metrics: None,
        };
        let (client, ours) = duplex(64);
        let (theirs, server) = duplex(64);
        let start = Instant::now();
        tokio::select! {
            () = within(whole, session.run(ours, theirs, idle)) => {}
            () = speak(client, interval) => {}
            () = answer(server) => {}
        }
        start.elapsed()
    }

    async fn speak(mut client: DuplexStream, interval: Option<Duration>) {
        while let Some(interval) = interval {
            tokio::time::sleep(interval).await;
            client.write_all(b"a").await.unwrap();
            client.read_exact(&mut [0]).await.unwrap();
        }
        pending().await
    }

    async fn answer(mut server: DuplexStream) {
        loop {
            let byte = server.read_u8().await.unwrap();
            server.write_u8(byte).await.unwrap();
        }
    }
}
