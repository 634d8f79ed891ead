//! How connections to the endpoints of a cluster are made (`applyConnectionPool`).

use crate::config::options::MeshOptions;
use crate::duration;
use crate::model::cluster::Cluster;
use crate::resource::istio::destination_rule::{ConnectionPoolSettings, TcpKeepalive, TcpSettings};

/// The connection pool of what no DestinationRule is about: that of the mesh.
pub(in crate::resolve) fn default_pool(
    options: &MeshOptions,
) -> Option<Box<ConnectionPoolSettings>> {
    options.default_connection_pool().cloned().map(Box::new)
}

/// Has connections of `cluster` made as its connection pool says, and where that says nothing, as the mesh does.
pub(in crate::resolve) fn settle(cluster: &mut Cluster, options: &MeshOptions) {
    let pool = cluster.policy.connection_pool.as_deref();
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let timeout = tcp.and_then(|tcp| tcp.connect_timeout);
    let timeout = timeout.and_then(duration::Duration::as_std);
    let keepalive = keepalive(options.tcp_keepalive(), tcp);
    cluster.connect_timeout = timeout.unwrap_or_else(|| options.connect_timeout());
    cluster.tcp_keepalive = keepalive;
}

/// What the pool says, field by field over what the mesh says.
fn keepalive(mesh: Option<&TcpKeepalive>, tcp: Option<&TcpSettings>) -> Option<TcpKeepalive> {
    let own = tcp.and_then(|tcp| tcp.tcp_keepalive.as_ref());
    let (Some(mesh), Some(own)) = (mesh, own) else {
        return mesh.or(own).cloned();
    };
    Some(TcpKeepalive {
        probes: if own.probes > 0 {
            own.probes
        } else {
            mesh.probes
        },
        time: own.time.or(mesh.time),
        interval: own.interval.or(mesh.interval),
    })
}
