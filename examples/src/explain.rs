//! What becomes of a request, and why: the policies that judge it, and the route that takes it.
//!
//! `meshctl explain` asks about files, and the gateway's `/explain` about what it serves.
//!
//! # Example
//!
//! ```
//! use std::time::SystemTime;
//!
//! use examples::config::Loaded;
//! use examples::explain::{Asked, explain};
//! use examples::gateway::MeshWide;
//! use mesh_core::config::MeshConfig;
//! use mesh_core::resolve::resolve;
//! use mesh_core::workload::Workload;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut loaded = Loaded::default();
//! loaded.add("shop.yaml", "
//! apiVersion: networking.istio.io/v1
//! kind: Gateway
//! metadata: { name: shop }
//! spec:
//!   selector: { istio: ingressgateway }
//!   servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
//! ---
//! apiVersion: security.istio.io/v1
//! kind: AuthorizationPolicy
//! metadata: { name: nobody, namespace: istio-system }
//! spec: {}
//! ".to_owned());
//! let (config, _) = loaded.build(MeshConfig::builder(), 1).map_err(|found| found.to_string())?;
//! let workload = Workload::gateway("istio-system").with_label("istio", "ingressgateway");
//! let model = resolve(&config, &workload);
//!
//! let (parts, ()) = http::Request::get("http://shop.example/").body(())?.into_parts();
//! let asked = Asked::new(parts, 80);
//! let explained = explain((&model, &MeshWide::of(&config)), &asked, 0, SystemTime::UNIX_EPOCH)?;
//! assert!(!explained.is_good);
//! assert_eq!(explained.decision.outcome, "denied with 403, `RBAC: access denied`");
//! # Ok(())
//! # }
//! ```

mod asked;
mod policies;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use mesh_core::decision::{Decision, Step};
use mesh_core::model::Model;
use mesh_core::model::listener::{Direction, FilterChain, Listener, NetworkFilter, Transport};
use mesh_core::model::route::ClusterSpecifier;
use mesh_core::origin::Origin;
use mesh_core::workload::WorkloadKind;
use mesh_policy::authz::Outcome;
use mesh_routing::l4::{Connection, FilterChainTable, tcp_destination};
use mesh_routing::table::{Lookup, RouteTable};

pub use self::asked::{Asked, claims};
use crate::gateway::{MeshWide, virtual_inbound};

/// What becomes of a request.
#[derive(Debug)]
pub struct Explained {
    /// What was decided, and the rules that were considered.
    pub decision: Decision<String>,
    /// Whether the request is answered as somebody meant it to be: not denied, and routed.
    pub is_good: bool,
}

/// Says what `model`, of the mesh `wide`, does with a request at the time `now`; `random` draws among
/// weighted destinations.
///
/// Tokens are not verified, no authorizer is asked, and faults and rate limits are left out.
///
/// # Errors
///
/// When nothing serves the port, or the configuration cannot be compiled; in a sentence.
pub fn explain(
    (model, wide): (&Model, &MeshWide),
    asked: &Asked,
    random: u64,
    now: SystemTime,
) -> Result<Explained, String> {
    let asking = Asking {
        model,
        wide,
        asked,
        random,
        now,
    };
    match (model.workload.kind, asked.is_inbound) {
        (WorkloadKind::Gateway, _) => asking.received_by(gateway_listener(model, asked.port)?),
        (WorkloadKind::Sidecar, true) => {
            let inbound = virtual_inbound(model);
            let inbound = inbound.ok_or_else(|| "the workload takes no requests".to_owned())?;
            asking.received_by(inbound)
        }
        (WorkloadKind::Sidecar, false) => asking.sent(),
    }
}

struct Asking<'a> {
    model: &'a Model,
    wide: &'a MeshWide,
    asked: &'a Asked,
    random: u64,
    now: SystemTime,
}

impl Asking<'_> {
    /// Of a request that the application of a sidecar sends.
    fn sent(&self) -> Result<Explained, String> {
        let elsewhere = Step::applied(
            "policies",
            Origin::synthetic("sidecar"),
            "hold where a request arrives: ask for the workload that is called, as inbound",
        );
        self.route(&self.asked.port.to_string(), vec![elsewhere])
    }

    fn received_by(&self, listener: &Listener) -> Result<Explained, String> {
        let table = FilterChainTable::compile(listener).map_err(|errors| errors.to_string())?;
        let chain = table.lookup(&self.connection()).ok_or_else(|| {
            format!(
                "listener `{}` has no filter chain for the connection",
                listener.name
            )
        })?;
        let name = format!("filter chain of `{}`", listener.name);
        let steps = vec![Step::matched(name, chain.origin.clone())];
        self.through(chain, steps)
    }

    /// What the filter chain does with what policies let pass.
    fn through(&self, chain: &FilterChain, mut steps: Vec<Step>) -> Result<Explained, String> {
        let (model, wide) = (self.model, self.wide);
        let judged = policies::judge((model, wide), self.asked, &chain.filter)?;
        steps.extend(judged.steps);
        let (condition, is_denied) = match judged.outcome {
            Outcome::Allow => (String::new(), false),
            Outcome::Ask(provider) => (format!("if `{provider}` allows it: "), false),
            Outcome::Deny => (String::new(), true),
        };
        let mut explained = match &chain.filter {
            NetworkFilter::Http(_) if is_denied => {
                Explained::bad("denied with 403, `RBAC: access denied`", steps)
            }
            NetworkFilter::Http(http) => self.route(&http.route_configuration, steps)?,
            _ if is_denied => Explained::bad("denied: the connection is closed", steps),
            NetworkFilter::SniCluster => Explained::good(
                "passed through to the cluster that its server name names",
                steps,
            ),
            NetworkFilter::Tcp(proxy) => {
                match tcp_destination(proxy, self.random).map(|to| &to.cluster) {
                    Some(ClusterSpecifier::Name(to)) => {
                        Explained::good(format!("passed through to `{to}`"), steps)
                    }
                    _ => Explained::good("closed", steps),
                }
            }
        };
        explained.decision.outcome.insert_str(0, &condition);
        Ok(explained)
    }

    fn route(&self, name: &str, mut steps: Vec<Step>) -> Result<Explained, String> {
        let routes = self.model.route_configurations.get(name);
        let routes = routes.ok_or_else(|| no_routes(self.model, self.asked.port))?;
        let table = RouteTable::compile(routes).map_err(|errors| errors.to_string())?;
        let parts = &self.asked.parts;
        let found = table.explain_with_filters(parts, self.random, self.now);
        let is_good = matches!(found.outcome, Lookup::Matched(_) | Lookup::TlsRedirect);
        let mut decision = found.map(|outcome| outcome.to_string());
        steps.append(&mut decision.steps);
        decision.steps = steps;
        Ok(Explained { decision, is_good })
    }

    fn connection(&self) -> Connection<'_> {
        let asked = self.asked;
        let destination = SocketAddr::from((Ipv4Addr::UNSPECIFIED, asked.port));
        let mut connection = Connection::to(destination);
        // Whoever proves an identity to a sidecar does so by the TLS of the mesh.
        let is_mesh = asked.is_inbound && asked.peer.is_some();
        if asked.is_tls || is_mesh {
            connection.transport = Transport::Tls;
            connection.server_name = Some(&asked.host);
        }
        connection.application_protocols = match (asked.is_inbound, is_mesh) {
            (false, _) => &[],
            (true, false) => &["http/1.1"],
            (true, true) => &["istio-http/1.1"],
        };
        connection
    }
}

impl Explained {
    fn new(outcome: impl Into<String>, steps: Vec<Step>, is_good: bool) -> Self {
        let outcome = outcome.into();
        Self {
            decision: Decision { outcome, steps },
            is_good,
        }
    }

    fn good(outcome: impl Into<String>, steps: Vec<Step>) -> Self {
        Self::new(outcome, steps, true)
    }

    fn bad(outcome: impl Into<String>, steps: Vec<Step>) -> Self {
        Self::new(outcome, steps, false)
    }
}

fn no_routes(model: &Model, port: u16) -> String {
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
    let known = known.join(", ");
    format!("no routes for port {port}; there are: {known}{hint}")
}

/// The listener of the port that a Gateway declares.
fn gateway_listener(model: &Model, port: u16) -> Result<&Listener, String> {
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
