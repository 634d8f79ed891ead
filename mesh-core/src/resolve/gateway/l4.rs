//! Where the rules of a VirtualService for TLS and TCP send the connections of a gateway.
//!
//! Of the conditions of a rule a gateway looks at port, gateways and server names only; subnets,
//! labels and namespace of the client are for sidecars (`l4SingleMatch` in
//! `pilot/pkg/networking/core/gateway.go`).

use crate::model::Notice;
use crate::resolve::gateway::server::{TcpBinding, TlsBinding};
use crate::resolve::place::Place;
use crate::resolve::virtual_service::{RouteContext, l4};
use crate::resource::Resource;
use crate::resource::istio::VirtualService;
use crate::resource::istio::virtual_service::{
    L4MatchAttributes, RouteDestination, TlsMatchAttributes,
};

/// Marks a VirtualService that was made of a route of the Gateway API.
const PARENTS_ANNOTATION: &str = "internal.istio.io/parents";

/// Where the first rule that applies at the listener sends connections.
pub(super) fn tcp(
    context: &RouteContext<'_>,
    vs: &Resource<VirtualService>,
    notices: &mut Vec<Notice>,
) -> Option<TcpBinding> {
    let rule = tcp_rule(context, vs).or_else(|| terminated_tls_rule(context, vs))?;
    let (list, index, destinations) = rule;
    let origin = vs.origin();
    let root = Place::root(&origin, &vs.source);
    let spec = root.field("spec");
    let list = spec.field(list);
    let place = list.index(index);
    let namespace = &vs.metadata.namespace;
    match l4::proxy(context, destinations, namespace, &place.field("route")) {
        Ok(proxy) => Some(TcpBinding {
            proxy,
            origin: place.origin(),
        }),
        Err(notice) => {
            notices.push(notice);
            None
        }
    }
}

/// The list that a rule is in, its index there, and its destinations.
type Rule<'a> = (&'static str, usize, &'a [RouteDestination]);

fn tcp_rule<'a>(context: &RouteContext<'_>, vs: &'a Resource<VirtualService>) -> Option<Rule<'a>> {
    let namespace = &vs.metadata.namespace;
    let is_for =
        |found: &L4MatchAttributes| l4::is_at(context, found.port, &found.gateways, namespace);
    let mut rules = vs.spec.tcp.iter().enumerate();
    let (index, rule) = rules.find(|(_, rule)| {
        let applies = rule.r#match.is_empty() || rule.r#match.iter().any(is_for);
        applies && !rule.route.is_empty()
    })?;
    Some(("tcp", index, &rule.route))
}

/// The rule for TLS of what was a TLSRoute, which is taken where the gateway terminates TLS.
fn terminated_tls_rule<'a>(
    context: &RouteContext<'_>,
    vs: &'a Resource<VirtualService>,
) -> Option<Rule<'a>> {
    let parents = vs.metadata.annotations.get(PARENTS_ANNOTATION)?;
    if !context.tls || !parents.starts_with("TLSRoute/") {
        return None;
    }
    let namespace = &vs.metadata.namespace;
    let is_for =
        |found: &TlsMatchAttributes| l4::is_at(context, found.port, &found.gateways, namespace);
    let mut rules = vs.spec.tls.iter().enumerate();
    let (index, rule) = rules.find(|(_, rule)| rule.r#match.iter().any(is_for))?;
    Some(("tls", index, &rule.route))
}

/// The rules for TLS that apply at the listener: one binding for each match.
pub(super) fn tls(
    context: &RouteContext<'_>,
    vs: &Resource<VirtualService>,
    notices: &mut Vec<Notice>,
) -> Vec<TlsBinding> {
    let origin = vs.origin();
    let root = Place::root(&origin, &vs.source);
    let spec = root.field("spec");
    let list = spec.field("tls");
    let namespace = &vs.metadata.namespace;
    let mut bindings = Vec::new();
    for (index, rule) in vs.spec.tls.iter().enumerate() {
        let place = list.index(index);
        let proxy = match l4::proxy(context, &rule.route, namespace, &place.field("route")) {
            Ok(proxy) => proxy,
            Err(notice) => {
                notices.push(notice);
                continue;
            }
        };
        let matches = place.field("match");
        let written = rule.r#match.iter().enumerate();
        let applying =
            written.filter(|(_, found)| l4::is_at(context, found.port, &found.gateways, namespace));
        bindings.extend(applying.map(|(index, found)| {
            let names = found.sni_hosts.iter();
            TlsBinding {
                server_names: names.map(|name| name.to_ascii_lowercase()).collect(),
                proxy: proxy.clone(),
                origin: matches.index(index).origin(),
            }
        }));
    }
    bindings
}
