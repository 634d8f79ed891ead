//! Istio's end-to-end traffic tests, through real sockets.
//!
//! The services of the tests are echo services, the sidecar of the caller or the ingress gateway is
//! our proxy. A case passes if the checks of all its calls hold. Cases that need more than routing
//! of plaintext HTTP are unsupported.

mod calls;
mod check;
mod needs;
mod shares;
mod world;

use std::path::Path;

use serde_json::{Value, json};

use self::calls::Caller;
use self::world::{NAMESPACE, World};
use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::configuration::Configuration;
use crate::stage::echo::Log;
use crate::stage::pods::Pods;
use crate::stage::scene::{Scene, runtime};

/// Runs all cases.
pub(crate) fn run(document: &Value, _: &Path) -> Vec<Case> {
    let world = World::new(list(document, "ports"));
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let line = case.get("line").map(Value::to_string).unwrap_or_default();
        let name = id(&[text(case, "group"), text(case, "name"), &line]);
        cases.push(name, outcome(case, &world));
    }
    cases.into_vec()
}

fn outcome(case: &Value, world: &World) -> Outcome {
    if let Some(why) = needs::more_than_routing(case) {
        return Outcome::Unsupported(why);
    }
    let scene = match scene(case, world) {
        Ok(scene) => scene,
        Err(why) => return Outcome::Failed(format!("refused: {why}")),
    };
    let calls = list(case, "calls");
    let outcomes = calls
        .iter()
        .map(|call| Caller::new(&scene, world).call(call, shares::are_compared(case)));
    let mut worst = Outcome::Passed;
    for outcome in outcomes {
        match outcome {
            Outcome::Failed(why) => return Outcome::Failed(why),
            Outcome::Unsupported(why) => worst = Outcome::Unsupported(why),
            Outcome::Passed => {}
        }
    }
    worst
}

/// The case's configuration, among the services of the tests.
fn scene(case: &Value, world: &World) -> Result<Scene, String> {
    let runtime = runtime()?;
    let mut configuration = Configuration::new(NAMESPACE);
    configuration.add_yaml("case.yaml", &rendered(case))?;
    for resource in world.resources() {
        configuration.add_value(&resource)?;
    }
    let (log, mut pods) = (Log::default(), Pods::default());
    for service in World::services() {
        let labels = json!({"app": service.name, "version": "v1"});
        let started = runtime.block_on(pods.start(service, &labels, &log));
        started.map_err(|error| error.to_string())?;
    }
    configuration.assign_addresses();
    for pod in pods.resources() {
        configuration.add_value(pod)?;
    }
    Ok(Scene::new(runtime, configuration.build()?, pods, log))
}

/// The case's configuration, with the called service in the places that the corpus left empty:
/// there the test's template has the destination of the call.
fn rendered(case: &Value) -> String {
    let call = list(case, "calls").first().unwrap_or(&Value::Null);
    let destination = call.get("to").map_or("", |to| text(to, "service"));
    let config = text(case, "config");
    let lines = config.lines().map(|line| match line.trim() {
        "-" | "host:" => format!("{} {destination}", line.trim_end()),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
