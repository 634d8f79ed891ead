//! Ports whose protocol cannot be told.

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, is_control_plane};
use crate::origin::FieldPath;
use crate::resource::Resource;
use crate::resource::kubernetes::service::{Service, ServicePort, ServiceType};
use crate::service::{PortNumber, Protocol, Transport};

/// Labels of what controllers make for gateways, by their values.
const MANAGED: [&str; 3] = [
    "istio.io-eastwest-controller",
    "istio.io-gateway-controller",
    "istio.io-mesh-controller",
];

/// The name of a port begins with its protocol, unless `appProtocol` says it.
pub(super) fn names(context: &Context<'_>, report: &mut Report) {
    let root = FieldPath::root();
    let spec = root.field("spec");
    let ports = spec.field("ports");
    for service in context
        .resources
        .services
        .iter()
        .filter(|service| is_users(service))
    {
        let is_external = service.spec.spec.r#type == Some(ServiceType::ExternalName);
        for (index, port) in service.spec.spec.ports.iter().enumerate() {
            let name = port.name.as_deref().unwrap_or_default();
            let is_known = !is_unknown(port) && (!is_external || name != "tcp");
            if is_known {
                continue;
            }
            let at = ports.index(index);
            if is_external {
                report.at(
                    service,
                    &at,
                    Code::ExternalNameServiceTypeInvalidPortName,
                    &[],
                );
            } else {
                let target = port.target_port.as_ref().map(ToString::to_string);
                let target = target.unwrap_or_else(|| "0".to_owned());
                let code = Code::PortNameIsNotUnderNamingConvention;
                report.at(service, &at, code, &[&name, &port.port, &target]);
            }
        }
    }
}

fn is_users(service: &Resource<Service>) -> bool {
    let managed = service.metadata.labels.get("gateway.istio.io/managed");
    !is_control_plane(&service.metadata) && managed.is_none_or(|by| !MANAGED.contains(&by.as_str()))
}

fn is_unknown(port: &ServicePort) -> bool {
    let transport = match port.protocol.as_deref() {
        Some("UDP") => Transport::Udp,
        _ => Transport::Tcp,
    };
    let name = port.name.as_deref().unwrap_or_default();
    let protocol = PortNumber::new(port.port.into())
        .map(|number| Protocol::select(number, name, transport, port.app_protocol.as_deref()));
    protocol.unwrap_or(Protocol::Unsupported) == Protocol::Unsupported
}
