use std::net::{Ipv4Addr, SocketAddr};

use examples::gateway::MeshWide;
use mesh_core::decision::Decision;
use mesh_core::model::Model;
use mesh_policy::authz::{Connection, HttpRequest, Outcome, PolicySet};

use crate::request::Asked;

/// Whether the authorization policies of `model` let a request pass, and which rules decide.
pub(crate) fn judge(
    model: &Model,
    wide: &MeshWide,
    asked: &Asked,
) -> Result<Decision<Outcome>, String> {
    let domains = wide.options.trust_domains();
    let domains = domains.map_err(|error| error.to_string())?;
    let policies = PolicySet::compile(&model.policies.authorization, &domains);
    let path = wide.normalization().apply(asked.parts.uri.path());
    let path = path.map_err(|error| error.to_string())?;
    let source = SocketAddr::new(asked.source, 0);
    let destination = SocketAddr::from((Ipv4Addr::UNSPECIFIED, asked.port));
    let authority = asked.parts.uri.authority();
    let request = HttpRequest {
        connection: Connection {
            peer: asked.peer.as_ref().map(|peer| peer.as_str()),
            server_name: asked.is_tls.then_some(asked.host.as_str()),
            ..Connection::new(source, destination)
        },
        method: asked.parts.method.as_str(),
        host: authority.map(|authority| authority.as_str().as_bytes()),
        path: &path,
        headers: &asked.parts.headers,
        claims: asked.claims.as_ref(),
    };
    Ok(policies.explain(&request))
}
