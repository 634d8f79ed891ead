//! What a case needs that there is not.

use serde_json::Value;

use super::check::{self, Judgement};
use crate::case::{list, text};

/// The first thing that a case needs and that there is not.
pub(super) fn more_than_there_is(case: &Value) -> Option<String> {
    if case.get("config_error").is_some() {
        return Some("the corpus does not have the configuration".into());
    }
    if list(case, "calls").is_empty() {
        return Some("the corpus does not have the calls".into());
    }
    if text(case, "config").contains("kind: EnvoyFilter") {
        return Some("EnvoyFilter is not supported".into());
    }
    if Judgement::of(case) != Judgement::Checks {
        return None;
    }
    let mut checks = list(case, "calls")
        .iter()
        .filter_map(|call| call.get("check"));
    checks.find_map(check::unsupported)
}
