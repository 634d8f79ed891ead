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
