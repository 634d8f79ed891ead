//! Rules that have the same effect.

use super::attributes::Facts;
use super::index::Index;
use super::rule::Rule;

/// The rules of all policies with one action, in the order in which Envoy tries them: that of their
/// names.
#[derive(Clone, Debug, Default)]
pub(super) struct RuleSet {
    rules: Vec<Rule>,
    index: Index,
}

impl RuleSet {
    pub(super) fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_cached_key(|rule| rule.name.to_string());
        let index = Index::new(&rules);
        Self { rules, index }
    }

    /// The first rule that matches.
    pub(super) fn find(&self, facts: &Facts<'_>) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let mut found: Option<usize> = None;
        self.index.candidates(facts, &mut |positions| {
            // Positions ascend, so that the first that matches is the least of them.
            let first = positions
                .iter()
                .map(|position| *position as usize)
                .find(|position| {
                    found.is_some_and(|found| *position >= found)
                        || self.rules[*position].is_match(facts)
                });
            found = match (found, first) {
                (Some(found), Some(first)) => Some(found.min(first)),
                (found, first) => found.or(first),
            };
        });
        found.map(|position| &self.rules[position])
    }

    /// The first rule that matches, found by trying each: what [`find`](Self::find) has to find.
    #[cfg(test)]
    pub(super) fn scan(&self, facts: &Facts<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.is_match(facts))
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn needs_connection(&self) -> bool {
        self.rules.iter().any(Rule::needs_connection)
    }
}
