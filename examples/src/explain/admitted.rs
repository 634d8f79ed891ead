use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use http::Request;
use mesh_core::attributes::{ClientAddress, ConnectionInfo, PeerIdentity, TlsInfo};
use mesh_core::decision::Step;
use mesh_core::model::listener::HttpConnection;
use mesh_core::origin::Origin;
use mesh_policy::authz::Forwarding;
use mesh_tls::xfcc::ForwardClientCert;

use super::Asked;
use crate::gateway::{MeshWide, header_policy};
use crate::headers::forwarded::{Peer, Trust};
use crate::headers::{Refusal, Scheme};

/// The request as all that decides about it sees it, once the gateway has admitted it by the header
/// policy of `http`; and what was done to it. `random` becomes its identifier.
///
/// A certificate of the caller is not known, so that no header tells it.
pub(super) fn admit(
    (wide, http): (&MeshWide, &HttpConnection),
    asked: &Asked,
    client_cert: ForwardClientCert,
    random: u64,
) -> Result<(Request<()>, Vec<Step>), Refusal> {
    let mut request = Request::from_parts(asked.parts.clone(), ());
    let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, asked.port));
    let forwarding = Forwarding::of(http);
    if forwarding != Forwarding::edge(0) {
        // Afterwards the header has the peer appended.
        let client = forwarding.client(asked.source, request.headers());
        request.extensions_mut().insert(ClientAddress(client));
    }
    request.extensions_mut().insert(ConnectionInfo {
        peer: SocketAddr::new(asked.source, 0),
        local,
        tls: tls(asked),
    });
    if let Some(peer) = &asked.peer {
        request.extensions_mut().insert(PeerIdentity(peer.clone()));
    }

    let policy = header_policy(http, wide);
    let scheme = match asked.is_encrypted() {
        true => Scheme::Https,
        false => Scheme::Http,
    };
    let nobody = Trust::default();
    let trust = policy.forwarded.as_ref().unwrap_or(&nobody);
    let peer = Peer::new(asked.source, scheme, trust).connected_to(asked.port, trust);
    policy.admit(&mut request, &peer, scheme, || u128::from(random))?;
    let client_cert = match (client_cert, &asked.peer) {
        (ForwardClientCert::AppendForward | ForwardClientCert::ForwardOnly, Some(_)) => {
            ForwardClientCert::AlwaysForwardOnly
        }
        (mode, _) => mode,
    };
    client_cert.apply(request.headers_mut(), None);
    let steps = changes(asked, &request);
    Ok((request, steps))
}

fn tls(asked: &Asked) -> Option<TlsInfo> {
    let server_name = asked.is_tls.then(|| asked.host.as_str().into());
    let tls = TlsInfo {
        server_name,
        ..TlsInfo::default()
    };
    asked.is_encrypted().then_some(tls)
}

/// What of a request is not as it was asked about, as far as it is less.
fn changes(asked: &Asked, admitted: &Request<()>) -> Vec<Step> {
    let mut steps = Vec::new();
    let path = admitted.uri().path();
    if path != asked.parts.uri.path() {
        let origin = Origin::synthetic("pathNormalization");
        steps.push(Step::applied(
            "path",
            origin,
            format!("normalized to `{path}`"),
        ));
    }
    let names = asked.parts.headers.keys();
    let removed = names.filter(|name| !admitted.headers().contains_key(*name));
    let removed: BTreeSet<_> = removed.map(|name| format!("`{name}`")).collect();
    if !removed.is_empty() {
        let removed: Vec<_> = removed.into_iter().collect();
        let what = format!(
            "without {}, which clients may not send on",
            removed.join(", ")
        );
        steps.push(Step::applied("headers", Origin::synthetic("gateway"), what));
    }
    steps
}
