//! How layers see a request.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::uri::{PathAndQuery, Uri};
use http::{Extensions, Request};
use mesh_core::attributes::{ClaimedIdentity, ClientAddress, ConnectionInfo, PeerIdentity};
use mesh_core::path::Normalization;

use super::attributes::{Connection, HttpRequest};
use super::forwarding::Forwarding;

/// How layers see a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct View {
    pub(crate) normalization: Normalization,
    pub(crate) forwarding: Forwarding,
    /// Whether headers are believed of members of the mesh alone.
    pub(crate) is_for_members: bool,
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
                    None => {
                        let is_believed = !self.is_for_members || is_member(extensions);
                        let forwarding = Some(self.forwarding).filter(|_| is_believed);
                        let forwarding = forwarding.unwrap_or_default();
                        forwarding.client(connection.source, request.headers())
                    }
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

    /// The client that a stranger names, who is not believed.
    pub(crate) fn alleged_client<B>(self, request: &Request<B>) -> Option<IpAddr> {
        let extensions = request.extensions();
        let peer = extensions.get::<ConnectionInfo>()?.peer.ip();
        let is_known = extensions.get::<ClientAddress>().is_some() || is_member(extensions);
        let is_asked = self.is_for_members && !is_known;
        is_asked.then(|| self.forwarding.client(peer, request.headers()))
    }
}

/// Whether the caller has proven to be a member of the mesh.
fn is_member(extensions: &Extensions) -> bool {
    extensions.get::<PeerIdentity>().is_some() && extensions.get::<ClaimedIdentity>().is_none()
}
