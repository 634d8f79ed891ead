use std::time::Duration;

use http::Version;
use mesh_core::duration;
use mesh_core::model::cluster::Cluster;

/// Envoy's default for connections that have no request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60 * 60);

/// How connections to the endpoints of a cluster are used. What is limited for the whole cluster is
/// in [`Limits`](crate::circuit_breaker::Limits).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PoolSettings {
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a connection may have no request. `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a connection takes requests. `None` is for ever.
    pub max_connection_duration: Option<Duration>,
    /// Most requests on one connection.
    pub max_requests: u32,
    /// Most requests at a time on an HTTP/2 connection.
    pub max_streams: u32,
    /// After how long without anything read a ping is sent on an HTTP/2 connection, idle or not, and how
    /// long its answer may take.
    pub keepalive: Option<(Duration, Duration)>,
    /// What is spoken.
    pub version: HttpVersion,
}

/// Which version of HTTP is spoken to an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HttpVersion {
    /// That of the request.
    Client,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, which the endpoint is known to speak.
    Http2,
}

impl PoolSettings {
    /// The settings of `cluster`.
    pub fn compile(cluster: &Cluster) -> Self {
        let pool = cluster.policy.connection_pool.as_deref();
        let tcp = pool.and_then(|pool| pool.tcp.as_ref());
        let http = pool.and_then(|pool| pool.http.as_ref());
        let idle = http
            .and_then(|http| http.idle_timeout)
            .or_else(|| tcp.and_then(|tcp| tcp.idle_timeout));
        let keepalive = http.and_then(|http| http.http2_keep_alive.as_ref());
        let limit = |written: Option<i32>, default| match written.map(u32::try_from) {
            None | Some(Ok(0) | Err(_)) => default,
            Some(Ok(limit)) => limit,
        };
        Self {
            connect_timeout: cluster.connect_timeout,
            idle_timeout: match idle.and_then(|idle| idle.as_std()) {
                Some(idle) => Some(idle).filter(|idle| !idle.is_zero()),
                None => Some(IDLE_TIMEOUT),
            },
            max_connection_duration: tcp.and_then(|tcp| positive(tcp.max_connection_duration)),
            max_requests: limit(http.map(|http| http.max_requests_per_connection), u32::MAX),
            max_streams: limit(
                http.map(|http| http.max_concurrent_streams),
                i32::MAX as u32,
            ),
            keepalive: keepalive.and_then(|keepalive| {
                positive(keepalive.interval).zip(positive(keepalive.timeout))
            }),
            version: HttpVersion::of(cluster),
        }
    }
}

impl HttpVersion {
    /// What is spoken to the endpoints of `cluster`.
    pub fn of(cluster: &Cluster) -> Self {
        let pool = cluster.policy.connection_pool.as_deref();
        let http = pool.and_then(|pool| pool.http.as_ref());
        if http.is_some_and(|http| http.use_client_protocol) {
            Self::Client
        } else if cluster.protocol.is_http2() {
            Self::Http2
        } else {
            Self::Http1
        }
    }

    /// Whether a request of version `client` goes over HTTP/2.
    pub(super) fn is_http2(self, client: Version) -> bool {
        match self {
            Self::Client => client == Version::HTTP_2,
            Self::Http1 => false,
            Self::Http2 => true,
        }
    }
}

fn positive(written: Option<duration::Duration>) -> Option<Duration> {
    let written = written.and_then(|time| time.as_std());
    written.filter(|time| !time.is_zero())
}

#[cfg(test)]
mod tests {
    use mesh_core::service::{ClusterName, Protocol};

    use super::*;

    #[test]
    fn defaults_are_istios() {
        let cluster = Cluster::new(ClusterName::from("cart"));
        let expected = PoolSettings {
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Some(Duration::from_secs(3600)),
            max_connection_duration: None,
            max_requests: u32::MAX,
            max_streams: 2_147_483_647,
            keepalive: None,
            version: HttpVersion::Http1,
        };
        assert_eq!(PoolSettings::compile(&cluster), expected);
    }

    #[test]
    fn what_is_written_counts() {
        let mut cluster = Cluster::new(ClusterName::from("cart"));
        cluster.protocol = Protocol::Grpc;
        let written = r#"{
            "tcp": {"idleTimeout": "7s", "maxConnectionDuration": "9s"},
            "http": {"maxRequestsPerConnection": 1, "maxConcurrentStreams": 5,
                "http2KeepAlive": {"interval": "3s", "timeout": "2s"}}
        }"#;
        cluster.policy.connection_pool = Some(serde_json::from_str(written).unwrap());
        let settings = PoolSettings::compile(&cluster);
        let seconds = Duration::from_secs;
        assert_eq!(settings.idle_timeout, Some(seconds(7)));
        assert_eq!(settings.max_connection_duration, Some(seconds(9)));
        assert_eq!((settings.max_requests, settings.max_streams), (1, 5));
        assert_eq!(settings.keepalive, Some((seconds(3), seconds(2))));
        assert!(settings.version.is_http2(Version::HTTP_11));

        let written = r#"{"tcp": {"idleTimeout": "7s"}, "http": {"idleTimeout": "0s", "useClientProtocol": true}}"#;
        cluster.policy.connection_pool = Some(serde_json::from_str(written).unwrap());
        let settings = PoolSettings::compile(&cluster);
        assert_eq!(settings.idle_timeout, None, "zero is for ever");
        assert!(
            !settings.version.is_http2(Version::HTTP_11)
                && settings.version.is_http2(Version::HTTP_2)
        );
    }
}
