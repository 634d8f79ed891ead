use mesh_tls::peek::Peeked;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::maybe_tls::MaybeTls;

/// A connection of a client whose filter chain was chosen.
pub type Inspected = MaybeTls<Peeked<TcpStream>, TlsStream<Peeked<TcpStream>>>;
