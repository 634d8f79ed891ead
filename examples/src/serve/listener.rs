//! Listening sockets that several threads can share an address by.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Names a listener; the embedder's own number, such as an index into its configuration.
pub type ListenerId = u64;

/// How many connections may wait to be accepted. The kernel caps it at `somaxconn`.
const BACKLOG: i32 = 4096;

/// Binds one socket for each of `threads` to `address`, all to the same port.
///
/// A port that another process listens on is refused, though the two could share it: its clients
/// would be answered by either.
pub(super) fn bind(address: SocketAddr, threads: usize) -> io::Result<Vec<TcpListener>> {
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
    if address.port() != 0 {
        is_free(address).map_err(named)?;
    }
    let first = bind_one(address).map_err(named)?;
    // With port 0 the first decides which port it is.
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..threads {
        listeners.push(bind_one(address)?);
    }
    Ok(listeners)
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
        let listeners = bind(([127, 0, 0, 1], 0).into(), 3).unwrap();
        let port = listeners[0].local_addr().unwrap().port();
        assert_ne!(port, 0);
        for listener in &listeners {
            assert_eq!(listener.local_addr().unwrap().port(), port);
        }
    }

    #[test]
    fn a_port_that_is_served_already_is_refused() {
        let others = bind(([127, 0, 0, 1], 0).into(), 2).unwrap();
        let address = others[0].local_addr().unwrap();
        let error = bind(address, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().starts_with(&address.to_string()));
        drop(others);
        assert_eq!(bind(address, 2).unwrap().len(), 2);
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        // TEST-NET-1 (RFC 5737) is nobody's.
        assert!(bind(([192, 0, 2, 77], 0).into(), 1).is_err());
    }
}
