//! HTTP/1.1 to upstreams (RFC 9112), without a task for each connection.
//!
//! hyper's client passes requests, responses and bodies between a connection and its user by
//! channels, so that a task of its own can drive the connection. Here the task that serves the
//! request reads and writes the connection itself, and needs neither. For small requests that
//! took a sixth off the CPU time of the whole data plane, measured against hyper's client polled
//! by the same task. Parsing is left to `httparse`, as in hyper.
//!
//! The parts know nothing of each other's business: `encode` and `head` turn messages into
//! bytes and back, `decode` finds the end of a body, `upload` sends a request, `exchange`
//! waits for the response meanwhile, and `streaming` receives what follows its head.

mod connection;
mod decode;
mod encode;
mod exchange;
mod head;
mod streaming;
mod trailers;
mod upload;

pub(super) use self::connection::{Connection, Idle, Switched};
pub(super) use self::exchange::{Answer, Exchange};
pub(crate) use self::streaming::Streaming;
