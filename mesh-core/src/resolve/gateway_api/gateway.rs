//! Which Gateways a workload runs.
//!
//! A Gateway is run by the workload that was deployed for it, which has its name in a label, or by
//! that behind the Service that it names as its address.

use crate::config::MeshConfig;
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::config::services::ServiceTarget;
use crate::model::Notice;
use crate::resolve::context::Context;
use crate::resolve::gateway_api::class::{self, CONTROLLER};
use crate::resolve::place::Place;
use crate::resource::Resource;
use crate::resource::gateway_api::gateway::{Gateway, GatewayAddress};
use crate::service::ServiceName;

/// Label of the workload that was deployed for a Gateway.
const NAME_LABEL: &str = "gateway.networking.k8s.io/gateway-name";
/// Annotation with the name of what is deployed for a Gateway.
const NAME_OVERRIDE: &str = "gateway.istio.io/name-override";
/// Annotation with the type of the Service of a Gateway, once.
const SERVICE_TYPE: &str = "networking.istio.io/service-type";
/// Type of the addresses that are names of Services.
const HOSTNAME: &str = "Hostname";
/// Type of an address that does not say.
const IP_ADDRESS: &str = "IPAddress";

/// A Gateway that the workload runs.
#[derive(Debug)]
pub(super) struct RunGateway<'a> {
    /// The Gateway.
    pub(super) resource: &'a Resource<Gateway>,
    ports: Vec<(u16, u16)>,
    // Whether ports that no Service translates are bound as they are.
    deployed_for_it: bool,
}

impl RunGateway<'_> {
    /// The ports to bind for the declared `port`: what the Services make of it.
    pub(super) fn bound_ports(&self, port: u16) -> Vec<u16> {
        let translated = self.ports.iter().filter(|(declared, _)| *declared == port);
        let mut bound: Vec<u16> = translated.map(|(_, bound)| *bound).collect();
        if bound.is_empty() && self.deployed_for_it {
            bound.push(port);
        }
        bound.sort_unstable();
        bound.dedup();
        bound
    }
}

/// The Gateways that the workload runs, the oldest first.
pub(super) fn run_by<'a>(context: &Context<'a>, notices: &mut Vec<Notice>) -> Vec<RunGateway<'a>> {
    let targets = context.config.services().targets(context.workload);
    let gateways = context.config.resources().gateway_api.gateways.iter();
    let own = gateways.filter(|found| found.metadata.namespace == context.workload.namespace);
    own.filter_map(|resource| {
        let deployed_for_it = is_managed(&resource.spec) && is_named(context, resource);
        let ports = ports(context.config, resource, &targets);
        if ports.is_empty() && !deployed_for_it {
            return None;
        }
        let origin = resource.origin();
        let root = Place::root(&origin, &resource.source);
        let spec = root.field("spec");
        let class = &resource.spec.gateway_class_name;
        if class::controller(context.config, class) != Some(CONTROLLER) {
            let place = spec.field("gatewayClassName");
            notices.push(place.notice(format_args!(
                "the controller of the class `{class}` is not `{CONTROLLER}`; the Gateway is \
                 left to it"
            )));
            return None;
        }
        let tls = resource.spec.tls.as_ref();
        if tls.is_some_and(|tls| tls.backend.is_some()) {
            let message = "no client certificate is presented to backends";
            let refusal = Refusal::new(Reason::UnsupportedValue, message);
            let tls = spec.field("tls");
            notices.push(refusal.at(&tls.field("backend")).into());
        }
        let addresses = spec.field("addresses");
        for (index, _) in ignored_addresses(&resource.spec) {
            let message = "only addresses of the type `Hostname` are supported; it is ignored";
            let refusal = Refusal::new(Reason::UnsupportedAddress, message);
            notices.push(refusal.at(&addresses.index(index)).into());
        }
        Some(RunGateway {
            resource,
            ports,
            deployed_for_it,
        })
    })
    .collect()
}

/// Whether the Gateway is deployed by its controller (`IsManaged`): unless it names a Service.
pub(crate) fn is_managed(gateway: &Gateway) -> bool {
    match gateway.addresses.as_slice() {
        [] => true,
        [only] => address_type(only) == IP_ADDRESS,
        _ => false,
    }
}

fn address_type(address: &GatewayAddress) -> &str {
    address.r#type.as_deref().unwrap_or(IP_ADDRESS)
}

/// The addresses, by index, of a Gateway that names Services which are no such names.
pub(crate) fn ignored_addresses(
    gateway: &Gateway,
) -> impl Iterator<Item = (usize, &GatewayAddress)> {
    let is_managed = is_managed(gateway);
    let addresses = gateway.addresses.iter().enumerate();
    addresses.filter(move |(_, address)| !is_managed && address_type(address) != HOSTNAME)
}

/// Why the addresses of a Gateway cannot all be had (`extractGatewayServices`).
pub(crate) fn address_refusal(gateway: &Resource<Gateway>) -> Option<Refusal> {
    let ignored: Vec<&str> = ignored_addresses(&gateway.spec)
        .map(|(_, address)| address.value.as_deref().unwrap_or_default())
        .collect();
    if !ignored.is_empty() {
        let ignored = ignored.join(" ");
        let message = format!("only Hostname is supported, ignoring [{ignored}]");
        return Some(Refusal::new(Reason::UnsupportedAddress, message));
    }
    let annotations = &gateway.metadata.annotations;
    if is_managed(&gateway.spec) || !annotations.contains_key(SERVICE_TYPE) {
        return None;
    }
    let message =
        format!("annotation {SERVICE_TYPE} is deprecated, use Spec.Infrastructure.Routeability");
    Some(Refusal::new(Reason::DeprecatedField, message))
}

fn is_named(context: &Context<'_>, gateway: &Resource<Gateway>) -> bool {
    context.workload.labels.value(NAME_LABEL) == Some(&gateway.metadata.name)
}

/// The ports of the Gateway's Services, and those of the workload behind them.
fn ports(
    config: &MeshConfig,
    gateway: &Resource<Gateway>,
    targets: &[ServiceTarget<'_>],
) -> Vec<(u16, u16)> {
    let services = services(config, gateway);
    let own = targets
        .iter()
        .filter(|target| services.contains(&target.service.hostname));
    own.map(|target| (target.port.number, target.target_port))
        .collect()
}

/// The hosts of the Services of a Gateway (`extractGatewayServices`).
pub(crate) fn services(config: &MeshConfig, gateway: &Resource<Gateway>) -> Vec<String> {
    let metadata = &gateway.metadata;
    let hostname =
        |name: &str| ServiceName::new(&metadata.namespace, name).hostname(config.domain());
    if is_managed(&gateway.spec) {
        let name = metadata.annotations.get(NAME_OVERRIDE).cloned();
        let class = &gateway.spec.gateway_class_name;
        let name = name.unwrap_or_else(|| format!("{}-{class}", metadata.name));
        return vec![hostname(&name)];
    }
    let addresses = gateway.spec.addresses.iter();
    let names = addresses.filter(|address| address_type(address) == HOSTNAME);
    let names = names.filter_map(|address| address.value.as_deref());
    names
        .map(|name| match name.contains('.') {
            true => name.to_ascii_lowercase(),
            false => hostname(name),
        })
        .collect()
}
