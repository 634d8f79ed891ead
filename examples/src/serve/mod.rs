//! Accept connections and serve HTTP/1.1 and HTTP/2 on them.
//!
//! [`Workers`] are threads that share nothing: each has a single-threaded runtime, its own
//! listening sockets (`SO_REUSEPORT`, so that the kernel spreads connections over the threads)
//! and its own services, which need be neither `Send` nor locked. A connection stays on the
//! thread that accepted it.
//!
//! An [`Admission`] says which listener serves a connection: that of the socket, or another if it was
//! redirected on its way. Where there are [`FilterChains`] for the listener, the first bytes of a connection choose
//! one of them: its TLS ends first, if it does, and then HTTP is read, or the bytes are forwarded by
//! the admission. A connection that no chain takes, or whose handshake fails, is closed. See
//! [`Workers::start_with`].
//!
//! Whether a connection speaks HTTP/2 is told by its first bytes (RFC 9113 §3.4); everything else
//! is HTTP/1. There is no upgrade from the one to the other.
//!
//! [`Workers::drain`] stops listening, asks every connection to end (`connection: close`,
//! `GOAWAY`), and waits until they have, up to a deadline.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! use examples::body::Body;
//! use examples::serve::{Limits, Workers};
//! use http::Response;
//! use tower::service_fn;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // For each thread, what makes the service of each of its connections.
//! let workers = Workers::start(1, Limits::default(), || {
//!     |connection: &examples::serve::Connection| {
//!         let port = connection.local.port();
//!         service_fn(move |_request| async move {
//!             Ok::<_, Infallible>(Response::new(Body::from(format!("served on {port}"))))
//!         })
//!     }
//! })?;
//! let address = workers.listen(0, ([127, 0, 0, 1], 0).into())?;
//!
//! let mut client = TcpStream::connect(address)?;
//! client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.ends_with(&format!("served on {}", address.port())));
//!
//! assert!(workers.drain(Duration::from_secs(1)), "nothing was left to wait for");
//! # Ok(())
//! # }
//! ```

mod accept;
mod adapter;
mod admission;
mod chains;
mod connection;
mod inspected;
mod limits;
mod listener;
mod open;
mod proxy_protocol;
mod rewind;
mod sniff;
#[cfg(test)]
mod tests;
mod workers;

pub use self::accept::Connection;
pub use self::admission::{Admission, Admitted};
pub use self::chains::{Ending, FilterChains, Refused};
pub use self::inspected::Inspected;
pub use self::limits::Limits;
pub use self::listener::{Bound, ListenerId};
pub use self::workers::Workers;
