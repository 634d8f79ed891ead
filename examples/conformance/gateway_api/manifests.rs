//! The manifests of a test, with what a cluster adds to them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use mesh_core::resource::kind::Kind;
use mesh_core::resource::kubernetes::deployment::Deployment;
use mesh_core::resource::{Object, Resource};
use rustls::ServerConfig;
use serde_json::{Value, json};

use super::certificates::Certificates;
use super::mesh;
use crate::case::list;
use crate::configuration::Configuration;
use crate::stage::application::{Application, Spoken};
use crate::stage::echo::ServiceName;
use crate::stage::pods::{Pod, Pods};

const BASE: &str = "base/manifests.yaml";
const CLASS: &str = "istio";
/// What the suite puts in the place of its parameters.
const PARAMETERS: [(&str, &str); 2] = [
    ("{GATEWAY_CLASS_NAME}", CLASS),
    ("{GATEWAY_CONTROLLER_NAME}", "istio.io/gateway-controller"),
];
/// Where the suite's services speak TLS.
const TLS_PORT: u16 = 8443;

/// Reads the manifests of `test`, without the resources of the kind `deleted`, and makes a pod for
/// each Deployment.
pub(super) fn load(
    test: &Value,
    directory: &Path,
    certificates: &Certificates,
    deleted: Option<Kind>,
) -> Result<(Configuration, Pods), String> {
    let mut configuration = Configuration::new("default");
    configuration.add_value(&json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": CLASS},
        "spec": {"controllerName": "istio.io/gateway-controller"},
    }))?;
    let named = list(test, "manifests").iter().filter_map(Value::as_str);
    for file in std::iter::once(BASE).chain(named) {
        let text = fs::read_to_string(directory.join(file));
        let mut text = text.map_err(|error| format!("`{file}`: {error}"))?;
        for (parameter, value) in PARAMETERS {
            text = text.replace(parameter, value);
        }
        configuration.add_yaml(file, &text)?;
    }
    if let Some(kind) = deleted {
        configuration.delete(kind);
    }
    for resource in mesh::resources().iter().chain(certificates.resources()) {
        configuration.add_value(resource)?;
    }
    let tls = certificates.backend().map_err(|error| error.to_string())?;
    let mut pods = Pods::default();
    for object in configuration.objects() {
        if let Object::Deployment(deployment) = object {
            pods.add(pod(deployment, &tls));
        }
    }
    for pod in mesh::pods(&tls) {
        pods.add(pod);
    }
    configuration.assign_addresses();
    for pod in pods.resources() {
        configuration.add_value(&pod)?;
    }
    Ok((configuration, pods))
}

/// A pod of a Deployment of the suite's server, which does what its environment says.
fn pod(deployment: &Resource<Deployment>, tls: &Arc<ServerConfig>) -> Pod {
    let name = ServiceName {
        namespace: deployment.metadata.namespace.clone(),
        name: deployment.metadata.name.clone(),
    };
    let template = &deployment.spec.spec.template;
    let mut environment = template.spec.containers.iter().flat_map(|one| &one.env);
    let spoken = match environment.any(|variable| variable.name == "TCP_ECHO_SERVER") {
        true => Spoken::Lines { greets: true },
        false => Spoken::Http,
    };
    let mut pod = Pod::new(name, template.metadata.labels.clone());
    serve(&mut pod, spoken, tls);
    pod
}

/// Has a pod speak on all ports, and within TLS on one.
pub(super) fn serve(pod: &mut Pod, spoken: Spoken, tls: &Arc<ServerConfig>) {
    let mut encrypted = Application::new(spoken);
    encrypted.tls = Some(Arc::clone(tls));
    pod.applications.insert(TLS_PORT, encrypted);
    pod.otherwise = Some(Application::new(spoken));
}
