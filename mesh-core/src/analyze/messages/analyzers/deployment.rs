//! Deployments behind services that contradict each other, and applications that run as the proxy.

use std::collections::{BTreeMap, BTreeSet};

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{
    Context, PROXY, PodTemplate, Report, full_name, has_all, is_control_plane, is_labelled,
};
use crate::resource::kubernetes::deployment::Deployment;
use crate::resource::kubernetes::pod::{PodSpec, SecurityContext};
use crate::resource::kubernetes::service::{Service, ServicePort};
use crate::resource::{Metadata, Resource};

/// The user that the proxy runs as: what this user sends is not captured.
const PROXY_USER: i64 = 1337;

/// Label of what Istio manages for gateways.
const MANAGED: &str = "gateway.istio.io/managed";

/// Services of one Deployment have to agree on the protocol of a port, and on the port of a target.
pub(super) fn services(context: &Context<'_>, report: &mut Report) {
    for deployment in &context.resources.deployments {
        let template = &deployment.spec.spec.template;
        let pod = PodTemplate {
            namespace: &deployment.metadata.namespace,
            labels: &template.metadata.labels,
            annotations: &template.metadata.annotations,
            spec: &template.spec,
        };
        let is_waypoint = is_labelled(deployment, MANAGED, "istio.io-mesh-controller");
        if is_waypoint || !context.is_in_mesh(&pod) {
            continue;
        }
        let services = context.resources.services.iter().map(AsRef::as_ref);
        let behind = services.filter(|service: &&Resource<Service>| {
            let selector = &service.spec.spec.selector;
            !selector.is_empty()
                && has_all(pod.labels, selector)
                && service.metadata.namespace == deployment.metadata.namespace
        });
        let behind: Vec<_> = behind.collect();
        protocols(deployment, &behind, report);
        targets(deployment, &behind, report);
    }
}

/// Reports ports that services have with different protocols.
fn protocols(
    deployment: &Resource<Deployment>,
    services: &[&Resource<Service>],
    report: &mut Report,
) {
    let mut ports: BTreeMap<u16, BTreeMap<&str, Vec<String>>> = BTreeMap::new();
    for (service, port) in ports_of(services) {
        let protocol = port
            .protocol
            .as_deref()
            .filter(|protocol| !protocol.is_empty());
        let protocols = ports.entry(port.port).or_default();
        let names = protocols.entry(protocol.unwrap_or("TCP")).or_default();
        names.push(full_name(&service.metadata));
    }
    for (port, protocols) in ports.iter().filter(|(_, protocols)| protocols.len() > 1) {
        let mut names: Vec<&str> = protocols.values().flatten().map(String::as_str).collect();
        names.sort_unstable();
        let names = format!("[{}]", names.join(" "));
        let code = Code::DeploymentAssociatedToMultipleServices;
        report.about(deployment, code, &[&deployment.metadata.name, port, &names]);
    }
}

/// Reports ports of the pods that services have by different ports of their own.
fn targets(
    deployment: &Resource<Deployment>,
    services: &[&Resource<Service>],
    report: &mut Report,
) {
    let mut targets: BTreeMap<String, BTreeMap<u16, String>> = BTreeMap::new();
    for (service, port) in ports_of(services) {
        let target = port.target_port.as_ref().map(ToString::to_string);
        let target = target.filter(|target| !target.is_empty() && target != "0");
        let target = target.unwrap_or_else(|| port.port.to_string());
        let by_port = targets.entry(target).or_default();
        by_port.insert(port.port, full_name(&service.metadata));
    }
    for (target, by_port) in targets.iter().filter(|(_, by_port)| by_port.len() > 1) {
        let mut names: Vec<&str> = by_port.values().map(String::as_str).collect();
        names.sort_unstable();
        let names = format!("[{}]", names.join(" "));
        let ports: Vec<String> = by_port.keys().map(ToString::to_string).collect();
        let ports = format!("[{}]", ports.join(" "));
        let name = &deployment.metadata.name;
        report.about(
            deployment,
            Code::DeploymentConflictingPorts,
            &[name, &names, target, &ports],
        );
    }
}

fn ports_of<'a>(
    services: &'a [&'a Resource<Service>],
) -> impl Iterator<Item = (&'a Resource<Service>, &'a ServicePort)> {
    services.iter().flat_map(|service| {
        let ports = service.spec.spec.ports.iter();
        ports.map(move |port| (*service, port))
    })
}

/// No application may run as the user that the proxy runs as.
pub(super) fn user(context: &Context<'_>, report: &mut Report) {
    for pod in &context.resources.pods {
        if runs_as_proxy(&pod.metadata, &pod.spec.spec) {
            report.about(pod, Code::InvalidApplicationUid, &[]);
        }
    }
    for deployment in &context.resources.deployments {
        if runs_as_proxy(&deployment.metadata, &deployment.spec.spec.template.spec) {
            report.about(deployment, Code::InvalidApplicationUid, &[]);
        }
    }
}

fn runs_as_proxy(metadata: &Metadata, spec: &PodSpec) -> bool {
    let is_proxy_user = |security: &Option<SecurityContext>| {
        security.and_then(|security| security.run_as_user) == Some(PROXY_USER)
    };
    let own: BTreeSet<&str> = [PROXY, "istio-operator"].into();
    let mut applications = spec
        .containers
        .iter()
        .filter(|container| !own.contains(container.name.as_str()));
    !is_control_plane(metadata)
        && (is_proxy_user(&spec.security_context)
            || applications.any(|container| is_proxy_user(&container.security_context)))
}
