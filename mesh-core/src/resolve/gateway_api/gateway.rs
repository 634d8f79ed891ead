//! Which Gateways a workload runs.
//!
//! A Gateway is run by the workload that was deployed for it, which has its name in a label, or by
//! that behind the Service that it names as its address.

use crate::config::services::ServiceTarget;
use crate::model::Notice;
use crate::resolve::context::Context;
use crate::resolve::gateway_api::reason::{Reason, Refusal};
use crate::resolve::place::Place;
use crate::resource::Resource;
use crate::resource::gateway_api::gateway::{Gateway, GatewayAddress};
use crate::service::ServiceName;

/// Label of the workload that was deployed for a Gateway.
const NAME_LABEL: &str = "gateway.networking.k8s.io/gateway-name";
/// Annotation with the name of what is deployed for a Gateway.
const NAME_OVERRIDE: &str = "gateway.istio.io/name-override";
/// The controller whose Gateways are run here.
const CONTROLLER: &str = "istio.io/gateway-controller";
/// The class that has this controller without being declared.
const BUILT_IN_CLASS: &str = "istio";

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
        let ports = ports(context, resource, &targets);
        if ports.is_empty() && !deployed_for_it {
            return None;
        }
        let origin = resource.origin();
        let root = Place::root(&origin, &resource.source);
        let spec = root.field("spec");
        if !is_of_controller(context, resource) {
            let class = &resource.spec.gateway_class_name;
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
            notices.push(refusal.at(&spec.field("tls").field("backend")));
        }
        notices.extend(address_notices(&resource.spec, &spec.field("addresses")));
        Some(RunGateway {
            resource,
            ports,
            deployed_for_it,
        })
    })
    .collect()
}

/// Whether the Gateway is deployed by its controller (`IsManaged`): unless it names a Service.
fn is_managed(gateway: &Gateway) -> bool {
    match gateway.addresses.as_slice() {
        [] => true,
        [only] => is_ip(only),
        _ => false,
    }
}

fn is_ip(address: &GatewayAddress) -> bool {
    address.r#type.as_deref().unwrap_or("IPAddress") == "IPAddress"
}

fn is_named(context: &Context<'_>, gateway: &Resource<Gateway>) -> bool {
    context.workload.labels.value(NAME_LABEL) == Some(&gateway.metadata.name)
}

/// Whether the class has the controller whose Gateways are run here.
fn is_of_controller(context: &Context<'_>, gateway: &Resource<Gateway>) -> bool {
    let class = &gateway.spec.gateway_class_name;
    let classes = &context.config.resources().gateway_api.gateway_classes;
    let declared = classes.iter().find(|found| found.metadata.name == *class);
    match declared {
        Some(declared) => declared.spec.controller_name == CONTROLLER,
        None => class == BUILT_IN_CLASS,
    }
}

/// The ports of the Gateway's Services, and those of the workload behind them.
fn ports(
    context: &Context<'_>,
    gateway: &Resource<Gateway>,
    targets: &[ServiceTarget<'_>],
) -> Vec<(u16, u16)> {
    let services = services(context, gateway);
    let own = targets
        .iter()
        .filter(|target| services.contains(&target.service.hostname));
    own.map(|target| (target.port.number, target.target_port))
        .collect()
}

/// The hosts of the Services of a Gateway (`extractGatewayServices`).
fn services(context: &Context<'_>, gateway: &Resource<Gateway>) -> Vec<String> {
    let metadata = &gateway.metadata;
    let domain = context.config.domain();
    let hostname = |name: &str| ServiceName::new(&metadata.namespace, name).hostname(domain);
    if is_managed(&gateway.spec) {
        let name = metadata.annotations.get(NAME_OVERRIDE).cloned();
        let class = &gateway.spec.gateway_class_name;
        let name = name.unwrap_or_else(|| format!("{}-{class}", metadata.name));
        return vec![hostname(&name)];
    }
    let addresses = gateway.spec.addresses.iter();
    let names = addresses.filter(|address| is_hostname(address));
    let names = names.filter_map(|address| address.value.as_deref());
    names
        .map(|name| match name.contains('.') {
            true => name.to_ascii_lowercase(),
            false => hostname(name),
        })
        .collect()
}

fn is_hostname(address: &GatewayAddress) -> bool {
    address.r#type.as_deref() == Some("Hostname")
}

fn address_notices(gateway: &Gateway, place: &Place<'_>) -> Vec<Notice> {
    if is_managed(gateway) {
        return Vec::new();
    }
    let addresses = gateway.addresses.iter().enumerate();
    let ignored = addresses.filter(|(_, address)| !is_hostname(address));
    ignored
        .map(|(index, _)| {
            let message = "only addresses of the type `Hostname` are supported; it is ignored";
            Refusal::new(Reason::UnsupportedAddress, message).at(&place.index(index))
        })
        .collect()
}
