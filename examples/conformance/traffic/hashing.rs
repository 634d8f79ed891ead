//! Whether requests stay at one endpoint. The tests check it in Go.

use std::collections::BTreeSet;

use serde_json::Value;

use super::check::{self, Answer};
use crate::case::{Outcome, list, text};
use crate::stage::scene::Scene;

/// The group of the cases, as the tests have it.
const GROUP: &str = "consistentHashCases";

/// Whether a case compares who answers: it is about consistent hashing, and nothing but that is
/// checked in Go.
pub(super) fn is_compared(case: &Value) -> bool {
    text(case, "group") == GROUP
        && list(case, "calls").iter().all(|call| {
            let check = call.get("check").unwrap_or(&Value::Null);
            let checks = list(check, "args").iter();
            let (code, known): (Vec<_>, Vec<_>) =
                checks.partition(|check| text(check, "fn") == "go-closure");
            text(check, "fn") == "And"
                && !code.is_empty()
                && known
                    .iter()
                    .all(|check| check::unsupported(check).is_none())
        })
}

/// One service answers if a DestinationRule of the case demands consistent hashing, else several.
pub(super) fn compare(scene: &Scene, answers: &[Answer]) -> Outcome {
    let mut services = BTreeSet::new();
    for answer in answers {
        match answer.as_ref().map(|reply| reply.service()) {
            Ok(Some(service)) => _ = services.insert(service.name),
            Ok(None) => return Outcome::failed("the answer is not of a service"),
            Err(why) => return Outcome::Failed(format!("no answer: {why}")),
        }
    }
    match (is_demanded(scene), services.len()) {
        (true, 1) => Outcome::Passed,
        (true, _) => Outcome::Failed(format!("requests went to each of {services:?}")),
        (false, 1) => Outcome::Failed(format!("all requests went to {services:?}")),
        (false, _) => Outcome::Passed,
    }
}

fn is_demanded(scene: &Scene) -> bool {
    let rules = &scene.config().resources().destination_rules;
    let mut policies = rules
        .iter()
        .filter_map(|rule| rule.spec.traffic_policy.as_ref());
    policies.any(|policy| {
        let balancer = policy.load_balancer.as_ref();
        balancer.is_some_and(|balancer| balancer.consistent_hash.is_some())
    })
}
