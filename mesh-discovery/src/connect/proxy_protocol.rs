use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use tower_service::Service;

use crate::proxy_protocol::{Addresses, Header, send};
use crate::service::{Downstream, Target};

/// Begins the connections of another connector with a header of the PROXY protocol, where the cluster's
/// `proxyProtocol` asks for it.
///
/// The header says whose connection it is: that of the request's
/// [`ConnectionInfo`](mesh_core::attributes::ConnectionInfo), which [`Balance`](crate::service::Balance)
/// puts into the [`Target`]; without one, our own (`LOCAL`, or `UNKNOWN` in version 1), as for probes.
/// [`Pools`](super::Pools) share no such connection between clients.
///
/// It comes before all else on the connection: TLS goes around this connector, not into it.
///
/// # Example
///
/// ```
/// use std::sync::Arc;
///
/// use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
/// use mesh_core::service::ClusterName;
/// use mesh_discovery::circuit_breaker::{Breakers, Limits};
/// use mesh_discovery::connect::{ProxyProtocolConnector, TcpConnector};
/// use mesh_discovery::proxy_protocol::{AcceptOptions, accept};
/// use mesh_discovery::service::{Downstream, Target};
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let mut cluster = Cluster::new(ClusterName::from("cart"));
/// cluster.policy.proxy_protocol = Some(serde_json::from_str(r#"{"version": "V2"}"#)?);
/// let peer = "192.0.2.1:56324".parse()?;
/// let target = Target {
///     endpoint: Arc::new(Endpoint::new(EndpointAddress::Ip(listener.local_addr()?))),
///     cluster: Arc::new(cluster),
///     breakers: Arc::new(Breakers::new(Limits::default())),
///     downstream: Some(Downstream { peer, local: "192.0.2.9:443".parse()? }),
/// };
///
/// let connector = ProxyProtocolConnector::new(TcpConnector::new());
/// let _connection = connector.oneshot(target).await?;
/// let (stream, _) = listener.accept().await?;
/// let accepted = accept(stream, &AcceptOptions::default()).await?;
/// let (source, _) = accepted.header.and_then(|header| header.tcp_addresses()).unwrap();
/// assert_eq!(source, peer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ProxyProtocolConnector<C> {
    inner: C,
}

impl<C> ProxyProtocolConnector<C> {
    /// Writes headers on the connections that `inner` makes.
    pub fn new(inner: C) -> Self {
        Self { inner }
    }

    /// The connector inside.
    pub fn get_ref(&self) -> &C {
        &self.inner
    }

    /// The connector inside, to change it.
    pub fn get_mut(&mut self) -> &mut C {
        &mut self.inner
    }

    /// The connector inside alone.
    pub fn into_inner(self) -> C {
        self.inner
    }
}

impl<C> Service<Target> for ProxyProtocolConnector<C>
where
    C: Service<Target>,
    C::Response: AsyncWrite + Unpin + Send,
    C::Error: Send,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = ProxyProtocolError<C::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner
            .poll_ready(cx)
            .map_err(ProxyProtocolError::Connect)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let wanted = target.cluster.policy.proxy_protocol.as_ref();
        let wanted = wanted.map(|wanted| (wanted.version, header(target.downstream)));
        let connecting = self.inner.call(target);
        Box::pin(async move {
            let mut stream = connecting.await.map_err(ProxyProtocolError::Connect)?;
            if let Some((version, header)) = wanted {
                let sent = send(&mut stream, version, &header).await;
                sent.map_err(ProxyProtocolError::Header)?;
            }
            Ok(stream)
        })
    }
}

fn header(downstream: Option<Downstream>) -> Header {
    match downstream {
        Some(Downstream { peer, local }) => Header::tcp(peer, local),
        None => Header::from(Addresses::Local),
    }
}

/// There is no connection that begins with a header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyProtocolError<E> {
    /// The connection could not be made.
    #[error(transparent)]
    Connect(E),
    /// The connection failed before the header was written.
    #[error("the PROXY protocol header cannot be written")]
    Header(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mesh_core::model::cluster::{Cluster, Endpoint, EndpointAddress};
    use mesh_core::service::ClusterName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tower::ServiceExt;

    use super::*;
    use crate::circuit_breaker::{Breakers, Limits};
    use crate::connect::TcpConnector;

    #[tokio::test]
    async fn a_connection_begins_as_the_cluster_asks() {
        let downstream = Some(Downstream {
            peer: "192.0.2.1:1000".parse().unwrap(),
            local: "192.0.2.9:443".parse().unwrap(),
        });
        let v2 = |rest: &[u8]| [b"\r\n\r\n\0\r\nQUIT\n", rest].concat();
        let whose = b"\x21\x11\0\x0c\xc0\0\x02\x01\xc0\0\x02\x09\x03\xe8\x01\xbb";
        let cases = [
            (None, downstream, Vec::new()),
            (
                Some(r#"{"version": "V1"}"#),
                downstream,
                b"PROXY TCP4 192.0.2.1 192.0.2.9 1000 443\r\n".to_vec(),
            ),
            (Some("{}"), None, b"PROXY UNKNOWN\r\n".to_vec()),
            (Some(r#"{"version": "V2"}"#), downstream, v2(whose)),
            (Some(r#"{"version": "V2"}"#), None, v2(b"\x20\0\0\0")),
        ];
        for (policy, downstream, expected) in cases {
            let name = format!("{policy:?} {downstream:?}");
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = EndpointAddress::Ip(listener.local_addr().unwrap());
            let mut cluster = Cluster::new(ClusterName::from("cart"));
            cluster.policy.proxy_protocol =
                policy.map(|policy| serde_json::from_str(policy).unwrap());
            let target = Target {
                endpoint: Arc::new(Endpoint::new(address)),
                cluster: Arc::new(cluster),
                breakers: Arc::new(Breakers::new(Limits::default())),
                downstream,
            };
            let connector = ProxyProtocolConnector::new(TcpConnector::new());
            let mut stream = connector.oneshot(target).await.unwrap();
            stream.write_all(b"hello").await.unwrap();
            drop(stream);
            let mut read = Vec::new();
            let (mut accepted, _) = listener.accept().await.unwrap();
            accepted.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, [expected, b"hello".to_vec()].concat(), "{name}");
        }
    }

    #[test]
    fn the_connector_inside_can_be_had_and_changed() {
        let mut connector = ProxyProtocolConnector::new(1);
        *connector.get_mut() += 1;
        assert_eq!((*connector.get_ref(), connector.into_inner()), (2, 2));
    }

    #[tokio::test]
    async fn a_failure_to_connect_is_passed_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = EndpointAddress::Ip(listener.local_addr().unwrap());
        drop(listener);
        let target = Target {
            endpoint: Arc::new(Endpoint::new(address)),
            cluster: Arc::new(Cluster::new(ClusterName::from("cart"))),
            breakers: Arc::new(Breakers::new(Limits::default())),
            downstream: None,
        };
        let connector = ProxyProtocolConnector::new(TcpConnector::new());
        let error = connector.oneshot(target).await.unwrap_err();
        assert!(matches!(error, ProxyProtocolError::Connect(_)), "{error}");
    }
}
