//! The ports of a workload.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::services::Service;
use crate::model::Notice;
use crate::model::listener::Bind;
use crate::origin::Origin;
use crate::resolve::cluster::connections;
use crate::resolve::place::Place;
use crate::resolve::sidecar::Sidecar;
use crate::resolve::sidecar::inbound::cluster::Upstream;
use crate::resolve::traffic_policy;
use crate::resource::istio::destination_rule::ConnectionPoolSettings;
use crate::resource::istio::gateway::ServerTlsSettings;
use crate::resource::istio::sidecar::{CaptureMode, IstioIngressListener};
use crate::service::Protocol;

/// A port of the workload.
pub(super) struct Port {
    /// The number that the workload listens on.
    pub(super) number: u16,
    /// The number by which clients know it.
    pub(super) service_port: u16,
    /// What is spoken.
    pub(super) protocol: Protocol,
    /// The socket.
    pub(super) bind: Bind,
    /// Whether connections are captured, so that nothing listens at the socket.
    pub(super) captured: bool,
    /// How TLS ends, in place of the mesh's.
    pub(super) tls: Option<Box<ServerTlsSettings>>,
    /// Where the application is.
    pub(super) upstream: Upstream,
    /// Limits on connections to the application.
    pub(super) connection_pool: Option<Box<ConnectionPoolSettings>>,
    /// What declared it.
    pub(super) origin: Origin,
}

/// The ports of the workload, by number: those that its Sidecar lists, if it lists any, else those
/// of its services, of which the oldest counts.
pub(super) fn of_workload(sidecar: &Sidecar<'_>, notices: &mut Vec<Notice>) -> BTreeMap<u16, Port> {
    let context = sidecar.context;
    let mut ports = BTreeMap::new();
    if let Some(resource) = context.scope.sidecar
        && !resource.spec.ingress.is_empty()
    {
        let origin = resource.origin();
        let root = Place::root(&origin, &resource.source);
        let spec = root.field("spec");
        let list = spec.field("ingress");
        for (index, written) in resource.spec.ingress.iter().enumerate() {
            let place = list.index(index);
            match ingress_port(sidecar, written, &place) {
                Ok(port) => add_port(&mut ports, port, notices),
                Err(notice) => notices.push(notice),
            }
        }
        return ports;
    }
    for target in context.config.services().targets(context.workload) {
        if target.port.protocol == Protocol::Udp {
            continue;
        }
        if sidecar.is_own_port(target.target_port) {
            let message = format!("the proxy itself listens on port {}", target.target_port);
            let origin = target.service.origin.clone();
            notices.push(Notice { origin, message });
            continue;
        }
        let port = Port {
            number: target.target_port,
            service_port: target.port.number,
            protocol: target.port.protocol,
            bind: Bind::Ip {
                address: sidecar.wildcard(),
                port: target.target_port,
            },
            captured: true,
            tls: None,
            upstream: match context.config.options().inbound_to_localhost() {
                true => Upstream::Socket(SocketAddr::new(sidecar.localhost(), target.target_port)),
                false => Upstream::OriginalDestination,
            },
            connection_pool: pool_of_sidecar(sidecar)
                .or_else(|| pool_of_service(sidecar, target.service, target.port.number)),
            origin: target.service.origin.clone(),
        };
        add_port(&mut ports, port, notices);
    }
    ports
}

fn add_port(ports: &mut BTreeMap<u16, Port>, port: Port, notices: &mut Vec<Notice>) {
    let Some(known) = ports.get(&port.number) else {
        ports.insert(port.number, port);
        return;
    };
    if known.protocol != port.protocol && known.origin != port.origin {
        notices.push(Notice {
            message: format!(
                "port {} of the workload is {}, as `{}` has it, which comes before",
                port.number, known.protocol, known.origin
            ),
            origin: port.origin,
        });
    }
}

/// A port that a Sidecar lists.
fn ingress_port(
    sidecar: &Sidecar<'_>,
    written: &IstioIngressListener,
    place: &Place<'_>,
) -> Result<Port, Notice> {
    let IstioIngressListener {
        port,
        bind,
        capture_mode,
        default_endpoint,
        tls,
        connection_pool,
    } = written;
    let number = port
        .as_ref()
        .and_then(|port| u16::try_from(port.number).ok());
    let number = number.filter(|number| *number != 0);
    let number = number.ok_or_else(|| place.notice("the port is left out: it has no number"))?;
    let protocol = Protocol::parse(port.as_ref().map_or("", |port| &port.protocol));
    let own = sidecar.context.workload.addresses.first().copied();
    let address = match bind.as_str() {
        "" => own.unwrap_or_else(|| sidecar.wildcard()),
        written => written.parse().map_err(|_| {
            let message = format_args!("the port is left out: `{written}` is not an address");
            place.field("bind").notice(message)
        })?,
    };
    Ok(Port {
        number,
        service_port: number,
        protocol,
        bind: Bind::Ip {
            address,
            port: number,
        },
        captured: *capture_mode != CaptureMode::None,
        tls: tls.clone().map(Box::new),
        upstream: upstream(sidecar, default_endpoint).ok_or_else(|| {
            let message =
                format_args!("the port is left out: `{default_endpoint}` is not an endpoint");
            place.field("defaultEndpoint").notice(message)
        })?,
        connection_pool: connection_pool
            .clone()
            .map(Box::new)
            .or_else(|| pool_of_sidecar(sidecar))
            .or_else(|| pool_of_port(sidecar, number)),
        origin: place.origin(),
    })
}

/// The limits that a Sidecar sets for all ports.
fn pool_of_sidecar(sidecar: &Sidecar<'_>) -> Option<Box<ConnectionPoolSettings>> {
    let spec = &sidecar.context.scope.sidecar?.spec;
    spec.inbound_connection_pool.clone().map(Box::new)
}

/// The limits that the DestinationRule of the service in front of a listed port sets
/// (`findOrCreateService`), else those of the mesh.
fn pool_of_port(sidecar: &Sidecar<'_>, number: u16) -> Option<Box<ConnectionPoolSettings>> {
    let config = sidecar.context.config;
    let targets = config.services().targets(sidecar.context.workload);
    let target = targets
        .into_iter()
        .find(|target| target.target_port == number);
    match target {
        Some(target) => pool_of_service(sidecar, target.service, number),
        None => connections::default_pool(config.options()),
    }
}

/// The limits that the DestinationRule of a service sets, else those of the mesh.
fn pool_of_service(
    sidecar: &Sidecar<'_>,
    service: &Service,
    port: u16,
) -> Option<Box<ConnectionPoolSettings>> {
    let rule = sidecar.context.inbound_rule(service);
    let options = sidecar.context.config.options();
    traffic_policy::effective(rule, None, port, options).connection_pool
}

/// What a `defaultEndpoint` means, as in Istio (`buildInboundClustersFromSidecar`):
///
/// - Any address is that of the workload of the family that was written, the loopback address of that
///   family if the workload has none.
/// - A loopback address is that of a family that the workload has.
/// - No host is where the client connected to.
fn upstream(sidecar: &Sidecar<'_>, written: &str) -> Option<Upstream> {
    if written.is_empty() {
        return Some(Upstream::OriginalDestination);
    }
    if let Some(path) = written.strip_prefix("unix://") {
        return Some(Upstream::Unix(path.to_owned()));
    }
    let of_any_host = written.strip_prefix(':');
    if of_any_host.is_some_and(|port| port.parse::<u16>().is_ok()) {
        // Istio reads the port in vain without a host.
        return Some(Upstream::OriginalDestination);
    }
    let socket: SocketAddr = written.parse().ok()?;
    let addresses = &sidecar.context.workload.addresses;
    let mut own = addresses.iter();
    let own = own.find(|address| address.is_ipv4() == socket.is_ipv4());
    // Others of 127.0.0.0/8 stay as they are written.
    let is_loopback = socket.ip() == loopback(socket.is_ipv4());
    let ip = match own {
        Some(own) if socket.ip().is_unspecified() => *own,
        None if socket.ip().is_unspecified() => match addresses.is_empty() {
            true => return Some(Upstream::OriginalDestination),
            false => loopback(socket.is_ipv4()),
        },
        // The workload does not speak the family.
        None if is_loopback && !addresses.is_empty() => loopback(!socket.is_ipv4()),
        _ => socket.ip(),
    };
    Some(Upstream::Socket(SocketAddr::new(ip, socket.port())))
}

fn loopback(is_ipv4: bool) -> IpAddr {
    match is_ipv4 {
        true => Ipv4Addr::LOCALHOST.into(),
        false => Ipv6Addr::LOCALHOST.into(),
    }
}
