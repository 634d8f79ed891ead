//! Why a request is allowed or denied, rule by rule.

use std::fmt;
use std::sync::Arc;

use mesh_core::decision::{Decision, Step};
use serde::Serialize;

use super::attributes::{Connection, Facts, HttpRequest};
use super::custom::Custom;
use super::policy_set::{PolicySet, Rules};
use super::rule_set::RuleSet;

/// Whether a request or connection passes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It passes.
    Allow,
    /// It passes if the provider of this name allows it, what is not known here.
    Ask(Arc<str>),
    /// It is refused.
    Deny,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allow => f.write_str("allowed"),
            Self::Ask(provider) => write!(f, "allowed if `{provider}` allows it"),
            Self::Deny => f.write_str("denied"),
        }
    }
}

impl PolicySet {
    /// What becomes of a request by all policies, CUSTOM ones first, and what each rule has to do
    /// with it.
    ///
    /// It is denied where [`evaluate`](Self::evaluate) denies, or CUSTOM policies do by themselves.
    pub fn explain(&self, request: &HttpRequest<'_>) -> Decision<Outcome> {
        self.explain_facts(&Facts::of_request(request))
    }

    /// What becomes of a connection that is not HTTP, as [`explain`](Self::explain) says it of
    /// requests.
    pub fn explain_connection(&self, connection: &Connection<'_>) -> Decision<Outcome> {
        self.explain_facts(&Facts::of_connection(connection))
    }

    fn explain_facts(&self, facts: &Facts<'_>) -> Decision<Outcome> {
        let (custom, steps) = self.custom().explain(facts);
        let asked = match custom {
            Custom::Pass => Outcome::Allow,
            Custom::Ask { provider, .. } => Outcome::Ask(Arc::clone(provider)),
            // Whoever is denied is not judged further.
            Custom::Deny(_) => {
                let outcome = Outcome::Deny;
                return Decision { outcome, steps };
            }
        };
        let decision = self.rules(facts.request.is_none()).explain(facts, steps);
        decision.map(|outcome| match outcome {
            Outcome::Allow => asked,
            decided => decided,
        })
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
