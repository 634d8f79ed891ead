//! Connections that are redirected to a gateway on their way, as those of a sidecar are.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mesh_core::model::listener::Direction;
use socket2::SockRef;
use tokio::net::TcpStream;

use crate::serve::{ListenerId, Refused};

/// The ids of the sockets of captures begin here, beyond those of ports.
const SOCKETS: ListenerId = 1 << 32;

/// Connections that are redirected to the gateway on their way, as those of a sidecar are.
///
/// A sidecar captures the connections to its workload, and those that the workload makes. Nothing is
/// redirected here: that is left to the system.
///
/// # Example
///
/// ```
/// use examples::gateway::Capture;
/// use mesh_core::model::listener::Direction;
///
/// // What Istio's init container sends to this port, whatever it was made to.
/// let redirected = Capture::redirected(Direction::Inbound, ([0, 0, 0, 0], 15006).into());
/// // Whoever connects to the one address means the other.
/// let reviews = ([10, 0, 0, 7], 9080).into();
/// let fixed = Capture::fixed(Direction::Outbound, reviews, ([127, 0, 0, 1], 0).into());
/// assert_ne!(redirected.direction, fixed.direction);
/// ```
#[derive(Clone, Debug)]
pub struct Capture {
    /// Whether they come to the workload, or from it.
    pub direction: Direction,
    /// The address that clients want to connect to.
    pub destination: Destination,
    /// The address that the gateway listens at in place of it; port 0 lets the system choose.
    pub bind: SocketAddr,
}

/// Where the clients of a [`Capture`] want to connect to.
#[derive(Clone, Debug)]
pub enum Destination {
    /// All of them to this address.
    Fixed(SocketAddr),
    /// Each to an address of its own.
    Original(OriginalDestination),
}

impl Capture {
    /// Takes whoever connects to `bind` to have connected to `destination`.
    pub fn fixed(direction: Direction, destination: SocketAddr, bind: SocketAddr) -> Self {
        Self {
            direction,
            destination: Destination::Fixed(destination),
            bind,
        }
    }

    /// Takes what netfilter redirects to `bind`, as Envoy's listeners `virtualInbound` and
    /// `virtualOutbound` do.
    pub fn redirected(direction: Direction, bind: SocketAddr) -> Self {
        Self {
            direction,
            destination: Destination::Original(OriginalDestination::default()),
            bind,
        }
    }

    /// Whether netfilter, or what stands for it, redirects connections to the socket.
    pub fn is_redirected(&self) -> bool {
        matches!(self.destination, Destination::Original(_))
    }

    /// The id of the socket of the capture with this index.
    pub(super) fn id(index: usize) -> ListenerId {
        SOCKETS + index as ListenerId
    }

    /// The capture of a socket with an id.
    pub(super) fn of(captures: &[Self], id: ListenerId) -> Option<&Self> {
        captures.get(usize::try_from(id.checked_sub(SOCKETS)?).ok()?)
    }

    /// The address that the client of `stream` wants to connect to, which the socket `bound` has
    /// accepted.
    pub(super) fn destination(
        &self,
        stream: &TcpStream,
        bound: SocketAddr,
    ) -> Result<SocketAddr, Refused> {
        let destination = match &self.destination {
            Destination::Fixed(destination) => Ok(*destination),
            Destination::Original(original) => original.of(stream),
        };
        // The system knows nothing of a connection that it has not redirected, or says that it was
        // made to the socket.
        let destination = destination.ok().map(canonical);
        let redirected = destination.filter(|destination| *destination != canonical(bound));
        redirected.ok_or(Refused::NotRedirected(bound))
    }
}

type Find = dyn Fn(&TcpStream) -> io::Result<SocketAddr> + Send + Sync;

/// Tells where a connection was made to before it was redirected. The default asks the system, which
/// is Linux: `SO_ORIGINAL_DST` of what iptables or nftables have redirected. Cheap to clone.
#[derive(Clone)]
pub struct OriginalDestination(Arc<Find>);

impl OriginalDestination {
    /// Asks `find`, which must not wait. An error is that of a connection which nothing has
    /// redirected.
    pub fn by(find: impl Fn(&TcpStream) -> io::Result<SocketAddr> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    fn of(&self, stream: &TcpStream) -> io::Result<SocketAddr> {
        let Self(find) = self;
        find(stream)
    }
}

impl Default for OriginalDestination {
    fn default() -> Self {
        Self::by(ask_system)
    }
}

impl fmt::Debug for OriginalDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OriginalDestination")
            .finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
fn ask_system(stream: &TcpStream) -> io::Result<SocketAddr> {
    let socket = SockRef::from(stream);
    // A socket of IPv6 may carry IPv4.
    let address = match canonical(stream.local_addr()?) {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    let address = address?.as_socket();
    address.ok_or_else(|| io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn ask_system(_: &TcpStream) -> io::Result<SocketAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

/// An address of IPv4 as such, where IPv6 carries it.
fn canonical(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = address.ip().to_canonical();
    SocketAddr::new(ip, address.port())
}
