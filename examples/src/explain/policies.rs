use std::net::{Ipv4Addr, SocketAddr};

use mesh_core::decision::{Decision, Step};
use mesh_core::model::Model;
use mesh_core::model::listener::NetworkFilter;
use mesh_core::origin::Origin;
use mesh_policy::authz::{Connection, Forwarding, HttpRequest, Outcome, PolicySet};

use super::Asked;
use crate::gateway::MeshWide;

/// Whether the authorization policies of `model` let pass what a filter chain with `filter` takes,
/// and which rules decide.
pub(super) fn judge(
    (model, wide): (&Model, &MeshWide),
    asked: &Asked,
    filter: &NetworkFilter,
) -> Result<Decision<Outcome>, String> {
    let domains = wide.options.trust_domains();
    let domains = domains.map_err(|error| error.to_string())?;
    let policies = PolicySet::compile(&model.policies.authorization, &domains);
    let source = SocketAddr::new(asked.source, 0);
    let destination = SocketAddr::from((Ipv4Addr::UNSPECIFIED, asked.port));
    let mut connection = Connection {
        peer: asked.peer.as_ref().map(|peer| peer.as_str()),
        server_name: asked.is_tls.then_some(asked.host.as_str()),
        ..Connection::new(source, destination)
    };
    let judged = match filter {
        NetworkFilter::Http(http) => {
            let forwarding = Forwarding::of(http);
            connection.remote = forwarding.client(asked.source, &asked.parts.headers);
            let path = wide
                .options
                .path_normalization()
                .apply(asked.parts.uri.path());
            let path = path.map_err(|error| error.to_string())?;
            policies.explain(&request(asked, connection, &path))
        }
        NetworkFilter::Tcp(_) => policies.explain_connection(&connection),
        // Where TLS is passed on, the workload that it ends at asks its own.
        NetworkFilter::SniCluster => Decision {
            outcome: Outcome::Allow,
            steps: Vec::new(),
        },
    };
    Ok(settle(
        judged,
        wide,
        matches!(filter, NetworkFilter::Http(_)),
    ))
}

fn request<'a>(asked: &'a Asked, connection: Connection<'a>, path: &'a str) -> HttpRequest<'a> {
    let authority = asked.parts.uri.authority();
    HttpRequest {
        connection,
        method: asked.parts.method.as_str(),
        host: authority.map(|authority| authority.as_str().as_bytes()),
        path,
        headers: &asked.parts.headers,
        claims: asked.claims.as_ref(),
    }
}

/// Denies what is left to a provider that cannot be asked.
fn settle(judged: Decision<Outcome>, wide: &MeshWide, is_http: bool) -> Decision<Outcome> {
    let Outcome::Ask(name) = &judged.outcome else {
        return judged;
    };
    let mut known = wide.options.as_written().extension_providers.iter();
    let found = known.find(|provider| *provider.name == **name);
    let http = found.and_then(|provider| provider.envoy_ext_authz_http.as_ref());
    let grpc = found.and_then(|provider| provider.envoy_ext_authz_grpc.as_ref());
    let why = match (http, grpc) {
        (_, Some(_)) => return judged,
        (Some(http), None) if is_http || http.fail_open => return judged,
        (Some(_), None) => "is asked about requests of HTTP only",
        (None, None) => "is no authorizer of the mesh",
    };
    let subject = format!("provider `{name}`");
    let mut steps = judged.steps;
    steps.push(Step::failed(subject, Origin::synthetic("mesh"), why));
    Decision {
        outcome: Outcome::Deny,
        steps,
    }
}
