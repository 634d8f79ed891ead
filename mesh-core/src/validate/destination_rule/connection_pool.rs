//! Limits on connections and requests.

use crate::resource::istio::destination_rule::{
    ConnectionKeepalive, ConnectionPoolSettings, H2UpgradePolicy, HttpSettings, TcpKeepalive,
    TcpSettings,
};
use crate::validate::{At, duration};

/// Checks limits on connections and requests (`validateConnectionPool`).
pub fn validate_connection_pool(pool: &ConnectionPoolSettings, at: At<'_>) {
    validate_limits(pool, at);
    let keepalive = pool
        .http
        .as_ref()
        .and_then(|http| http.http2_keep_alive.as_ref());
    if let Some(keepalive) = keepalive {
        validate_http2_keepalive(keepalive, at.field("http").field("http2KeepAlive"));
    }
}

/// Checks limits alone, which is all that Istio does of the policy of a MeshConfig.
pub(in crate::validate) fn validate_limits(pool: &ConnectionPoolSettings, at: At<'_>) {
    let ConnectionPoolSettings { tcp, http } = pool;
    if tcp.is_none() && http.is_none() {
        at.error("a connection pool has limits of `tcp`, of `http` or of both");
    }
    if let Some(http) = http {
        validate_http(http, at.field("http"));
    }
    if let Some(tcp) = tcp {
        validate_tcp(tcp, at.field("tcp"));
    }
}

fn validate_http(http: &HttpSettings, at: At<'_>) {
    for (field, limit) in [
        ("http1MaxPendingRequests", http.http1_max_pending_requests),
        ("http2MaxRequests", http.http2_max_requests),
        ("maxRequestsPerConnection", http.max_requests_per_connection),
        ("maxRetries", http.max_retries),
        ("maxConcurrentStreams", http.max_concurrent_streams),
    ] {
        validate_limit(limit, at.field(field));
    }
    duration::validate_optional(http.idle_timeout, at.field("idleTimeout"));
    if http.use_client_protocol && http.h2_upgrade_policy == H2UpgradePolicy::Upgrade {
        at.field("useClientProtocol")
            .error("the client's protocol is not used when HTTP/1.1 is upgraded");
    }
}

fn validate_http2_keepalive(keepalive: &ConnectionKeepalive, at: At<'_>) {
    let ConnectionKeepalive { interval, timeout } = keepalive;
    for (field, value) in [("interval", interval), ("timeout", timeout)] {
        let at = at.field(field);
        at.require(value.is_some(), "a duration is required");
        duration::validate_optional(*value, at);
    }
}

fn validate_tcp(tcp: &TcpSettings, at: At<'_>) {
    let TcpSettings {
        max_connections,
        connect_timeout,
        tcp_keepalive,
        max_connection_duration,
        idle_timeout,
    } = tcp;
    validate_limit(*max_connections, at.field("maxConnections"));
    duration::validate_optional(*connect_timeout, at.field("connectTimeout"));
    duration::validate_optional(*max_connection_duration, at.field("maxConnectionDuration"));
    // Zero disables the timeout, and so does what is shorter than a millisecond.
    let idle_timeout = idle_timeout.filter(|timeout| timeout.as_millis() != 0);
    duration::validate_optional(idle_timeout, at.field("idleTimeout"));
    if let Some(keepalive) = tcp_keepalive {
        validate_tcp_keepalive(keepalive, at.field("tcpKeepalive"));
    }
}

fn validate_tcp_keepalive(keepalive: &TcpKeepalive, at: At<'_>) {
    duration::validate_optional(keepalive.time, at.field("time"));
    duration::validate_optional(keepalive.interval, at.field("interval"));
}

fn validate_limit(limit: i32, at: At<'_>) {
    if limit < 0 {
        at.error(format_args!("limit `{limit}` is negative"));
    }
}
