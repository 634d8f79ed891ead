use std::net::SocketAddr;
use std::sync::Arc;

use mesh_core::model::listener::FilterChain;
use mesh_core::watch::Watch;
use tokio::net::TcpStream;

use super::capture::Capture;
use super::generation::Generation;
use super::handshakes::Handshakes;
use super::tcp;
use crate::serve::{self, Admitted, Connection, Inspected, ListenerId, Refused};

/// Takes connections by the generation that is current when they come.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    generation: Watch<Generation>,
    handshakes: Handshakes,
    captures: Arc<[Capture]>,
}

impl Admission {
    /// Tells `handshakes` of connections that fail; those of `captures` have destinations.
    pub(super) fn new(
        generation: Watch<Generation>,
        handshakes: Handshakes,
        captures: &[Capture],
    ) -> Self {
        Self {
            generation,
            handshakes,
            captures: captures.into(),
        }
    }
}

impl serve::Admission for Admission {
    fn admit(&self, connection: &Connection, stream: &TcpStream) -> Result<Admitted, Refused> {
        let (socket, bound) = (connection.listener, connection.local);
        let generation = self.generation.load();
        let (listener, destination) = match Capture::of(&self.captures, socket) {
            Some(capture) => redirect(&generation, capture, stream, bound)?,
            None => (socket, bound),
        };
        Ok(Admitted {
            listener,
            destination,
            proxy_protocol: generation.proxy_protocol(listener),
            chains: generation.chains(listener),
        })
    }

    fn forward(
        &self,
        connection: Connection,
        chain: Arc<FilterChain>,
        stream: Inspected,
    ) -> impl Future<Output = ()> + 'static {
        tcp::forward(self.generation.load_full(), connection, chain, stream)
    }

    fn outlived(
        &self,
        connection: Connection,
        passed_on: Option<Arc<FilterChain>>,
    ) -> impl Future<Output = ()> + 'static {
        let mut generation = self.generation.clone();
        async move {
            while generation.load().takes(&connection, passed_on.as_deref()) {
                generation.changed().await;
            }
        }
    }

    fn refused(&self, connection: &Connection, why: &Refused) {
        self.handshakes.refused(connection, why);
        let server_name = match why {
            Refused::NoChain { server_name } => server_name.as_ref(),
            Refused::Plaintext(_) => None,
            _ => return,
        };
        tcp::log_unmatched(&self.generation.load(), connection, server_name);
    }
}

/// The listener of a captured connection, and where its client wants to connect to.
fn redirect(
    generation: &Generation,
    capture: &Capture,
    stream: &TcpStream,
    bound: SocketAddr,
) -> Result<(ListenerId, SocketAddr), Refused> {
    let destination = capture.destination(stream, bound)?;
    let listener = generation.captured(capture.direction, destination);
    let listener = listener.ok_or(Refused::NoListener(destination))?;
    match generation.serves(listener) {
        true => Ok((listener, destination)),
        false => Err(Refused::Unserved),
    }
}
