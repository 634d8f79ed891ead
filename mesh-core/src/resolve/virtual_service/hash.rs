//! What a consistent hash is taken of: the DestinationRule of the destination says so
//! (`hashForHTTPDestination`).

use crate::config::services::Service;
use crate::model::retry::HashPolicy;
use crate::resolve::virtual_service::context::{RouteContext, destination_port};
use crate::resource::istio::destination_rule::{
    ConsistentHashLb, HttpCookie, LoadBalancerSettings, TrafficPolicy,
};
use crate::resource::istio::virtual_service::Destination;

/// What is hashed of requests to a destination that an object of `namespace` names. What the rule
/// says of single ports counts only if the destination names its port.
pub(in crate::resolve) fn of_destination(
    context: &RouteContext<'_>,
    destination: &Destination,
    namespace: &str,
) -> Option<HashPolicy> {
    let host = context.config.resolve_host(&destination.host, namespace);
    let port = destination_port(destination);
    of_service(context, context.service(&host)?, port, &destination.subset)
}

/// What is hashed of requests to a service: to a port if it is known, and to a subset if that is not
/// empty.
pub(in crate::resolve) fn of_service(
    context: &RouteContext<'_>,
    service: &Service,
    port: Option<u16>,
    subset: &str,
) -> Option<HashPolicy> {
    let rules = context.config.destination_rules();
    let rule = rules.lookup(service, context.workload)?;
    let policy = rule.traffic_policy().map(|(policy, _)| policy);
    let subset = rule
        .subset(subset)
        .and_then(|(subset, _)| subset.traffic_policy.as_ref());
    let of_port = |policy: &'_ TrafficPolicy| {
        let mut ports = policy.port_level_settings.iter();
        let settings = ports.find(|settings| {
            let number = settings.port.as_ref().map(|port| port.number);
            number.is_some() && number == port.map(u32::from)
        });
        hash_of(settings?.load_balancer.as_ref())
    };
    let of_all = |policy: &TrafficPolicy| hash_of(policy.load_balancer.as_ref());
    let own = subset.and_then(|policy| of_port(policy).or_else(|| of_all(policy)));
    own.or_else(|| policy.and_then(|policy| of_port(policy).or_else(|| of_all(policy))))
}

fn hash_of(balancer: Option<&LoadBalancerSettings>) -> Option<HashPolicy> {
    let ConsistentHashLb {
        http_header_name,
        http_cookie,
        use_source_ip,
        http_query_parameter_name,
        ring_hash: _,
        maglev: _,
        minimum_ring_size: _,
    } = balancer?.consistent_hash.as_ref()?;
    if let Some(name) = http_header_name {
        return Some(HashPolicy::Header(name.to_ascii_lowercase()));
    }
    if let Some(cookie) = http_cookie {
        return Some(cookie_hash(cookie));
    }
    if let Some(name) = http_query_parameter_name {
        return Some(HashPolicy::QueryParam(name.clone()));
    }
    (*use_source_ip == Some(true)).then_some(HashPolicy::SourceIp)
}

fn cookie_hash(cookie: &HttpCookie) -> HashPolicy {
    let attributes = cookie.attributes.iter();
    HashPolicy::Cookie {
        name: cookie.name.clone(),
        path: cookie.path.clone(),
        ttl: cookie.ttl.and_then(|ttl| ttl.as_std()),
        attributes: attributes
            .map(|attribute| (attribute.name.clone(), attribute.value.clone()))
            .collect(),
    }
}
