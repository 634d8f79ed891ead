//! Why a request is allowed or denied, rule by rule.

use std::fmt;

use mesh_core::decision::{Decision, Step};
use serde::Serialize;

use super::attributes::{Connection, Facts, HttpRequest};
use super::policy_set::{PolicySet, Rules};
use super::rule_set::RuleSet;

/// Whether a request or connection passes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It passes.
    Allow,
    /// It is refused.
    Deny,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allowed",
            Self::Deny => "denied",
        })
    }
}

impl PolicySet {
    /// What [`evaluate`](Self::evaluate) says, and what each rule has to do with it.
    ///
    /// Rules of CUSTOM policies are mentioned; what their provider would say is not known here.
    pub fn explain(&self, request: &HttpRequest<'_>) -> Decision<Outcome> {
        let facts = Facts::of_request(request);
        self.rules(false)
            .explain(&facts, self.custom().steps(&facts))
    }

    /// What [`evaluate_connection`](Self::evaluate_connection) says, and what each rule has to do
    /// with it.
    pub fn explain_connection(&self, connection: &Connection<'_>) -> Decision<Outcome> {
        let facts = Facts::of_connection(connection);
        self.rules(true)
            .explain(&facts, self.custom().steps(&facts))
    }
}

impl Rules {
    fn explain(&self, facts: &Facts<'_>, mut steps: Vec<Step>) -> Decision<Outcome> {
        mention("AUDIT", &self.audit, facts, &mut steps);
        for (action, rules) in [
            ("DENY on trial", &self.dry_run_deny),
            ("ALLOW on trial", &self.dry_run_allow),
        ] {
            if let Some(rules) = rules {
                mention(action, rules, facts, &mut steps);
            }
        }
        let outcome = if consider("DENY", &self.deny, facts, &mut steps) {
            Outcome::Deny
        } else {
            match &self.allow {
                Some(allow) if !consider("ALLOW", allow, facts, &mut steps) => Outcome::Deny,
                Some(_) | None => Outcome::Allow,
            }
        };
        Decision { outcome, steps }
    }
}

/// Adds the rules up to the first that matches, and whether one does.
fn consider(action: &str, rules: &RuleSet, facts: &Facts<'_>, steps: &mut Vec<Step>) -> bool {
    for rule in rules.rules() {
        let subject = format!("{action} {}", rule.name);
        let origin = rule.name.origin.clone();
        match rule.failure(facts) {
            Some(why) => steps.push(Step::failed(subject, origin, why)),
            None => {
                steps.push(Step::matched(subject, origin));
                return true;
            }
        }
    }
    false
}

/// Adds the rules that match but decide nothing.
fn mention(action: &str, rules: &RuleSet, facts: &Facts<'_>, steps: &mut Vec<Step>) {
    let matching = rules.rules().iter().filter(|rule| rule.is_match(facts));
    steps.extend(matching.map(|rule| {
        let subject = format!("{action} {}", rule.name);
        Step::applied(subject, rule.name.origin.clone(), "recorded")
    }));
}
