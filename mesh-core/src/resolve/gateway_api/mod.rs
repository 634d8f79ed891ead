//! Gateways of the Gateway API, and the routes attached to them.
//!
//! The Gateways that the workload runs ([`gateway`]) have listeners ([`listeners`]), to which routes
//! are attached ([`attach`]). Each listener becomes a server, to which [`http`] and [`l4`] bind what
//! [`routes`] makes of rules; servers then go the way of those of Istio's Gateways. Routes that are
//! attached to Services are for sidecars ([`mesh`]).
//!
//! What has no effect, or not the effect that it seems to have, becomes a notice that begins with
//! the reason that the Gateway API has for it. The same verdicts, of all Gateways and for no
//! workload in particular, are the status of the resources (`analyze::status`).

pub(crate) mod attach;
mod backend;
mod certificate;
pub(crate) mod class;
pub(crate) mod client_certificate;
mod filters;
pub(crate) mod finding;
pub(crate) mod gateway;
mod grants;
mod grpc_route;
mod headers;
mod http;
mod http_route;
mod l4;
pub(crate) mod listener;
pub(crate) mod listeners;
mod matches;
pub(crate) mod mesh;
mod mesh_destinations;
mod policies;
pub(crate) mod review;
mod routes;
mod rule;
#[cfg(all(test, feature = "yaml"))]
mod tests;
mod tls;
pub(crate) mod waypoint;

use std::collections::BTreeSet;

use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::model::Notice;
use crate::resolve::context::Context;
use crate::resolve::gateway::server::{Bindings, GatewayName, GatewayServer};
use crate::resolve::place::Place;
use crate::resource::Resource;
use crate::resource::gateway_api::gateway::Gateway;
use crate::service::Protocol;

use self::http::Served;
use self::listener::GatewayListener;
use self::listeners::GatewayListeners;

pub(in crate::resolve) use self::grants::is_secret_granted;
pub(in crate::resolve) use self::mesh::mesh_routes;
pub(in crate::resolve) use self::mesh_destinations::mesh_destinations;
pub(in crate::resolve) use self::policies::backend_tls_notices;

/// The servers of the Gateways that the workload runs, with all that is bound to them.
pub(in crate::resolve) fn servers(
    context: &Context<'_>,
    notices: &mut Vec<Notice>,
) -> Vec<GatewayServer> {
    let mut listeners: Vec<GatewayListener<'_>> = Vec::new();
    let mut servers: Vec<(usize, GatewayServer)> = Vec::new();
    for gateway in gateway::run_by(context, notices) {
        for listener in of_gateway(context, gateway.resource, notices) {
            match server(&listener, gateway.bound_ports(listener.port)) {
                Ok(server) => servers.push((listeners.len(), server)),
                Err(refusal) => notices.push(listener.notice(&refusal)),
            }
            if listener.takes_routes() {
                listeners.push(listener);
            }
        }
    }
    let mut requests = Vec::new();
    let mut connections = Vec::new();
    for (listener, server) in &mut servers {
        let is_http = server.is_http();
        let served = Served {
            listener: *listener,
            server,
        };
        match is_http {
            true => requests.push(served),
            false => connections.push(served),
        }
    }
    http::bind(context, &listeners, requests, notices);
    l4::bind(context, &listeners, connections, notices);
    servers.into_iter().map(|(_, server)| server).collect()
}

/// The namespaces of the Gateways that the workload was deployed for, and of their ListenerSets.
pub(in crate::resolve) fn managed_namespaces<'a>(context: &Context<'a>) -> BTreeSet<&'a str> {
    let mut namespaces = BTreeSet::new();
    // The notices are given where the Gateways are served.
    for gateway in gateway::run_by(context, &mut Vec::new()) {
        if gateway::is_managed(&gateway.resource.spec) {
            let sets = GatewayListeners::of(context.config, gateway.resource).sets;
            namespaces.insert(&*gateway.resource.metadata.namespace);
            namespaces.extend(sets.iter().map(|set| &*set.metadata.namespace));
        }
    }
    namespaces
}

/// The listeners of a Gateway, with those of its ListenerSets.
fn of_gateway<'a>(
    context: &Context<'a>,
    gateway: &'a Resource<Gateway>,
    notices: &mut Vec<Notice>,
) -> Vec<GatewayListener<'a>> {
    let GatewayListeners {
        all,
        sets: _,
        refused,
    } = GatewayListeners::of(context.config, gateway);
    for set in refused {
        let origin = set.origin();
        let place = Place::root(&origin, &set.source);
        notices.push(listeners::not_allowed().at(&place).into());
    }
    all
}

/// The server of a listener at `bound_ports`, with nothing bound to it.
///
/// # Errors
///
/// Why it is not served.
fn server(listener: &GatewayListener<'_>, bound_ports: Vec<u16>) -> Result<GatewayServer, Refusal> {
    if let Some(refusal) = listener.refusal() {
        return Err(refusal);
    }
    let tls = listener.tls.clone()?;
    if bound_ports.is_empty() {
        let message = format!("no Service of the Gateway has port {}", listener.port);
        return Err(Refusal::new(Reason::UnsupportedAddress, message));
    }
    let written = listener.written;
    // The whole name of a pattern, which is never empty.
    let host = format!("*/{}", listener.hostname).parse();
    Ok(GatewayServer {
        gateway: GatewayName {
            namespace: listener.owner.namespace.clone(),
            name: format!(
                "{}~istio-autogenerated-k8s-gateway~{}",
                listener.owner.name, written.name
            ),
        },
        created: listener.owner.creation_timestamp,
        port: listener.port,
        port_name: "default".to_owned(),
        bound_ports,
        protocol: Protocol::parse(&written.protocol),
        bind: String::new(),
        hosts: host.into_iter().collect(),
        tls,
        origin: listener.origin.clone(),
        bindings: Bindings::default(),
    })
}
