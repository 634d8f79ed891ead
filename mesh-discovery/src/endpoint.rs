//! Endpoints as text, and sets of them.
//!
//! An endpoint is known by its [`EndpointAddress`]: whatever else of it changes, it is the same
//! endpoint.
//!
//! # Example
//!
//! ```
//! use mesh_core::model::cluster::EndpointAddress;
//! use mesh_discovery::endpoint::AddressText;
//!
//! let address = EndpointAddress::Ip("[2001:db8::7]:80".parse()?);
//! assert_eq!(AddressText(&address).to_string(), "[2001:db8::7]:80");
//! # Ok::<(), std::net::AddrParseError>(())
//! ```

use std::fmt;
#[cfg(unix)]
use std::path::PathBuf;

use mesh_core::model::cluster::EndpointAddress;

/// Writes an address as Envoy does in its logs, and when it hashes endpoints.
#[derive(Clone, Copy, Debug)]
pub struct AddressText<'a>(pub &'a EndpointAddress);

impl fmt::Display for AddressText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            EndpointAddress::Dns { host, port } => write!(f, "{host}:{port}"),
            EndpointAddress::Ip(address) => address.fmt(f),
            EndpointAddress::Unix(path) => f.write_str(path),
        }
    }
}

/// The path of a Unix domain socket as the operating system wants it. In configurations, one that
/// begins with `@` is of the abstract namespace, without a file (unix(7)); the system has a zero byte
/// in its place, which paths of tokio's `UnixStream` and `UnixListener` may begin with.
///
/// ```
/// use mesh_discovery::endpoint::socket_path;
///
/// assert_eq!(socket_path("/run/cart").to_str(), Some("/run/cart"));
/// assert_eq!(socket_path("@cart").to_str(), Some("\0cart"));
/// ```
#[cfg(unix)]
pub fn socket_path(path: &str) -> PathBuf {
    match path.strip_prefix('@') {
        Some(name) => format!("\0{name}").into(),
        None => path.into(),
    }
}
