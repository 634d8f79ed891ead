//! Gateways that serve the same host at the same port of the same pods.

use std::collections::BTreeMap;

use super::report_unselective;
use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, full_name, has_all, selector_text};
use crate::origin::FieldPath;
use crate::resource::Resource;
use crate::resource::istio::Gateway;
use crate::resource::istio::gateway::Server;

/// The hosts of a server, each with the address it is bound to. Of several servers of a Gateway at
/// one port the last counts.
struct Known<'a> {
    name: String,
    server: &'a Server,
}

type Selector = BTreeMap<String, String>;

/// No two Gateways may serve the same host at one port of one pod.
pub(in crate::analyze::messages) fn conflicts(context: &Context<'_>, report: &mut Report) {
    let known = known(context);
    for gateway in &context.resources.gateways {
        let selector = &gateway.spec.selector;
        let text = selector_text(selector);
        let same_pods: Vec<_> = known
            .iter()
            .filter(|((other, _), _)| overlap(context, selector, other))
            .collect();
        if !selector.is_empty() && same_pods.is_empty() {
            report_unselective(gateway, report);
            continue;
        }
        let root = FieldPath::root();
        let spec = root.field("spec");
        let servers = spec.field("servers");
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let port = port(server);
            let at_port = same_pods.iter().filter(|((_, other), _)| *other == port);
            let others = at_port.flat_map(|(_, gateways)| gateways.iter());
            let conflicting = conflicting(gateway, server, others);
            if !conflicting.is_empty() {
                let (names, hosts) = (conflicting.join(","), server.hosts.join(","));
                let at = servers.index(index);
                report.at(
                    gateway,
                    &at,
                    Code::ConflictingGateways,
                    &[&names, &text, &port, &hosts],
                );
            }
        }
    }
}

/// The servers of all Gateways by selector and port.
fn known<'a>(context: &'a Context<'_>) -> BTreeMap<(&'a Selector, u32), Vec<Known<'a>>> {
    let mut known: BTreeMap<_, Vec<Known<'_>>> = BTreeMap::new();
    for gateway in &context.resources.gateways {
        let name = full_name(&gateway.metadata);
        for server in &gateway.spec.servers {
            let at_port = known
                .entry((&gateway.spec.selector, port(server)))
                .or_default();
            at_port.retain(|other| other.name != name);
            at_port.push(Known {
                name: name.clone(),
                server,
            });
        }
    }
    known
}

/// The names of the Gateways other than `gateway` that have a host of `server` at its address.
fn conflicting<'a>(
    gateway: &Resource<Gateway>,
    server: &Server,
    others: impl Iterator<Item = &'a Known<'a>>,
) -> Vec<String> {
    let own = full_name(&gateway.metadata);
    let shares_host = |other: &&Known<'_>| {
        other.name != own
            && other.server.bind == server.bind
            && other
                .server
                .hosts
                .iter()
                .any(|host| server.hosts.contains(host))
    };
    let mut names: Vec<String> = others
        .filter(shares_host)
        .map(|other| other.name.clone())
        .collect();
    names.sort();
    names
}

/// Whether two selectors are the same, or one narrows the other and a pod has both.
fn overlap(context: &Context<'_>, one: &Selector, other: &Selector) -> bool {
    let narrows = || has_all(one, other) || has_all(other, one);
    one == other
        || narrows()
            && context
                .selected(one)
                .any(|pod| has_all(&pod.metadata.labels, other))
}

fn port(server: &Server) -> u32 {
    server
        .port
        .as_ref()
        .map(|port| port.number)
        .unwrap_or_default()
}
