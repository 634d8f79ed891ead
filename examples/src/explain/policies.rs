use std::net::{Ipv4Addr, SocketAddr};

use http::Request;
use mesh_core::attributes::ClientAddress;
use mesh_core::decision::{Decision, Step};
use mesh_core::model::Model;
use mesh_core::origin::Origin;
use mesh_policy::authz::{Connection, HttpRequest, Outcome, PolicySet};

use super::Asked;
use crate::gateway::MeshWide;

/// What policies judge.
#[derive(Clone, Copy)]
pub(super) enum Seen<'a> {
    /// A request as the gateway has admitted it.
    Request(&'a Request<()>),
    /// A connection that carries no HTTP.
    Connection,
}

/// Whether the authorization policies of `model` let pass what was `seen`, and which rules
/// decide.
pub(super) fn judge(
    (model, wide): (&Model, &MeshWide),
    asked: &Asked,
    seen: Seen<'_>,
) -> Result<Decision<Outcome>, String> {
    let domains = wide.options.trust_domains();
    let domains = domains.map_err(|error| error.to_string())?;
    let policies = PolicySet::compile(&model.policies.authorization, &domains);
    let source = SocketAddr::new(asked.source, 0);
    let destination = SocketAddr::from((Ipv4Addr::UNSPECIFIED, asked.port));
    let mut connection = Connection {
        peer: asked.peer.as_ref().map(|peer| peer.as_str()),
        has_certificate: asked.has_certificate || asked.peer.is_some(),
        server_name: asked.is_tls.then_some(asked.host.as_str()),
        ..Connection::new(source, destination)
    };
    let judged = match seen {
        Seen::Request(request) => {
            if let Some(client) = ClientAddress::of(request.extensions()) {
                connection.remote = client.ip();
            }
            policies.explain(&HttpRequest::of(request, connection))
        }
        Seen::Connection => policies.explain_connection(&connection),
    };
    Ok(settle(judged, wide, matches!(seen, Seen::Request(_))))
}

/// Denies what is left to a provider that cannot be asked.
fn settle(judged: Decision<Outcome>, wide: &MeshWide, is_http: bool) -> Decision<Outcome> {
    let Outcome::Ask(name) = &judged.outcome else {
        return judged;
    };
    let why = match wide.authorizer(name) {
        Ok(found) => match &found.envoy_ext_authz_http {
            Some(http) if !is_http && !http.fail_open => {
                "it is asked about requests of HTTP only".to_owned()
            }
            _ => return judged,
        },
        Err(why) => why.to_string(),
    };
    let subject = format!("provider `{name}`");
    let mut steps = judged.steps;
    steps.push(Step::failed(subject, Origin::synthetic("mesh"), why));
    Decision {
        outcome: Outcome::Deny,
        steps,
    }
}
