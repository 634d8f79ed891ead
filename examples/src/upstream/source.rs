//! The address that a sidecar connects to its own application from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

/// Istio's addresses for connections from a sidecar to its application. Its rules of iptables let
/// these pass, and would send others back to the sidecar, which have the address of the pod for their
/// destination and do not leave it.
const OWN: (Ipv4Addr, Ipv6Addr) = (
    Ipv4Addr::new(127, 0, 0, 6),
    Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6),
);

/// The address that the sidecar of an application connects to it from, where connections are
/// redirected by Istio's rules.
///
/// # Example
///
/// ```
/// use examples::upstream::sidecar_source;
///
/// let source = sidecar_source([10, 0, 0, 7].into());
/// assert_eq!(source.to_string(), "127.0.0.6");
/// ```
pub fn sidecar_source(application: IpAddr) -> IpAddr {
    match application {
        IpAddr::V4(_) => OWN.0.into(),
        IpAddr::V6(_) => OWN.1.into(),
    }
}

/// Connects to `address` from `source`; `None` leaves that to the system.
///
/// # Errors
///
/// Nobody listens there, or `source` is no address of this machine.
pub async fn connect_from(source: Option<IpAddr>, address: SocketAddr) -> io::Result<TcpStream> {
    let Some(source) = source else {
        return TcpStream::connect(address).await;
    };
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(address).await
}
