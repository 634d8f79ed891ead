//! What authorization looks at: a connection, and a request that came by it.

use std::net::{IpAddr, SocketAddr};

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request};
use mesh_core::attributes::{ConnectionInfo, PeerIdentity, RequestPrincipal, TargetScheme};
use mesh_core::resource::Value;

/// What authorization knows of a connection.
///
/// # Example
///
/// ```
/// use mesh_policy::authz::Connection;
///
/// let connection = Connection {
///     peer: Some("spiffe://cluster.local/ns/shop/sa/cart"),
///     ..Connection::new("10.0.0.7:41000".parse()?, "10.0.0.9:8080".parse()?)
/// };
/// assert_eq!(connection.remote, connection.source);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection<'a> {
    /// The identity that the peer has proven, as a URI; `None` without mutual TLS.
    pub peer: Option<&'a str>,
    /// Whether the peer has proven to own a certificate, if only one without an identity: a client of a
    /// Gateway with `MUTUAL`. The principal `*` stands for whoever has.
    pub has_certificate: bool,
    /// Address of the peer: `source.ip`.
    pub source: IpAddr,
    /// Address of the client, as `x-forwarded-for` and trusted proxies give it: `remote.ip`.
    pub remote: IpAddr,
    /// Our address and port.
    pub destination: SocketAddr,
    /// Server name of the TLS handshake, in lower case.
    pub server_name: Option<&'a str>,
}

impl<'a> Connection<'a> {
    /// A connection in plain text from `source` to `destination`, whose client is the peer itself.
    pub fn new(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            peer: None,
            has_certificate: false,
            source: source.ip(),
            remote: source.ip(),
            destination,
            server_name: None,
        }
    }

    /// The connection that `info` describes, whose client is the peer itself.
    pub fn of(info: &'a ConnectionInfo, peer: Option<&'a PeerIdentity>) -> Self {
        let tls = info.tls.as_ref();
        Self {
            peer: peer.map(|peer| peer.0.as_str()),
            has_certificate: tls.is_some_and(|tls| tls.peer_fingerprint.is_some()),
            server_name: tls.and_then(|tls| tls.server_name.as_deref()),
            ..Self::new(info.peer, info.local)
        }
    }
}

/// What authorization knows of a request.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// The connection that it came by.
    pub connection: Connection<'a>,
    /// The method.
    pub method: &'a str,
    /// The scheme: `http` or `https`, as a rule.
    pub scheme: &'a str,
    /// The host that is asked, with its port if the client has sent one.
    pub host: Option<&'a [u8]>,
    /// The path, normalized as the mesh says, with its query, which conditions on `:path` alone look at.
    pub path: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The claims of the verified token: a [`Value::Map`].
    pub claims: Option<&'a Value>,
}

impl<'a> HttpRequest<'a> {
    /// The request as it stands, with the [`RequestPrincipal`] and the scheme of its extensions. Its path has to
    /// be normalized already.
    pub fn of<B>(request: &'a Request<B>, connection: Connection<'a>) -> Self {
        let uri = request.uri();
        let authority = uri
            .authority()
            .map(|authority| authority.as_str().as_bytes());
        let host = || request.headers().get(HOST).map(|host| host.as_bytes());
        let principal = request.extensions().get::<RequestPrincipal>();
        Self {
            connection,
            method: request.method().as_str(),
            scheme: TargetScheme::of(uri, request.extensions()),
            host: authority.or_else(host),
            path: uri.path_and_query().map_or("", PathAndQuery::as_str),
            headers: request.headers(),
            claims: principal.map(|principal| &*principal.claims),
        }
    }
}

/// What a rule is evaluated against: rules for TCP see no request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) connection: &'a Connection<'a>,
    pub(super) request: Option<&'a HttpRequest<'a>>,
}

impl<'a> Facts<'a> {
    pub(super) fn of_connection(connection: &'a Connection<'a>) -> Self {
        Self {
            connection,
            request: None,
        }
    }

    pub(super) fn of_request(request: &'a HttpRequest<'a>) -> Self {
        Self {
            connection: &request.connection,
            request: Some(request),
        }
    }

    /// The path without query and fragment.
    pub(super) fn path(&self) -> Option<&'a str> {
        let whole = self.request?.path;
        let path = mesh_core::path::without_query_and_fragment(whole);
        // `http://host?query` asks for the root (RFC 9110 §4.2.3).
        let is_root = path.is_empty() && !whole.is_empty();
        Some(if is_root { "/" } else { path })
    }

    /// The claim at `path`, outermost name first.
    pub(super) fn claim(&self, path: &[Box<str>]) -> Option<&'a Value> {
        let claims = self.request?.claims?;
        path.iter()
            .try_fold(claims, |value, name| value.field(name))
    }
}
