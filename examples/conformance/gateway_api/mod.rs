//! Steps of the Gateway API conformance tests, through real sockets.
//!
//! The manifests of a test become configuration, its Deployments echo services, its gateways and
//! sidecars our proxy. Steps that need TLS, TCP, UDP or the status of resources are unsupported.

mod expectation;
mod manifests;
mod mesh;
mod steps;

use std::path::Path;

use serde_json::Value;

use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::gateway_api::steps::Steps;

/// A feature that Istio's sidecars do not have.
const CLUSTER_IP_MATCHING: &str = "MeshClusterIPMatching";

/// Runs the steps of all tests.
pub(crate) fn run(document: &Value, directory: &Path) -> Vec<Case> {
    let manifests = directory.join("gateway-api").join("manifests");
    let mut cases = Cases::default();
    for test in list(document, "tests") {
        let outcomes = test_outcomes(test, &manifests);
        for (index, (step, outcome)) in list(test, "steps").iter().zip(outcomes).enumerate() {
            let number = format!("{index:03}");
            let kind = text(step, "kind");
            cases.push(id(&[text(test, "name"), &number, kind]), outcome);
        }
    }
    cases.into_vec()
}

fn test_outcomes(test: &Value, manifests: &Path) -> Vec<Outcome> {
    let steps = list(test, "steps");
    if steps.iter().all(|step| unsupported(test, step).is_some()) {
        return steps.iter().map(|step| refusal(test, step)).collect();
    }
    let scene = match Steps::load(test, manifests) {
        Ok(scene) => scene,
        Err(why) => {
            let failed = |step: &Value| match unsupported(test, step) {
                Some(why) => Outcome::unsupported(why),
                None => Outcome::Failed(why.clone()),
            };
            return steps.iter().map(failed).collect();
        }
    };
    // What was mirrored is looked for after all requests were sent.
    let mut outcomes: Vec<Option<Outcome>> = steps
        .iter()
        .map(|step| run_now(test, step, &scene))
        .collect();
    for (step, outcome) in steps.iter().zip(&mut outcomes) {
        outcome.get_or_insert_with(|| scene.mirrored(step));
    }
    outcomes.into_iter().flatten().collect()
}

/// The outcome of a step; `None` if it has to wait for the others.
fn run_now(test: &Value, step: &Value, scene: &Steps) -> Option<Outcome> {
    if let Some(why) = unsupported(test, step) {
        return Some(Outcome::unsupported(why));
    }
    match text(step, "kind") {
        "mirror" => None,
        "grpc" => Some(scene.grpc(step)),
        "mesh_http" => Some(scene.mesh(step)),
        "weights" => Some(scene.weights(step)),
        _ => Some(scene.http(step)),
    }
}

fn refusal(test: &Value, step: &Value) -> Outcome {
    Outcome::unsupported(unsupported(test, step).unwrap_or_default())
}

/// Why a step cannot be run.
fn unsupported(test: &Value, step: &Value) -> Option<&'static str> {
    if text(step, "case").contains(" after deleting ") {
        return Some("the test changes its resources before this step");
    }
    if list(test, "features")
        .iter()
        .any(|feature| feature == CLUSTER_IP_MATCHING)
    {
        return Some("a sidecar routes HTTP by its host, as Istio's does, not by its address");
    }
    match text(step, "kind") {
        "grpc" | "http" | "mesh_http" | "mirror" => None,
        "http_retry" => Some("mesh-policy: retries are not built yet"),
        "https" | "tls_connect" => Some("needs TLS"),
        "status" => Some("the status of resources is not written yet"),
        "tcp" => Some("needs a proxy of TCP"),
        "udp" => Some("UDP is not proxied"),
        "weights" if step.get("request").is_some() => None,
        "weights" => Some("needs a proxy of TCP or UDP"),
        _ => Some("a step of unknown kind"),
    }
}
