//! Steps of the Gateway API conformance tests, through real sockets.
//!
//! The manifests of a test become configuration, its Deployments echo services, its gateways and
//! sidecars our proxy; the status of resources needs none of it. Steps of UDP are unsupported.

mod certificates;
mod expectation;
mod manifests;
mod mesh;
mod status;
mod status_part;
mod status_step;
mod steps;
mod transport;

use std::path::Path;

use mesh_core::resource::kind::Kind;
use serde_json::Value;

use self::certificates::Certificates;
use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::gateway_api::steps::Steps;

/// Features that Istio does not have, and why.
const UNKNOWN_FEATURES: [(&str, &str); 2] = [
    (
        "MeshClusterIPMatching",
        "a sidecar routes HTTP by its host, as Istio's does, not by its address",
    ),
    (
        "GatewayHTTPSListenerDetectMisdirectedRequests",
        "Istio's gateways do not tell requests of other listeners from their own",
    ),
];

/// Runs the steps of all tests.
pub(crate) fn run(document: &Value, directory: &Path) -> Vec<Case> {
    let manifests = directory.join("gateway-api").join("manifests");
    let certificates = Certificates::new();
    let mut cases = Cases::default();
    for test in list(document, "tests") {
        let outcomes = match &certificates {
            Ok(certificates) => test_outcomes(test, &manifests, certificates),
            Err(why) => failed(test, &why.to_string()),
        };
        let mut statuses = match &certificates {
            Ok(certificates) => status::outcomes(test, &manifests, certificates),
            Err(_) => Vec::new(),
        };
        for (index, (step, outcome)) in list(test, "steps").iter().zip(outcomes).enumerate() {
            let number = format!("{index:03}");
            let kind = text(step, "kind");
            let of_status = statuses.get_mut(index).and_then(Option::take);
            let outcome = of_status.unwrap_or(outcome);
            cases.push(id(&[text(test, "name"), &number, kind]), outcome);
        }
    }
    cases.into_vec()
}

fn test_outcomes(test: &Value, manifests: &Path, certificates: &Certificates) -> Vec<Outcome> {
    let steps = list(test, "steps");
    if steps.iter().all(|step| unsupported(test, step).is_some()) {
        return steps.iter().map(|step| refusal(test, step)).collect();
    }
    let mut deleted = None;
    let mut scene = match Steps::load(test, manifests, certificates, deleted) {
        Ok(scene) => scene,
        Err(why) => return failed(test, &why),
    };
    // What was mirrored is looked for after all requests were sent.
    let mut outcomes: Vec<Option<Outcome>> = Vec::new();
    for step in steps {
        let kind = deletion(step).and_then(Result::ok);
        if kind.is_some() && kind != deleted {
            deleted = kind;
            scene = match Steps::load(test, manifests, certificates, deleted) {
                Ok(scene) => scene,
                Err(why) => return failed(test, &why),
            };
        }
        outcomes.push(run_now(test, step, &scene));
    }
    for (step, outcome) in steps.iter().zip(&mut outcomes) {
        outcome.get_or_insert_with(|| scene.mirrored(step));
    }
    outcomes.into_iter().flatten().collect()
}

/// All steps fail, but those that are not supported.
fn failed(test: &Value, why: &str) -> Vec<Outcome> {
    let steps = list(test, "steps").iter();
    steps
        .map(|step| match unsupported(test, step) {
            Some(why) => Outcome::unsupported(why),
            None => Outcome::failed(why),
        })
        .collect()
}

/// The kind of resources that are deleted before a step, if any are; or what is not understood.
fn deletion(step: &Value) -> Option<Result<Kind, &str>> {
    let (_, what) = text(step, "case").split_once(" after deleting ")?;
    Some(match what.contains("reference grant") {
        true => Ok(Kind::ReferenceGrant),
        false => Err(what),
    })
}

/// The outcome of a step; `None` if it has to wait for the others.
fn run_now(test: &Value, step: &Value, scene: &Steps<'_>) -> Option<Outcome> {
    if let Some(why) = unsupported(test, step) {
        return Some(Outcome::unsupported(why));
    }
    let outcome = match text(step, "kind") {
        "mirror" => return None,
        "grpc" => scene.grpc(step),
        "mesh_http" => scene.mesh(step),
        "tcp" => scene.tcp(step),
        "tls_connect" => scene.tls_connect(step),
        "weights" => scene.weights(step),
        _ => scene.http(step),
    };
    Some(scene.scene.explained(outcome))
}

fn refusal(test: &Value, step: &Value) -> Outcome {
    Outcome::unsupported(unsupported(test, step).unwrap_or_default())
}

/// Why a step cannot be run.
fn unsupported(test: &Value, step: &Value) -> Option<&'static str> {
    if deletion(step).is_some_and(|kind| kind.is_err()) {
        return Some("the test deletes resources of an unknown kind before this step");
    }
    let kind = text(step, "kind");
    let features = list(test, "features");
    let is_of_test = |(unknown, _): &&(&str, &str)| features.iter().any(|one| one == unknown);
    if kind != "status"
        && let Some((_, why)) = UNKNOWN_FEATURES.iter().find(is_of_test)
    {
        return Some(why);
    }
    let is_udp = || list(test, "features").iter().any(|one| one == "UDPRoute");
    match kind {
        "grpc" | "http" | "http_retry" | "https" | "mesh_http" | "mirror" | "tcp"
        | "tls_connect" => None,
        "status" => Some("needs no gateway"),
        "udp" => Some("UDP is not proxied"),
        "weights" if is_udp() => Some("UDP is not proxied"),
        "weights" => None,
        _ => Some("a step of unknown kind"),
    }
}
