//! Listening sockets that several threads can share an address by.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Names a listener; the embedder's own number, such as an index into its configuration.
pub type ListenerId = u64;

/// How many connections may wait to be accepted. The kernel caps it at `somaxconn`.
const BACKLOG: i32 = 4096;

/// Sockets that are bound, one for each thread.
#[derive(Debug)]
pub struct Bound {
    pub(super) sockets: Vec<TcpListener>,
    address: SocketAddr,
}

impl Bound {
    /// The address, with the port that the system chose if it was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Fails if another process listens at `address`. The two could share it, but clients would be
/// answered by either.
pub(super) fn check(address: SocketAddr) -> io::Result<()> {
    match address.port() {
        0 => Ok(()),
        _ => is_free(address).map_err(|error| named(address, &error)),
    }
}

/// Binds one socket for each of `threads` to `address`, all to the same port.
pub(super) fn bind(address: SocketAddr, threads: usize) -> io::Result<Bound> {
    let first = bind_one(address).map_err(|error| named(address, &error))?;
    // With port 0 the first decides which port it is.
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..threads {
        sockets.push(bind_one(address)?);
    }
    Ok(Bound { sockets, address })
}

fn named(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{address}: {error}"))
}

/// Fails if somebody listens at `address`.
fn is_free(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_a_port_chosen_by_the_system() {
        let bound = bind(([127, 0, 0, 1], 0).into(), 3).unwrap();
        assert_ne!(bound.address().port(), 0);
        assert_eq!(bound.sockets.len(), 3);
        for socket in &bound.sockets {
            assert_eq!(socket.local_addr().unwrap(), bound.address());
        }
    }

    #[test]
    fn a_port_that_is_served_already_is_refused() {
        let others = bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
        let address = others.address();
        let error = check(address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&address.to_string()));
        drop(others);
        check(address).unwrap();
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        // TEST-NET-1 (RFC 5737) is nobody's.
        assert!(bind(([192, 0, 2, 77], 0).into(), 1).is_err());
    }
}
