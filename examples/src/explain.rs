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

mod admitted;
mod asked;
mod policies;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use http::Request;
use mesh_core::decision::{Decision, Step};
use mesh_core::model::Model;
use mesh_core::model::listener::{
    Bind, Direction, HttpConnection, Listener, NetworkFilter, TcpProxy, Transport,
};
use mesh_core::model::route::ClusterSpecifier;
use mesh_core::origin::Origin;
use mesh_core::workload::WorkloadKind;
use mesh_policy::authz::Outcome;
use mesh_routing::l4::{Connection, FilterChainTable, tcp_destination};
use mesh_routing::table::{Lookup, RouteTable};
use mesh_tls::xfcc::ForwardClientCert;

pub use self::asked::{Asked, claims};
use self::policies::Seen;
use crate::gateway::{MeshWide, client_cert, virtual_inbound};
use crate::headers::Refusal;

/// What becomes of a request.
#[derive(Debug)]
pub struct Explained {
    /// What was decided, and the rules that were considered.
    pub decision: Decision<String>,
    /// Whether the request is answered as somebody meant it to be: not denied, and routed.
    pub is_good: bool,
}

/// Says what `model`, of the mesh `wide`, does with a request at the time `now`; `random` draws among
/// weighted destinations. The request is judged and routed as the gateway admits it: its path is
/// normalized, and headers are removed that clients may not send.
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
        let name = self.asked.port.to_string();
        let http = outgoing(self.model, &name);
        let (request, mut steps) = match self.admit(&http, ForwardClientCert::Sanitize) {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(Explained::refused(refusal, Vec::new())),
        };
        steps.push(Step::applied(
            "policies",
            Origin::synthetic("sidecar"),
            "hold where a request arrives: ask for the workload that is called, as inbound",
        ));
        self.route(&name, &request, steps)
    }

    fn received_by(&self, listener: &Listener) -> Result<Explained, String> {
        let table = FilterChainTable::compile(listener).map_err(|errors| errors.to_string())?;
        let Decision { outcome, steps } = table.explain(&self.connection());
        let Some(chain) = outcome else {
            let name = &listener.name;
            let closed = format!("closed: no filter chain of `{name}` takes the connection");
            return Ok(Explained::bad(closed, steps));
        };
        match &chain.filter {
            NetworkFilter::Http(http) => {
                let (client_cert, _) = client_cert(self.model, listener, self.wide);
                match self.admit(http, client_cert) {
                    Ok((request, changes)) => {
                        self.judged(http, &request, [steps, changes].concat())
                    }
                    Err(refusal) => Ok(Explained::refused(refusal, steps)),
                }
            }
            NetworkFilter::Tcp(proxy) => self.forwarded(proxy, steps),
            // Where TLS is passed on, the workload that it ends at asks its own policies.
            NetworkFilter::SniCluster => {
                let what = "passed through to the cluster that its server name names";
                Ok(Explained::good(what, steps))
            }
        }
    }

    /// The request as what decides about it sees it, and what was done to it.
    fn admit(
        &self,
        http: &HttpConnection,
        client_cert: ForwardClientCert,
    ) -> Result<(Request<()>, Vec<Step>), Refusal> {
        admitted::admit((self.wide, http), self.asked, client_cert, self.random)
    }

    /// What becomes of a request that policies judge.
    fn judged(
        &self,
        http: &HttpConnection,
        request: &Request<()>,
        steps: Vec<Step>,
    ) -> Result<Explained, String> {
        let (steps, allowed) = self.allow(Seen::Request(request), steps)?;
        let Some(condition) = allowed else {
            let what = "denied with 403, `RBAC: access denied`";
            return Ok(Explained::bad(what, steps));
        };
        let routed = self.route(&http.route_configuration, request, steps)?;
        Ok(routed.on(&condition))
    }

    /// What becomes of a connection that carries no HTTP.
    fn forwarded(&self, proxy: &TcpProxy, steps: Vec<Step>) -> Result<Explained, String> {
        let (steps, allowed) = self.allow(Seen::Connection, steps)?;
        let Some(condition) = allowed else {
            return Ok(Explained::bad("denied: the connection is closed", steps));
        };
        let forwarded = match tcp_destination(proxy, self.random).map(|to| &to.cluster) {
            Some(ClusterSpecifier::Name(to)) => {
                Explained::good(format!("passed through to `{to}`"), steps)
            }
            _ => Explained::good("closed", steps),
        };
        Ok(forwarded.on(&condition))
    }

    /// The steps with those of the policies, and on which condition these let pass what was `seen`; `None`
    /// if they do not.
    fn allow(
        &self,
        seen: Seen<'_>,
        mut steps: Vec<Step>,
    ) -> Result<(Vec<Step>, Option<String>), String> {
        let judged = policies::judge((self.model, self.wide), self.asked, seen)?;
        steps.extend(judged.steps);
        let condition = match judged.outcome {
            Outcome::Allow => Some(String::new()),
            Outcome::Ask(provider) => Some(format!("if `{provider}` allows it: ")),
            Outcome::Deny => None,
        };
        Ok((steps, condition))
    }

    fn route(
        &self,
        name: &str,
        request: &Request<()>,
        mut steps: Vec<Step>,
    ) -> Result<Explained, String> {
        let routes = self.model.route_configurations.get(name);
        let routes = routes.ok_or_else(|| no_routes(self.model, self.asked.port))?;
        let table = RouteTable::compile(routes).map_err(|errors| errors.to_string())?;
        let (parts, ()) = request.clone().into_parts();
        let found = table.explain_with_filters(&parts, self.random, self.now);
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
        if asked.is_encrypted() {
            connection.transport = Transport::Tls;
            connection.server_name = Some(&asked.host);
        }
        connection.application_protocols = match (asked.is_inbound, asked.is_of_mesh()) {
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

    fn refused(refusal: Refusal, mut steps: Vec<Step>) -> Self {
        let (origin, why) = (Origin::synthetic("gateway"), refusal.to_string());
        steps.push(Step::failed("request", origin, why.clone()));
        let status = refusal.status().as_u16();
        Self::bad(format!("refused with {status}: {why}"), steps)
    }

    /// The same on a condition.
    fn on(mut self, condition: &str) -> Self {
        self.decision.outcome.insert_str(0, condition);
        self
    }

    fn bad(outcome: impl Into<String>, steps: Vec<Step>) -> Self {
        Self::new(outcome, steps, false)
    }
}

/// The connection manager of the requests that a workload sends by routes of this name.
fn outgoing(model: &Model, name: &str) -> HttpConnection {
    let listeners = model.listeners.iter();
    let outbound = listeners.filter(|listener| listener.direction == Direction::Outbound);
    let mut chains = outbound.flat_map(|listener| {
        let default = listener.default_filter_chain.as_deref();
        listener.filter_chains.iter().chain(default)
    });
    let found = chains.find_map(|chain| match &chain.filter {
        NetworkFilter::Http(http) if http.route_configuration == name => Some(http.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| HttpConnection {
        use_remote_address: false,
        ..HttpConnection::new(name)
    })
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
    let mut declaring = listeners
        .clone()
        .filter(|listener| listener.declared_port == port);
    // Of several the one at all addresses, as clients are served that name none.
    let any = declaring.clone().find(|listener| is_anywhere(listener));
    any.or_else(|| declaring.next()).ok_or_else(|| {
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

fn is_anywhere(listener: &Listener) -> bool {
    matches!(listener.bind, Bind::Ip { address, .. } if address.is_unspecified())
}
