//! Rules: any of the sources, any of the operations, and all further conditions.

use std::sync::Arc;

use mesh_core::origin::Origin;

use super::attributes::Facts;
use super::condition::Condition;

/// A rule of a policy, compiled for HTTP or for TCP.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) name: Arc<RuleName>,
    /// All of these hold.
    pub(super) conditions: Vec<Condition>,
    /// All conditions of one of these hold. None: any source.
    pub(super) sources: Option<Vec<Vec<Condition>>>,
    /// All conditions of one of these hold. None: any operation.
    pub(super) operations: Option<Vec<Vec<Condition>>>,
}

impl Rule {
    pub(super) fn is_match(&self, facts: &Facts<'_>) -> bool {
        all(&self.conditions, facts)
            && any(self.sources.as_deref(), facts)
            && any(self.operations.as_deref(), facts)
    }

    /// Why the rule does not match, if it does not.
    pub(super) fn failure(&self, facts: &Facts<'_>) -> Option<String> {
        let alternatives = [self.sources.as_deref(), self.operations.as_deref()];
        let mut alternatives = alternatives.into_iter().flatten();
        let failed = self.conditions.iter().find(|one| !one.holds(facts));
        failed.map(|one| one.failure(facts)).or_else(|| {
            alternatives.find_map(|alternatives| {
                let failures = alternatives.iter().map(|all| {
                    let failed = all.iter().find(|one| !one.holds(facts));
                    failed.map(|one| one.failure(facts))
                });
                // None of them may hold; then all have failed.
                let failures: Option<Vec<_>> = failures.collect();
                failures.map(|failures| failures.join("; "))
            })
        })
    }

    pub(super) fn needs_connection(&self) -> bool {
        let alternatives = self.sources.iter().chain(&self.operations);
        let mut conditions = alternatives.flatten().flatten().chain(&self.conditions);
        conditions.any(|condition| condition.predicate.needs_connection())
    }
}

fn all(conditions: &[Condition], facts: &Facts<'_>) -> bool {
    conditions.iter().all(|condition| condition.holds(facts))
}

fn any(alternatives: Option<&[Vec<Condition>]>, facts: &Facts<'_>) -> bool {
    alternatives.is_none_or(|alternatives| alternatives.iter().any(|one| all(one, facts)))
}

/// Which rule of which policy.
///
/// Displayed as Istio calls it in access logs, `ns[foo]-policy[bar]-rule[0]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleName {
    pub(super) namespace: String,
    pub(super) policy: String,
    pub(super) index: usize,
    pub(super) origin: Origin,
}

impl RuleName {
    /// The namespace of the policy.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name of the policy.
    pub fn policy(&self) -> &str {
        &self.policy
    }

    /// The place of the rule among those of the policy, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Where the rule was written.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl std::fmt::Display for RuleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            namespace,
            policy,
            index,
            origin: _,
        } = self;
        write!(f, "ns[{namespace}]-policy[{policy}]-rule[{index}]")
    }
}
