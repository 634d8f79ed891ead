//! How layers see a request.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};

use http::Request;
use http::uri::{PathAndQuery, Uri};
use mesh_core::attributes::{ClientAddress, ConnectionInfo, PeerIdentity};
use mesh_core::path::Normalization;

use super::attributes::{Connection, HttpRequest};
use super::forwarding::Forwarding;

/// How layers see a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    pub(crate) normalization: Normalization,
    pub(crate) forwarding: Forwarding,
}

impl View {
    /// Brings the path into its form; false if it has none.
    pub(crate) fn normalize<B>(self, request: &mut Request<B>) -> bool {
        let Some(path) = request.uri().path_and_query() else {
            return true;
        };
        if path == "*" {
            // `OPTIONS *` is about the server, and names no resource (RFC 9112 §3.2.4).
            return true;
        }
        let normal = match self.normalization.apply(path.as_str()) {
            Ok(Cow::Borrowed(_)) => return true,
            Ok(Cow::Owned(normal)) => normal,
            Err(_) => return false,
        };
        let Ok(path) = PathAndQuery::try_from(normal) else {
            return false;
        };
        let mut parts = request.uri().clone().into_parts();
        parts.path_and_query = Some(path);
        let uri = Uri::from_parts(parts);
        uri.map(|uri| *request.uri_mut() = uri).is_ok()
    }

    /// What policies look at; nothing if the connection is needed and unknown.
    pub(crate) fn of<B>(
        self,
        request: &Request<B>,
        needs_connection: bool,
    ) -> Option<HttpRequest<'_>> {
        let extensions = request.extensions();
        let peer = extensions.get::<PeerIdentity>();
        let connection = match extensions.get::<ConnectionInfo>() {
            Some(info) => {
                let mut connection = Connection::of(info, peer);
                connection.remote = match extensions.get::<ClientAddress>() {
                    Some(client) => client.0,
                    None => self.forwarding.client(connection.source, request.headers()),
                };
                connection
            }
            None if needs_connection => return None,
            // No policy looks at the addresses.
            None => {
                let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
                let peer = peer.map(|peer| peer.0.as_str());
                Connection {
                    peer,
                    ..Connection::new(nowhere, nowhere)
                }
            }
        };
        Some(HttpRequest::of(request, connection))
    }
}
