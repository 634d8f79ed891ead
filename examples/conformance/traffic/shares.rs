//! The share of each service when a route has weights. The tests check it in Go.

use std::collections::BTreeMap;

use serde_json::Value;

use super::check::Answer;
use crate::case::{Outcome, list};
use crate::stage::scene::Scene;

/// How many requests are sent.
pub(super) const SAMPLES: u64 = 1000;
/// How far a share may be off, as in the tests.
const TOLERANCE: f64 = 0.1;

/// Whether a case compares shares: it names the services that the requests are shifted between.
pub(super) fn are_compared(case: &Value) -> bool {
    !list(case, "targets").is_empty()
}

/// Compares the share of each service with its weight.
pub(super) fn compare(scene: &Scene, answers: &[Answer]) -> Outcome {
    let mut counts = BTreeMap::<String, u32>::new();
    for answer in answers {
        match answer.as_ref().map(|reply| reply.service()) {
            Ok(Some(service)) => *counts.entry(service.name).or_default() += 1,
            Ok(None) => return Outcome::failed("the answer is not of a service"),
            Err(why) => return Outcome::Failed(format!("no answer: {why}")),
        }
    }
    let weights = weights(scene);
    let (sent, total) = (sum(counts.values()), sum(weights.values()));
    let off = |(name, weight): (&String, &u32)| {
        let count = counts.get(name).copied().unwrap_or_default();
        let (share, weight) = (f64::from(count) / sent, f64::from(*weight) / total);
        ((share - weight).abs() > TOLERANCE).then(|| format!("{name}: {share} is not {weight}"))
    };
    match weights.iter().find_map(off) {
        Some(why) => Outcome::Failed(why),
        None => Outcome::Passed,
    }
}

fn sum<'a>(numbers: impl Iterator<Item = &'a u32>) -> f64 {
    numbers.copied().map(f64::from).sum()
}

/// The weight of each service in the first rule of the VirtualService.
fn weights(scene: &Scene) -> BTreeMap<String, u32> {
    let services = scene.config().resources().virtual_services.first();
    let rule = services.and_then(|service| service.spec.http.first());
    let mut weights = BTreeMap::new();
    for route in rule.map_or(&[][..], |rule| &rule.route) {
        let Some(destination) = &route.destination else {
            continue;
        };
        // A single destination gets everything, whatever its weight.
        let weight = u32::try_from(route.weight).unwrap_or_default().max(1);
        *weights.entry(destination.host.clone()).or_default() += weight;
    }
    weights
}
