//! Connections that carry no HTTP: each goes whole to an endpoint of a cluster.

mod record;
mod session;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use http::uri::Authority;
use mesh_core::attributes::{ConnectionInfo, ResponseFlag, SelectedEndpoint, TransportFailure};
use mesh_core::host::HostPattern;
use mesh_core::model::cluster::{Cluster, Discovery};
use mesh_core::model::listener::{FilterChain, NetworkFilter};
use mesh_core::model::retry::HashPolicy;
use mesh_core::model::route::ClusterSpecifier;
use mesh_core::service::ClusterName;
use mesh_discovery::balance::host::ActiveRequest;
use mesh_discovery::balance::{Pick, PickRequest, hash_key};
use mesh_discovery::circuit_breaker::{Permit, Resource};
use mesh_discovery::health::outlier::Outcome;
use mesh_discovery::service::{Downstream, Target};
use mesh_policy::ext_authz::{ConnectionCheck, ConnectionDenied};
use mesh_routing::l4::tcp_destination;
use mesh_tls::connection;
use tokio::time::{Instant, timeout};

use self::record::Record;
use self::session::Session;
use super::generation::Generation;
use crate::serve::{Connection, Inspected};
use crate::upstream::{Established, UpstreamError};

/// How long a connection may be silent, where its chain does not say: Envoy's hour.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
/// How long a connection may be silent, and how long it may last; `None` is for ever.
#[derive(Clone, Copy, Debug)]
struct Times {
    idle: Option<Duration>,
    whole: Option<Duration>,
}

/// Forwards a connection by the configuration that it came under, until it ends or its time is up.
///
/// A side that has said everything closes its half, and is still told what the other says. A
/// connection that is denied, or has nowhere to go, is closed, and so is one whose upstream is believed
/// no more.
pub(super) async fn forward(
    generation: Arc<Generation>,
    connection: Connection,
    chain: Arc<FilterChain>,
    client: Inspected,
) {
    let Some((cluster, times)) = destination(&chain.filter, &connection) else {
        return;
    };
    let record = Record::begin(&generation, &connection, &cluster);
    let is_done = within(times.whole, async {
        if let Err(denied) = allow(&generation, &connection, &chain.filter).await {
            record.denied(&denied);
            return;
        }
        let reached = reach(&generation, &connection, &cluster, &record).await;
        // Nothing of the configuration is needed once there is an endpoint.
        drop((generation, chain));
        match reached {
            Ok((upstream, _counted)) => {
                let session = Session::begin(&record);
                session.forward(client, upstream, times.idle).await;
            }
            Err(unreached) => unreached.note(&record),
        }
    })
    .await;
    if !is_done {
        record.break_off(ResponseFlag::DurationTimeout);
    }
}

/// Does something until it is done, or `time` is up. Returns whether it is done.
async fn within(time: Option<Duration>, work: impl Future<Output = ()>) -> bool {
    match time {
        // What it holds is closed with it.
        Some(time) => timeout(time, work).await.is_ok(),
        None => {
            work.await;
            true
        }
    }
}

/// Logs a connection that no filter chain takes.
pub(super) fn log_unmatched(
    generation: &Generation,
    connection: &Connection,
    server_name: Option<&Arc<str>>,
) {
    let named = Connection {
        server_name: server_name.cloned(),
        ..connection.clone()
    };
    let record = Record::unmatched(generation, &named);
    record.refuse(ResponseFlag::NoRouteFound, "filter_chain_not_found");
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

/// Lets a connection pass, if policies do. Between networks, where its TLS does not end, they are not
/// asked: the workload asks its own.
///
/// An authorizer that is asked by HTTP knows nothing of connections; where Istio lets these pass
/// without asking it, they are closed here.
async fn allow(
    generation: &Generation,
    connection: &Connection,
    filter: &NetworkFilter,
) -> Result<(), ConnectionDenied> {
    if matches!(filter, NetworkFilter::SniCluster) {
        return Ok(());
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

/// Why there is no connection to an endpoint.
enum Unreached {
    NoCluster,
    NoHealthyUpstream,
    Overflow,
    Failed(UpstreamError),
}

impl Unreached {
    /// Notes what Envoy would say.
    fn note(&self, record: &Record) {
        match self {
            Self::NoCluster => record.break_off(ResponseFlag::NoClusterFound),
            Self::NoHealthyUpstream => record.break_off(ResponseFlag::NoHealthyUpstream),
            Self::Overflow => record.break_off(ResponseFlag::UpstreamOverflow),
            Self::Failed(error) => {
                let why = error.transport_failure();
                record.unreached(why.map(|why| TransportFailure(why.into())).as_ref());
            }
        }
    }
}

/// Connects to an endpoint of a cluster.
async fn reach(
    generation: &Generation,
    connection: &Connection,
    cluster: &ClusterName,
    record: &Record,
) -> Result<(Established, Counted), Unreached> {
    let upstreams = generation.upstreams();
    let upstream = upstreams.get(cluster).ok_or(Unreached::NoCluster)?;
    let cluster = upstream.cluster();
    let named = match cluster.discovery {
        Discovery::DynamicDns => {
            let named = named(&cluster, connection);
            Some(named.ok_or(Unreached::NoHealthyUpstream)?)
        }
        _ => None,
    };
    let permit = upstream.breakers().acquire(Resource::Connections);
    let permit = permit.ok_or(Unreached::Overflow)?;
    let request = PickRequest {
        hash: hash(&cluster, connection),
        authority: named.as_ref(),
        original_destination: Some(connection.local),
        ..PickRequest::new(Instant::now().into_std())
    };
    let picked = upstream.pick(&request, || fastrand::u64(..));
    let Pick { host, cluster } = picked.ok_or(Unreached::NoHealthyUpstream)?;
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
    record.sent_to(&SelectedEndpoint(Arc::clone(&target.endpoint)));
    let connected = upstreams.connect(&target).await;
    let outcome = match connected {
        // As good as an answer without errors, which Envoy takes it for too.
        Ok(_) => Outcome::Status(200),
        Err(_) => Outcome::ConnectFailure,
    };
    let now = Instant::now().into_std();
    upstream.balancer().record(&host, outcome, now);
    let established = connected.map_err(Unreached::Failed)?;
    record.connected(&established.known);
    Ok((established, (permit, active)))
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
    let key = hash_key::evaluate(by_address.as_slice(), &Request::new(()), Some(ends))?;
    Some(key.hash)
}

fn info(connection: &Connection) -> ConnectionInfo {
    let (peer, local) = (connection.peer, connection.local);
    let known = match connection.tls.clone() {
        Some(tls) => connection::Connection::tls(peer, local, tls),
        None => connection::Connection::plaintext(peer, local),
    };
    known.info().clone()
}
