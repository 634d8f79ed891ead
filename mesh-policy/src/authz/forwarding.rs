//! Whose request it is when proxies stand before us.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use mesh_core::model::listener::HttpConnection;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Which address is that of the client: Envoy's `use_remote_address` and `xff_num_trusted_hops`.
///
/// # Example
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use mesh_policy::authz::Forwarding;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.9, 198.51.100.7"));
/// let peer = [10, 0, 0, 1].into();
///
/// let client = |forwarding: Forwarding| forwarding.client(peer, &headers).to_string();
/// assert_eq!(client(Forwarding::edge(0)), "10.0.0.1");
/// assert_eq!(client(Forwarding::edge(2)), "203.0.113.9");
/// assert_eq!(client(Forwarding::sidecar()), "198.51.100.7");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Forwarding {
    use_remote_address: bool,
    trusted_hops: u32,
}

impl Forwarding {
    /// For what clients connect to: a gateway, or a service without one. The last `trusted_hops`
    /// proxies before it are trusted to have appended to `x-forwarded-for`; with 0, the client is
    /// the peer.
    pub const fn edge(trusted_hops: u32) -> Self {
        Self {
            use_remote_address: true,
            trusted_hops,
        }
    }

    /// For what only proxies of the mesh connect to: the client is the last address of
    /// `x-forwarded-for`, which the caller's proxy has left as it was. Whoever can connect can
    /// choose that address.
    pub const fn sidecar() -> Self {
        Self {
            use_remote_address: false,
            trusted_hops: 0,
        }
    }

    /// As a listener of the model has it.
    pub const fn of(connection: &HttpConnection) -> Self {
        Self {
            use_remote_address: connection.use_remote_address,
            trusted_hops: connection.trusted_hops,
        }
    }

    /// The address of the client. It is the peer's if the header is too short or has no address at
    /// that place.
    pub fn client(self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let from_end = if self.use_remote_address {
            self.trusted_hops.checked_sub(1)
        } else {
            Some(self.trusted_hops)
        };
        let address = from_end.and_then(|from_end| forwarded_for(headers, from_end as usize));
        address.unwrap_or(peer).to_canonical()
    }
}

impl Default for Forwarding {
    /// [`edge`](Self::edge) without trusted proxies: headers are not believed.
    fn default() -> Self {
        Self::edge(0)
    }
}

/// The address at a place of `x-forwarded-for`, counted from its end.
fn forwarded_for(headers: &HeaderMap, from_end: usize) -> Option<IpAddr> {
    // The last line is the latest.
    let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let mut addresses = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
    let address = std::str::from_utf8(addresses.nth(from_end)?).ok()?;
    address.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_address_that_is_not_there_is_that_of_the_peer() {
        let peer: IpAddr = [10, 0, 0, 1].into();
        let cases = [
            ("", Forwarding::sidecar(), "10.0.0.1"),
            ("unknown", Forwarding::sidecar(), "10.0.0.1"),
            ("1.2.3.4", Forwarding::edge(2), "10.0.0.1"),
            ("1.2.3.4", Forwarding::edge(1), "1.2.3.4"),
            ("::ffff:1.2.3.4", Forwarding::edge(1), "1.2.3.4"),
            ("2001:db8::1", Forwarding::sidecar(), "2001:db8::1"),
        ];
        for (header, forwarding, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(X_FORWARDED_FOR, HeaderValue::from_static(header));
            let client = forwarding.client(peer, &headers);
            assert_eq!(client.to_string(), expected, "{header} {forwarding:?}");
        }
    }
}
