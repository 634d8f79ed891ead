//! Connections to endpoints, pooled.
//!
//! [`Pools`] make the services that [`service`](crate::service) calls: each sends its request on a
//! connection to its endpoint, over HTTP/1.1 or HTTP/2, as the cluster says. Connections are made
//! by a connector that is injected, a tower service from a [`Target`](crate::service::Target) to a
//! byte stream; [`TcpConnector`] makes plain ones. TLS goes into the connector, around a
//! [`ProxyProtocolConnector`] where endpoints want to know the client.
//!
//! A DestinationRule's `connectionPool` is followed as Envoy does:
//!
//! | setting | what happens |
//! |---|---|
//! | `tcp.maxConnections` | no further connection in the cluster; requests wait. An endpoint without any gets one nevertheless |
//! | `tcp.connectTimeout` | the request is answered with `503`, `UF` |
//! | `tcp.maxConnectionDuration` | takes no further request, and is closed when it has none |
//! | `tcp.tcpKeepalive` | set on the socket by [`TcpConnector`] |
//! | `http.http1MaxPendingRequests` | no further request waits: `503`, `UO`, `x-envoy-overloaded` |
//! | `http.http2MaxRequests` | the same, by [`service`](crate::service) |
//! | `http.maxRequestsPerConnection` | takes no further request |
//! | `http.maxConcurrentStreams` | requests go to another connection |
//! | `http.idleTimeout`, `tcp.idleTimeout` | closed after that time without a request; 1 h by default |
//! | `http.http2KeepAlive` | a ping after `interval` without anything read, idle or not; closed if it is not answered within `timeout` |
//! | `http.useClientProtocol` | the version of the request |
//!
//! Connecting goes on when the request that it was begun for is given up, as by a timeout, until the
//! connect timeout, as in Envoy: a timeout that is shorter than connecting would never get a connection
//! otherwise. The connection is for the next request, which waits for it instead of beginning another.
//! What is being made counts as a connection meanwhile. If nobody waits for it any more and its endpoint
//! has gone, it is closed. With its runtime it ends.
//!
//! A request that could not be written, because its connection had been closed in the meantime, is
//! sent on another one. One that may have reached the endpoint is never sent twice. Failures are
//! answered with Envoy's status and text, and an
//! [`UpstreamReset`](mesh_core::attributes::UpstreamReset). What is the fault of the request, a body that
//! fails ([`is_of_request`]) or a host that HTTP/2 cannot be told, is none of the endpoint.
//!
//! Requests that wait when a connection cannot be made fail as the attempt did, as in Envoy: the next
//! attempt would take as long. After a first failure the next request tries again at once. From the
//! second in a row on there is a wait, of up to 25 ms, then 50 ms and so on up to a second; half of it
//! at most is taken off at random. Meanwhile requests that would need a new connection fail at once,
//! as the last attempt did. (Envoy has no such wait.) That an endpoint which cannot be reached gets no
//! requests is up to [outlier detection](crate::health::outlier), which these failures count for.
//!
//! [`EndpointService`]s are always ready, and say so by their answers when an endpoint cannot be reached.
//! [`ConnectedService`]s are ready while there is a connection: for balancers of tower's own.
//!
//! The pool is built on hyper's connections, not on hyper-util's composable pool: that has no place
//! for limits that requests wait for.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::{BodyExt, Full};
//! use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
//! use mesh_core::service::ClusterName;
//! use mesh_discovery::cluster::Upstream;
//! use mesh_discovery::connect::{Pools, TcpConnector};
//! use mesh_discovery::locality::Client;
//! use mesh_discovery::service::Balance;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let mut cluster = Cluster::new(ClusterName::from("cart"));
//! let address = EndpointAddress::Ip(listener.local_addr()?);
//! cluster.endpoints.push(Endpoint::new(address));
//! tokio::spawn(async move {
//!     let (mut stream, _) = listener.accept().await?;
//!     stream.read(&mut [0; 1024]).await?;
//!     stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await?;
//!     std::future::pending::<std::io::Result<()>>().await
//! });
//!
//! let now = tokio::time::Instant::now().into_std();
//! let upstream = Upstream::new(Arc::new(cluster), Client::default(), now, 0);
//! let service = Balance::new(Arc::new(upstream), Pools::new(TcpConnector::new()));
//!
//! let request = Request::get("http://cart.example/7").body(Full::<Bytes>::default())?;
//! let response = service.oneshot(request).await?;
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//! # Ok(())
//! # }
//! ```

mod attempt;
mod backoff;
mod body;
mod connected;
mod connection;
mod failure;
mod host;
mod lease;
mod open;
mod pools;
mod proxy_protocol;
mod readiness;
mod refusal;
mod settings;
mod state;
mod tcp;
#[cfg(test)]
mod tests;
mod transport;
mod wire;

pub use self::body::Body;
pub use self::connected::ConnectedService;
pub use self::failure::{
    ConnectTimeout, ConnectionFailure, ConnectionTermination, InvalidAuthority, ProtocolError,
    RemoteReset, RequestBodyFailure,
};
pub use self::pools::{EndpointService, Pools};
pub use self::proxy_protocol::{ProxyProtocolConnector, ProxyProtocolError};
pub use self::refusal::{is_of_request, is_refused};
pub use self::settings::{HttpVersion, PoolSettings};
pub use self::tcp::{Stream, TcpConnector};
