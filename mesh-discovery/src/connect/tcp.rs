use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use mesh_core::model::cluster::{Cluster, EndpointAddress};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tower_service::Service;

#[cfg(unix)]
use crate::endpoint::socket_path;
use crate::service::Target;

/// Makes plain connections to endpoints: over TCP, or to a Unix domain socket, of the abstract
/// namespace where its path begins with `@`.
///
/// A name is resolved by the operating system, and its addresses are tried in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnector {
    _private: (),
}

impl TcpConnector {
    /// Makes connections from any local address.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Service<Target> for TcpConnector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Target) -> Self::Future {
        Box::pin(async move {
            let stream = match &target.endpoint.address {
                EndpointAddress::Dns { host, port } => resolved(host, *port).await?,
                EndpointAddress::Ip(address) => TcpStream::connect(address).await?,
                #[cfg(unix)]
                EndpointAddress::Unix(path) => {
                    let stream = tokio::net::UnixStream::connect(socket_path(path)).await?;
                    return Ok(Stream::Unix(stream));
                }
                #[cfg(not(unix))]
                EndpointAddress::Unix(_) => return Err(io::ErrorKind::Unsupported.into()),
            };
            stream.set_nodelay(true)?;
            let stream = Stream::Tcp(stream);
            stream.set_keepalive(&target.cluster)?;
            Ok(stream)
        })
    }
}

async fn resolved(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    TcpStream::connect(&*addresses).await
}

fn set_keepalive(stream: &TcpStream, cluster: &Cluster) -> io::Result<()> {
    let Some(settings) = &cluster.tcp_keepalive else {
        return Ok(());
    };
    let mut keepalive = socket2::TcpKeepalive::new();
    if let Some(time) = settings.time.and_then(|time| time.as_std()) {
        keepalive = keepalive.with_time(time);
    }
    if let Some(interval) = settings.interval.and_then(|interval| interval.as_std()) {
        keepalive = keepalive.with_interval(interval);
    }
    if settings.probes > 0 {
        keepalive = keepalive.with_retries(settings.probes);
    }
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// A plain connection to an endpoint.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// To a Unix domain socket.
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

impl Stream {
    /// Our address; `None` if it is not over TCP.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }

    /// Has the operating system probe the connection as a cluster asks for, if it is over TCP.
    ///
    /// # Errors
    ///
    /// The operating system refuses.
    pub fn set_keepalive(&self, cluster: &Cluster) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => set_keepalive(stream, cluster),
            #[cfg(unix)]
            Self::Unix(_) => Ok(()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use mesh_core::model::cluster::Endpoint;
    use mesh_core::service::ClusterName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, UnixListener};

    use super::*;
    use crate::circuit_breaker::{Breakers, Limits};

    #[tokio::test]
    async fn unix_domain_sockets_are_files_or_names() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("socket").display().to_string();
        let name = format!("@{file}");
        for path in [file, name] {
            let listener = UnixListener::bind(socket_path(&path)).unwrap();
            let connecting = TcpConnector::new().call(target(&path));
            let (accepted, connected) = tokio::join!(listener.accept(), connecting);
            accepted.unwrap().0.write_all(b"hello").await.unwrap();
            let mut read = String::new();
            connected.unwrap().read_to_string(&mut read).await.unwrap();
            assert_eq!(read, "hello", "{path}");
        }
    }

    #[tokio::test]
    async fn the_operating_system_probes_connections_as_the_cluster_asks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = EndpointAddress::Ip(listener.local_addr().unwrap());
        let asked = r#"{"probes": 7, "time": "61s", "interval": "13s"}"#;
        for asked in [None, Some(asked)] {
            let mut target = to(address.clone());
            let cluster = Arc::make_mut(&mut target.cluster);
            cluster.tcp_keepalive = asked.map(|text| serde_json::from_str(text).unwrap());
            let stream = TcpConnector::new().call(target).await.unwrap();
            let Stream::Tcp(stream) = &stream else {
                panic!("it is over TCP");
            };
            let socket = SockRef::from(stream);
            assert_eq!(socket.keepalive().unwrap(), asked.is_some());
            if asked.is_some() {
                let seconds = Duration::from_secs;
                assert_eq!(socket.tcp_keepalive_time().unwrap(), seconds(61));
                assert_eq!(socket.tcp_keepalive_interval().unwrap(), seconds(13));
                assert_eq!(socket.tcp_keepalive_retries().unwrap(), 7);
            }
        }
    }

    fn target(path: &str) -> Target {
        to(EndpointAddress::Unix(path.to_owned()))
    }

    fn to(address: EndpointAddress) -> Target {
        Target {
            endpoint: Arc::new(Endpoint::new(address)),
            cluster: Arc::new(Cluster::new(ClusterName::from("cart"))),
            breakers: Arc::new(Breakers::new(Limits::default())),
            downstream: None,
        }
    }
}
