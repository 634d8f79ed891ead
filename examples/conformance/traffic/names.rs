//! The addresses of names. The tests check them in Go.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use super::check::Answer;
use super::request::Lookup;
use super::world::NAMESPACE;
use crate::case::{Outcome, list, text};
use crate::stage::scene::Scene;

/// Whether a case compares addresses: it asks for names, and Go code looks at the answers.
pub(super) fn are_compared(case: &Value) -> bool {
    list(case, "calls").iter().all(|call| {
        let request = call.get("request").unwrap_or(&Value::Null);
        let check = call.get("check").unwrap_or(&Value::Null);
        text(request, "scheme") == "dns" && text(check, "fn") == "go-closure"
    })
}

/// The addresses are those of the service in the configuration.
pub(super) fn compare(scene: &Scene, lookup: &Lookup, answers: &[Answer]) -> Outcome {
    let services = scene.config().services();
    let Some(service) = services.lookup(&lookup.host, NAMESPACE) else {
        return Outcome::Failed(format!("there is no service `{}`", lookup.host));
    };
    let expected = service.addresses.iter().map(|network| network.addr());
    let expected: BTreeSet<IpAddr> = expected.collect();
    for answer in answers {
        let found: BTreeSet<IpAddr> = match answer {
            Ok(reply) => serde_json::from_slice(&reply.body).unwrap_or_default(),
            Err(why) => return Outcome::Failed(format!("no answer: {why}")),
        };
        if expected != found {
            return Outcome::Failed(format!("expected {expected:?}, got {found:?}"));
        }
    }
    Outcome::Passed
}
