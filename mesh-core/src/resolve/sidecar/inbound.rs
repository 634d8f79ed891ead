//! Inbound listeners: how the application of a sidecar is called (`buildInboundListeners`).
//!
//! One listener takes all captured connections. Each port of the workload that a service leads to,
//! or that the Sidecar resource lists, has chains there, and the rest passes through. Which chains
//! there are depends on the protocol of the port and on whether callers must prove an identity.

mod cluster;
mod conditions;
mod ports;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::features::Features;
use crate::model::Notice;
use crate::model::listener::{
    Bind, Direction, FilterChain, FilterChainMatch, HttpConnection, Listener, NetworkFilter,
    ServerTls, TcpProxy,
};
use crate::model::policy::{MtlsMode, PeerPolicy};
use crate::model::retry::RetryPolicy;
use crate::model::route::{
    Forward, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, WeightedDestination,
};
use crate::origin::Origin;
use crate::resolve::context::Parts;
use crate::resolve::peer;
use crate::resolve::sidecar::inbound::conditions::{Condition, Tls, conditions, terminated};
use crate::resolve::sidecar::inbound::ports::Port;
use crate::resolve::sidecar::{Sidecar, capture, chains};
use crate::resolve::virtual_service::retry;
use crate::service::{ClusterName, Protocol};

/// The cluster of ports that nobody declared.
const PASSTHROUGH: &str = "InboundPassthroughCluster";

/// Adds the inbound listeners, their routes and their clusters.
pub(super) fn resolve(sidecar: &Sidecar<'_>, parts: &mut Parts) {
    let context = sidecar.context;
    // The notices of the policies are given where all policies are resolved.
    let policy = peer::policy(context.config, context.workload, &mut Vec::new());
    let ports = ports::of_workload(sidecar, &mut parts.notices);
    let mut captured = vec![capture::black_hole(
        "virtualInbound-blackhole",
        sidecar.inbound_port(),
    )];
    captured.extend(passthrough_chains(sidecar, &policy, &ports, parts));
    let mut listeners = Vec::new();
    for port in ports.values() {
        let chains = port_chains(sidecar, port, policy.mode_of(port.number), parts);
        parts.clusters.push(cluster::of_port(sidecar, port));
        if port.captured {
            captured.extend(chains);
        } else {
            listeners.push(listener(
                sidecar,
                port.bind.clone(),
                chains,
                port.origin.clone(),
            ));
        }
    }
    let bind = Bind::Ip {
        address: sidecar.wildcard(),
        port: sidecar.inbound_port(),
    };
    let origin = Origin::synthetic("inbound listener of a sidecar");
    let mut capturing = listener(sidecar, bind, captured, origin);
    capturing.name = "virtualInbound".to_owned();
    parts.listeners.push(capturing);
    parts.listeners.extend(listeners);
    parts.clusters.push(cluster::passthrough(sidecar));
}

fn listener(
    sidecar: &Sidecar<'_>,
    bind: Bind,
    filter_chains: Vec<FilterChain>,
    origin: Origin,
) -> Listener {
    let options = sidecar.context.config.options();
    Listener {
        name: super::entries::name(&bind),
        direction: Direction::Inbound,
        declared_port: bind.port().unwrap_or(0),
        bind,
        captured: false,
        filter_chains,
        default_filter_chain: None,
        protocol_detection_timeout: options.protocol_detection_timeout(),
        proxy_protocol: false,
        origin,
    }
}

/// The chains of a port.
fn port_chains(
    sidecar: &Sidecar<'_>,
    port: &Port,
    mode: MtlsMode,
    parts: &mut Parts,
) -> Vec<FilterChain> {
    let features = sidecar.context.config.features();
    let tls = port.tls.as_ref();
    let enabled = tls.filter(|_| features.tls_on_sidecar_ingress);
    let protocol = match enabled {
        Some(_) => port.protocol.after_tls_termination(),
        None => port.protocol,
    };
    let settings = enabled.filter(|_| mode == MtlsMode::Disable);
    if tls.is_some() && settings.is_none() {
        parts.notices.push(ignored_tls(port, features));
    }
    let conditions = match settings {
        Some(_) => terminated(protocol),
        None => conditions(mode, protocol),
    };
    let cluster = ClusterName::inbound(port.number);
    if conditions.iter().any(|condition| condition.is_http) {
        let routes = routes(sidecar, &cluster, port.service_port, protocol, &port.origin);
        let configurations = &mut parts.route_configurations;
        configurations.insert(cluster.as_str().to_owned(), Arc::new(routes));
    }
    let made = conditions.into_iter().map(|condition| {
        let mut chain = chain(&condition, Some(port.number), &cluster, &port.origin);
        chain.name = super::entries::name(&port.bind);
        if let (Tls::Terminated, Some(settings)) = (condition.tls, settings) {
            chain.tls = Some(ServerTls::Sidecar(settings.clone()));
        }
        chain
    });
    made.collect()
}

/// The TLS of a port counts only where Sidecars may have any, and that of the mesh is off.
fn ignored_tls(port: &Port, features: &Features) -> Notice {
    let number = port.number;
    let message = match features.tls_on_sidecar_ingress {
        true => format!(
            "`tls` is ignored: the mode of the PeerAuthentication for port {number} is not DISABLE, \
             so that the TLS of the mesh ends there"
        ),
        false => {
            "`tls` is ignored, as Istio does without `ENABLE_TLS_ON_SIDECAR_INGRESS`".to_owned()
        }
    };
    Notice {
        origin: port.origin.clone(),
        message,
    }
}

/// The chains of ports that nobody declared. Ports that a policy names on its own have chains of
/// their own.
fn passthrough_chains(
    sidecar: &Sidecar<'_>,
    policy: &PeerPolicy,
    declared: &BTreeMap<u16, Port>,
    parts: &mut Parts,
) -> Vec<FilterChain> {
    let cluster = ClusterName::from(PASSTHROUGH);
    let origin = Origin::synthetic("ports that no service leads to");
    let routes = routes(sidecar, &cluster, 0, Protocol::Unsupported, &origin);
    let configurations = &mut parts.route_configurations;
    configurations.insert(PASSTHROUGH.to_owned(), Arc::new(routes));
    let own = policy.ports.iter();
    let own = own.filter(|(port, _)| !declared.contains_key(port));
    let own = own.map(|(port, mode)| (Some(*port), *mode));
    let all = std::iter::once((None, policy.mode)).chain(own);
    let chains = all.flat_map(|(port, mode)| {
        let conditions = conditions(mode, Protocol::Unsupported).into_iter();
        conditions.map(move |condition| (port, condition))
    });
    let chains = chains.map(|(port, condition)| {
        let mut chain = chain(&condition, port, &cluster, &origin);
        chain.name = match condition.is_http {
            true => "virtualInbound-catchall-http".to_owned(),
            false => "virtualInbound".to_owned(),
        };
        chain
    });
    chains.collect()
}

fn chain(
    condition: &Condition,
    port: Option<u16>,
    cluster: &ClusterName,
    origin: &Origin,
) -> FilterChain {
    let filter = match condition.is_http {
        true => NetworkFilter::Http(HttpConnection {
            use_remote_address: false,
            ..HttpConnection::new(cluster.as_str())
        }),
        false => {
            let mut destination = WeightedDestination::new(cluster.clone());
            destination.origin = origin.clone();
            NetworkFilter::Tcp(TcpProxy::to([destination]))
        }
    };
    let matches = FilterChainMatch {
        destination_port: port,
        transport: condition.transport,
        application_protocols: condition.alpn.iter().map(ToString::to_string).collect(),
        ..FilterChainMatch::default()
    };
    let mut chain = chains::chain(matches, filter, origin.clone());
    chain.tls = (condition.tls == Tls::Terminated).then(|| ServerTls::Mesh {
        alpn: conditions::offered(condition.is_http),
    });
    chain
}

/// The routes of a port: one, to the workload (`BuildDefaultHTTPInboundRoute`).
fn routes(
    sidecar: &Sidecar<'_>,
    cluster: &ClusterName,
    service_port: u16,
    protocol: Protocol,
    origin: &Origin,
) -> RouteConfiguration {
    let mut destination = WeightedDestination::new(cluster.clone());
    destination.origin = origin.clone();
    let mut forward = Forward::to([destination]);
    forward.retry = retry_policy(sidecar, protocol).map(Arc::new);
    let action = RouteAction::Forward(Box::new(forward));
    let mut route = Route::new("default", RouteMatch::default(), action);
    route.origin = origin.clone();
    let mut host = VirtualHost::new(format!("inbound|http|{service_port}"), ["*"], [route]);
    host.origin = origin.clone();
    RouteConfiguration {
        name: cluster.as_str().to_owned(),
        virtual_hosts: vec![host],
        ..RouteConfiguration::default()
    }
}

/// When a sidecar tries its own application again: twice, if the request cannot have reached it.
/// Never for gRPC.
fn retry_policy(sidecar: &Sidecar<'_>, protocol: Protocol) -> Option<RetryPolicy> {
    if protocol.is_grpc() {
        return None;
    }
    let options = sidecar.context.config.options();
    let written = options.default_inbound_http_retry_policy();
    let retry_on = written.map_or("", |written| &written.retry_on);
    let mut policy = retry::policy(written, true)?;
    if retry_on.is_empty() {
        policy.retry_on = vec!["reset-before-request".to_owned()];
    }
    Some(RetryPolicy {
        per_try_timeout: None,
        avoid_previous_hosts: false,
        host_selection_attempts: 1,
        avoid_previous_priorities: false,
        ..policy
    })
}
