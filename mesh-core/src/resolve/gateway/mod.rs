//! Listeners and routes of a gateway.
//!
//! The Gateways that select the workload have servers ([`select`]), to which routes bind
//! ([`bind`]). Servers of the same socket are put together ([`merge`]) and become a listener with
//! filter chains ([`listeners`]) and route configurations ([`http`]).
//!
//! A [`GatewayServer`] does not tell which resource asked for it, so that those of an [`ingress`]
//! and of the Gateway API go the same way.

mod auto_passthrough;
mod bind;
mod credential;
mod host_index;
mod http;
mod ingress;
mod l4;
mod listeners;
mod merge;
mod select;
pub(in crate::resolve) mod server;
#[cfg(test)]
mod tests;

use crate::model::Notice;
use crate::resolve::context::{Context, Parts};
use crate::resolve::gateway_api;

use self::bind::Binder;
use self::listeners::Listeners;
use self::server::GatewayServer;

pub(super) fn resolve(context: &Context<'_>) -> Parts {
    let mut notices = Vec::new();
    let mut servers = select::servers(context, &mut notices);
    Binder::new(context).bind(&mut servers, &mut notices);
    servers.extend(gateway_api::servers(context, &mut notices));
    servers.extend(ingress::servers(context, &mut notices));
    assemble(context, servers, notices)
}

/// Makes listeners and routes of servers to which everything is bound. Of servers in conflict the
/// oldest stays, then the first by name and namespace.
pub(in crate::resolve) fn assemble(
    context: &Context<'_>,
    mut servers: Vec<GatewayServer>,
    mut notices: Vec<Notice>,
) -> Parts {
    servers.sort_by(|a, b| {
        let (first, second) = (&a.gateway, &b.gateway);
        (a.created, &first.name, &first.namespace).cmp(&(
            b.created,
            &second.name,
            &second.namespace,
        ))
    });
    let sockets = merge::merge(&servers, context.workload, &mut notices);
    Listeners::new(context, notices).build(&sockets)
}
