//! Ports of Gateways that the Services of their pods do not expose.

use std::collections::BTreeSet;

use super::report_unselective;
use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, has_all, selector_text};
use crate::origin::FieldPath;
use crate::resource::Resource;
use crate::resource::istio::Gateway;
use crate::resource::kubernetes::int_or_string::IntOrString;
use crate::resource::kubernetes::service::ServicePort;

/// A Gateway has to select pods, and its ports have to be ports of a Service of theirs.
pub(in crate::analyze::messages) fn ports(context: &Context<'_>, report: &mut Report) {
    let root = FieldPath::root();
    let spec = root.field("spec");
    let servers = spec.field("servers");
    for gateway in &context.resources.gateways {
        let selector = &gateway.spec.selector;
        if context.selected(selector).next().is_none() {
            report_unselective(gateway, report);
            continue;
        }
        let exposed = exposed(context, gateway);
        let text = selector_text(selector);
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            let number = server.port.as_ref().map(|port| port.number);
            if let Some(number) = number.filter(|number| !exposed.contains(number)) {
                let at = servers.index(index);
                let code = Code::GatewayPortNotDefinedOnService;
                report.at(gateway, &at.field("port"), code, &[&number, &text]);
            }
        }
    }
}

/// The ports that the Services of the Gateway's pods have, and those of the pods that they lead to.
fn exposed(context: &Context<'_>, gateway: &Resource<Gateway>) -> BTreeSet<u32> {
    let mut exposed = BTreeSet::new();
    for pod in context.selected(&gateway.spec.selector) {
        let services = context.resources.services.iter().filter(|service| {
            service.metadata.namespace == pod.metadata.namespace
                && has_all(&pod.metadata.labels, &service.spec.spec.selector)
        });
        for port in services.flat_map(|service| &service.spec.spec.ports) {
            if port.protocol.as_deref() == Some("TCP") {
                exposed.insert(port.port.into());
                exposed.extend(target(port));
            }
        }
    }
    exposed
}

/// The number of the port of the pods, if it is given by number.
fn target(port: &ServicePort) -> Option<u32> {
    match port.target_port.as_ref()? {
        IntOrString::Int(number) => u32::try_from(*number).ok(),
        IntOrString::String(text) => text.parse().ok(),
    }
}
