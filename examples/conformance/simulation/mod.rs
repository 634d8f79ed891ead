//! Istio's simulated traffic: configuration, a workload, and where the workload's calls end up.
//!
//! A call is decided as Envoy would decide it: listener, filter chain, virtual host, route, cluster.
//! Nothing is sent. A case of kind `rds` has no calls; it names the clusters of virtual hosts.

mod call;
mod connection;
mod domains;

use std::path::Path;

use mesh_core::config::features::Features;
use mesh_core::model::Model;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use serde_json::Value;

use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::configuration::Configuration;

/// Runs all cases.
pub(crate) fn run(document: &Value, _: &Path) -> Vec<Case> {
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let name = id(&[text(case, "test"), text(case, "name")]);
        let model = model(case);
        if text(case, "kind") == "rds" {
            cases.push(
                name.clone(),
                with(&model, |model| domains::compare(case, model)),
            );
        }
        for call in list(case, "calls") {
            let outcome = with(&model, |model| call::compare(call, model));
            cases.push(id(&[&name, text(call, "name")]), outcome);
        }
    }
    cases.into_vec()
}

fn with(model: &Result<Model, String>, compare: impl FnOnce(&Model) -> Outcome) -> Outcome {
    match model {
        Ok(model) => compare(model),
        Err(why) => Outcome::Failed(format!("refused: {why}")),
    }
}

/// The case's configuration, resolved for its node.
fn model(case: &Value) -> Result<Model, String> {
    // The simulated cluster has no domain of its own in Istio's configuration.
    let mut configuration = Configuration::new("default").with_config_domain("");
    configuration.add_yaml("config.yaml", text(case, "config"))?;
    configuration.add_yaml("kubernetes.yaml", text(case, "kube_config"))?;
    for object in list(case, "config_objects") {
        configuration.add_value(object)?;
    }
    if let Some(mesh) = case.get("mesh_config") {
        configuration.set_mesh(mesh)?;
    }
    configuration.set_features(features(case));
    let node = case.get("node").unwrap_or(&Value::Null);
    Ok(resolve(&configuration.build()?, &workload(node)))
}

/// What the case sets of istiod's environment.
fn features(case: &Value) -> Features {
    let written = case.get("features");
    let is_on = |name: &str| {
        let value = written.and_then(|features| features.get(format!("Sym(features.{name})")));
        value.and_then(Value::as_bool).unwrap_or(false)
    };
    Features {
        scope_gateway_to_namespace: is_on("ScopeGatewayToNamespace"),
        tls_on_sidecar_ingress: is_on("EnableTLSOnSidecarIngress"),
    }
}

/// The node, with what Istio's simulation fills in.
fn workload(node: &Value) -> Workload {
    let namespace = match text(node, "namespace") {
        "" => "default",
        namespace => namespace,
    };
    let mut workload = match text(node, "type") {
        "gateway" | "router" => Workload::gateway(namespace),
        _ => Workload::sidecar(namespace),
    };
    for (key, value) in node
        .get("labels")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        workload = workload.with_label(key, value.as_str().unwrap_or_default());
    }
    let addresses = list(node, "ips").iter().filter_map(Value::as_str);
    workload.addresses = addresses
        .filter_map(|address| address.parse().ok())
        .collect();
    if workload.addresses.is_empty() {
        workload.addresses.push([1, 1, 1, 1].into());
    }
    workload
}
