//! Rules for TLS and TCP (`matchTLS`, `matchTCP` in `pilot/pkg/networking/core/tls.go`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::Notice;
use crate::model::listener::TcpProxy;
use crate::model::route::WeightedDestination;
use crate::resolve::place::Place;
use crate::resolve::traffic_policy;
use crate::resolve::virtual_service::context::RouteContext;
use crate::resource::istio::virtual_service::{
    L4MatchAttributes, RouteDestination, TlsMatchAttributes,
};

/// Whether a match block for TLS, of an object of `namespace`, is for the workload and listener.
pub(in crate::resolve) fn is_tls_for(
    context: &RouteContext<'_>,
    block: &TlsMatchAttributes,
    namespace: &str,
) -> bool {
    let TlsMatchAttributes {
        sni_hosts: _,
        destination_subnets: _,
        port,
        source_labels,
        gateways,
        source_namespace,
    } = block;
    is_at(context, *port, gateways, namespace) && is_from(context, source_labels, source_namespace)
}

/// Whether a match block for TCP, of an object of `namespace`, is for the workload and listener.
/// `sourceSubnet` has no effect in Istio.
pub(in crate::resolve) fn is_tcp_for(
    context: &RouteContext<'_>,
    block: &L4MatchAttributes,
    namespace: &str,
) -> bool {
    let L4MatchAttributes {
        destination_subnets: _,
        port,
        source_subnet: _,
        source_labels,
        gateways,
        source_namespace,
    } = block;
    is_at(context, *port, gateways, namespace) && is_from(context, source_labels, source_namespace)
}

/// Whether a match block, of an object of `namespace`, is for the listener: its port and gateways,
/// where it names some. Gateways look at no more than that.
pub(in crate::resolve) fn is_at(
    context: &RouteContext<'_>,
    port: u32,
    gateways: &[String],
    namespace: &str,
) -> bool {
    (port == 0 || port == u32::from(context.port))
        && (gateways.is_empty() || context.is_bound(gateways, namespace))
}

fn is_from(context: &RouteContext<'_>, labels: &BTreeMap<String, String>, namespace: &str) -> bool {
    let workload = context.workload;
    let mut labels = labels.iter();
    labels.all(|(key, value)| workload.labels.value(key) == Some(value))
        && (namespace.is_empty() || namespace == workload.namespace)
}

/// Where the connections of a rule of an object of `namespace` go. `place` is that of the list.
pub(in crate::resolve) fn proxy(
    context: &RouteContext<'_>,
    written: &[RouteDestination],
    namespace: &str,
    place: &Place<'_>,
) -> Result<TcpProxy, Notice> {
    let only = written.len() == 1;
    let mut destinations = Vec::with_capacity(written.len());
    for (index, route) in written.iter().enumerate() {
        let place = place.index(index);
        let weight = u32::try_from(route.weight).map_err(|_| {
            place
                .field("weight")
                .notice("the rule is left out: negative weight")
        })?;
        if weight == 0 && !only {
            continue;
        }
        let destination = route.destination.as_ref().filter(|to| !to.host.is_empty());
        let destination = destination
            .ok_or_else(|| place.notice("the rule is left out: the destination has no host"))?;
        let mut weighted = WeightedDestination::new(context.cluster(destination, namespace));
        weighted.weight = if only { 1 } else { weight };
        weighted.origin = place.origin();
        destinations.push(weighted);
    }
    if destinations.is_empty() {
        return Err(place.notice("the rule is left out: no destination gets connections"));
    }
    let first = written.first().and_then(|route| route.destination.as_ref());
    let service = first.and_then(|to| {
        let host = context.config.resolve_host(&to.host, namespace);
        context.service(&host)
    });
    let rules = context.config.destination_rules();
    let rule = service.and_then(|service| rules.lookup(service, context.workload));
    Ok(traffic_policy::tcp_proxy(destinations, rule))
}

/// The networks that a block names. An address is a network of itself.
pub(in crate::resolve) fn networks(
    written: &[String],
    place: &Place<'_>,
) -> Result<Vec<IpNet>, Notice> {
    let networks = written.iter().enumerate().map(|(index, text)| {
        let network = text.parse::<IpNet>().ok();
        let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let refuse = || {
            let message = format_args!("the rule is left out: `{text}` is not a network");
            place.index(index).notice(message)
        };
        network.map(|network| network.trunc()).ok_or_else(refuse)
    });
    networks.collect()
}
