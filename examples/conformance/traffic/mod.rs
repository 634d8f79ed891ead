//! Istio's end-to-end traffic tests, through real sockets.
//!
//! The services of the tests are echo services; our proxy is the sidecar before each, and the ingress
//! gateway. A case passes if the checks of all its calls hold.

mod calls;
mod check;
mod credentials;
mod hashing;
mod names;
mod needs;
mod redirects;
mod request;
mod shares;
mod world;

use std::path::Path;

use serde_json::Value;

use self::calls::Caller;
use self::check::Judgement;
use self::world::{NAMESPACE, World};
use crate::case::{Case, Cases, Outcome, id, list, text};
use crate::configuration::Configuration;
use crate::stage::pods::Pods;
use crate::stage::scene::{Scene, runtime};

/// Runs all cases.
pub(crate) fn run(document: &Value, _: &Path) -> Vec<Case> {
    let world = World::new(list(document, "ports"));
    let mut cases = Cases::default();
    for case in list(document, "cases") {
        let line = case.get("line").map(Value::to_string).unwrap_or_default();
        let name = id(&[text(case, "group"), text(case, "name"), &line]);
        let outcome = match &world {
            Ok(world) => outcome(case, world),
            Err(why) => Outcome::Failed(why.clone()),
        };
        cases.push(name, outcome);
    }
    cases.into_vec()
}

fn outcome(case: &Value, world: &World) -> Outcome {
    if let Some(why) = needs::more_than_there_is(case) {
        return Outcome::Unsupported(why);
    }
    let scene = match scene(case, world) {
        Ok(scene) => scene,
        // As `kubectl` does, which is stricter than the clients of the tests.
        Err(why) if why.contains("duplicate key") => return Outcome::Unsupported(why),
        Err(why) => return Outcome::Failed(format!("refused: {why}")),
    };
    let (calls, judgement) = (list(case, "calls"), Judgement::of(case));
    let outcomes = calls
        .iter()
        .map(|call| Caller::new(&scene, world).call(call, judgement));
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
    let mut configuration = Configuration::new(NAMESPACE);
    configuration.add_yaml("case.yaml", &rendered(case))?;
    let secrets = credentials::secrets(configuration.objects())?;
    for resource in world.resources().iter().chain(&secrets) {
        configuration.add_value(resource)?;
    }
    configuration.assign_addresses();
    let mut pods = Pods::default();
    for pod in world.pods() {
        pods.add(pod);
    }
    for pod in pods.resources() {
        configuration.add_value(&pod)?;
    }
    Scene::new(runtime()?, configuration.build()?, pods)
}

/// The case's configuration, with what the corpus has not got of it: where the test's template has
/// the destination of the call there is nothing, and where it has each of a list there is the list as
/// a text.
fn rendered(case: &Value) -> String {
    let call = list(case, "calls").first().unwrap_or(&Value::Null);
    let destination = call.get("to").map_or("", |to| text(to, "service"));
    let config = text(case, "config");
    let lines = config.lines().map(|line| match line.trim() {
        "-" | "host:" => format!("{} {destination}", line.trim_end()),
        written => elements(line, written).unwrap_or_else(|| line.to_owned()),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A line for each element of the list that a line has as a text.
fn elements(line: &str, written: &str) -> Option<String> {
    let list = written.strip_prefix("- \"['")?.strip_suffix("']\"")?;
    let indentation = &line[..line.len() - line.trim_start().len()];
    let elements = list.split("', '");
    let lines: Vec<String> = elements
        .map(|element| format!("{indentation}- \"{element}\""))
        .collect();
    Some(lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::rendered;

    #[test]
    fn what_the_corpus_has_not_got_is_filled_in() {
        let case = json!({
            "calls": [{"to": {"service": "b"}}],
            "config": "hosts:\n  -\nhost:\naddresses:\n  - \"['1.2.3.4', '::1']\"\n  - kept",
        });
        let expected = "hosts:\n  - b\nhost: b\naddresses:\n  - \"1.2.3.4\"\n  - \"::1\"\n  - kept";
        assert_eq!(rendered(&case), expected);
    }
}
