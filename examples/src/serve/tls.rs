//! TLS that ends before HTTP is read.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mesh_core::model::listener::{FilterChain, Listener, NetworkFilter, Transport};
use mesh_routing::error::CompileErrors;
use mesh_routing::l4::{self, FilterChainTable};
use mesh_tls::accept::{Accepted, TlsAcceptor};
use mesh_tls::client_hello::Detected;
use mesh_tls::peek::{Peeked, peek};
use tokio::io::{AsyncRead, AsyncWrite};

/// How long the first bytes of a client are waited for.
const FIRST_BYTES: Duration = Duration::from_secs(15);

/// The filter chains of a listener whose TLS ends here, each with the way it does.
#[derive(Debug)]
pub struct TlsChains {
    port: u16,
    table: FilterChainTable,
    /// By the name of the routes of the chain.
    acceptors: HashMap<String, TlsAcceptor>,
}

impl TlsChains {
    /// The chains of `listener`, of which those are served that `acceptors` has: by the names of their
    /// route configurations.
    ///
    /// # Errors
    ///
    /// The criteria of a chain cannot be compiled.
    pub fn compile(
        listener: &Listener,
        acceptors: HashMap<String, TlsAcceptor>,
    ) -> Result<Self, CompileErrors> {
        Ok(Self {
            port: listener.declared_port,
            table: FilterChainTable::compile(listener)?,
            acceptors,
        })
    }

    /// Ends the TLS of a connection to `local`, by the chain that takes it; with the name of the
    /// chain's routes. `None` closes the connection: no chain takes it, or the handshake failed.
    ///
    /// # Cancel safety
    ///
    /// The connection is lost if this is dropped before it returns.
    pub async fn accept<IO>(&self, io: IO, local: SocketAddr) -> Option<(Arc<str>, Accepted<IO>)>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let peeked = peek(io, FIRST_BYTES).await.ok()?;
        let chain = self.chain(&peeked, local)?;
        let NetworkFilter::Http(http) = &chain.filter else {
            return None;
        };
        let acceptor = self.acceptors.get(&http.route_configuration)?;
        let accepted = acceptor.accept_peeked(peeked).await.ok()?;
        Some((http.route_configuration.as_str().into(), accepted))
    }

    fn chain<IO>(&self, peeked: &Peeked<IO>, local: SocketAddr) -> Option<&Arc<FilterChain>> {
        let Detected::ClientHello(hello) = peeked.detected() else {
            return None;
        };
        let offered: Vec<&str> = hello.alpn_texts().collect();
        self.table.lookup(&l4::Connection {
            // The port may have been translated to the one that is bound.
            destination: SocketAddr::new(local.ip(), self.port),
            transport: Transport::Tls,
            server_name: hello.server_name(),
            application_protocols: &offered,
        })
    }
}
