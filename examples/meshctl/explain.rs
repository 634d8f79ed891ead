use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use examples::gateway::MeshWide;
use mesh_core::decision::{Decision, Step};
use mesh_core::model::Model;
use mesh_core::model::listener::{Direction, FilterChain, Listener, NetworkFilter, Transport};
use mesh_core::workload::WorkloadKind;
use mesh_policy::authz::Outcome;
use mesh_routing::l4::{Connection, FilterChainTable, tcp_destination};
use mesh_routing::table::{Lookup, RouteTable};

use crate::request::{Asked, RequestArguments};
use crate::{Answer, Output, json, policies};

/// Says what `model`, of the mesh `wide`, does with a request.
pub(crate) fn explain(
    (model, wide): (&Model, &MeshWide),
    request: &RequestArguments,
    output: Output,
) -> Result<Answer, String> {
    let asked = request.read()?;
    let (decision, is_good) = decide((model, wide), &asked, request.random)?;
    let text = match output {
        Output::Json => json(&decision),
        Output::Text => format!("{decision}\n"),
    };
    Ok(Answer { text, is_good })
}

fn decide(
    (model, wide): (&Model, &MeshWide),
    asked: &Asked,
    random: u64,
) -> Result<(Decision<String>, bool), String> {
    if model.workload.kind == WorkloadKind::Sidecar {
        return route(model, &asked.port.to_string(), asked, random, Vec::new());
    }
    let listener = listener(model, asked.port)?;
    let table = FilterChainTable::compile(listener).map_err(|errors| errors.to_string())?;
    let chain = table.lookup(&connection(asked)).ok_or_else(|| {
        format!(
            "listener `{}` has no filter chain for the connection",
            listener.name
        )
    })?;
    let taken = Step::matched(
        format!("filter chain of `{}`", listener.name),
        chain.origin.clone(),
    );
    let mut steps = vec![taken];
    if matches!(chain.filter, NetworkFilter::Http(_)) {
        let mut judged = policies::judge(model, wide, asked)?;
        steps.append(&mut judged.steps);
        if judged.outcome == Outcome::Deny {
            let outcome = "denied with 403, `RBAC: access denied`".to_owned();
            return Ok((Decision { outcome, steps }, false));
        }
    }
    through(model, chain, asked, random, steps)
}

fn through(
    model: &Model,
    chain: &FilterChain,
    asked: &Asked,
    random: u64,
    steps: Vec<Step>,
) -> Result<(Decision<String>, bool), String> {
    let outcome = match &chain.filter {
        NetworkFilter::Http(http) => {
            return route(model, &http.route_configuration, asked, random, steps);
        }
        NetworkFilter::SniCluster => {
            "passed through to the cluster that its server name names".to_owned()
        }
        NetworkFilter::Tcp(proxy) => match tcp_destination(proxy, random) {
            Some(destination) => format!("passed through to {:?}", destination.cluster),
            None => "closed".to_owned(),
        },
    };
    Ok((Decision { outcome, steps }, true))
}

fn route(
    model: &Model,
    name: &str,
    asked: &Asked,
    random: u64,
    mut steps: Vec<Step>,
) -> Result<(Decision<String>, bool), String> {
    let routes = model.route_configurations.get(name).ok_or_else(|| {
        let known: Vec<_> = model
            .route_configurations
            .keys()
            .map(String::as_str)
            .collect();
        let hint = match model.workload.kind {
            WorkloadKind::Gateway => "",
            WorkloadKind::Sidecar => {
                ". The workload is taken for a service, for no Gateway selects its labels"
            }
        };
        format!(
            "no routes for port {}; there are: {}{hint}",
            asked.port,
            known.join(", ")
        )
    })?;
    let table = RouteTable::compile(routes).map_err(|errors| errors.to_string())?;
    #[expect(clippy::disallowed_methods, reason = "a command asks at some time")]
    let now = SystemTime::now();
    let decision = table.explain_with_filters(&asked.parts, random, now);
    let is_good = matches!(decision.outcome, Lookup::Matched(_) | Lookup::TlsRedirect);
    let mut decision = decision.map(|outcome| outcome.to_string());
    steps.append(&mut decision.steps);
    decision.steps = steps;
    Ok((decision, is_good))
}

fn listener(model: &Model, port: u16) -> Result<&Listener, String> {
    let inbound = |listener: &&Listener| listener.direction == Direction::Inbound;
    let mut listeners = model.listeners.iter().filter(inbound);
    listeners
        .clone()
        .find(|listener| listener.declared_port == port)
        .ok_or_else(|| {
            let ports: Vec<_> = listeners
                .by_ref()
                .map(|at| at.declared_port.to_string())
                .collect();
            match ports.is_empty() {
                true => "no Gateway selects the workload".to_owned(),
                false => format!(
                    "no Gateway serves port {port}; served: {}",
                    ports.join(", ")
                ),
            }
        })
}

fn connection(asked: &Asked) -> Connection<'_> {
    let destination = SocketAddr::from((Ipv4Addr::UNSPECIFIED, asked.port));
    let mut connection = Connection::to(destination);
    if asked.is_tls {
        connection.transport = Transport::Tls;
        connection.server_name = Some(&asked.host);
    }
    connection
}
