//! The manifests of a test, with what a cluster adds to them.

use std::fs;
use std::path::Path;

use mesh_core::resource::Object;
use serde_json::{Value, json};

use super::mesh;
use crate::case::list;
use crate::configuration::Configuration;
use crate::stage::echo::{Log, ServiceName};
use crate::stage::pods::Pods;

const BASE: &str = "base/manifests.yaml";
const CLASS: &str = "istio";
/// What the suite puts in the place of its parameters.
const PARAMETERS: [(&str, &str); 2] = [
    ("{GATEWAY_CLASS_NAME}", CLASS),
    ("{GATEWAY_CONTROLLER_NAME}", "istio.io/gateway-controller"),
];

/// Reads the manifests of `test` and starts a pod for each Deployment.
pub(super) async fn load(
    test: &Value,
    directory: &Path,
    log: &Log,
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
    for resource in mesh::resources() {
        configuration.add_value(&resource)?;
    }
    let mut pods = Pods::default();
    for (service, labels) in deployments(&configuration) {
        pods.start(service, &labels, log)
            .await
            .map_err(|error| error.to_string())?;
    }
    for (service, labels) in mesh::pods() {
        pods.start(service, &labels, log)
            .await
            .map_err(|error| error.to_string())?;
    }
    configuration.assign_addresses();
    for pod in pods.resources() {
        configuration.add_value(pod)?;
    }
    Ok((configuration, pods))
}

/// The name and the pod labels of each Deployment.
fn deployments(configuration: &Configuration) -> Vec<(ServiceName, Value)> {
    let objects = configuration.objects().iter();
    let deployments = objects.filter_map(|object| {
        let Object::Deployment(deployment) = object else {
            return None;
        };
        let name = ServiceName {
            namespace: deployment.metadata.namespace.clone(),
            name: deployment.metadata.name.clone(),
        };
        Some((name, json!(deployment.spec.spec.template.metadata.labels)))
    });
    deployments.collect()
}
