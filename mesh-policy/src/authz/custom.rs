//! Policies with the action CUSTOM: which requests are put to which provider.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh_core::decision::Step;

use super::attributes::{Connection, Facts, HttpRequest};
use super::policy_set::Asked;
use super::rule::{Rule, RuleName};
use super::rule_set::RuleSet;

/// The policies of a workload whose decision is left to a provider.
///
/// They are asked before tokens are verified, and before the other policies. A workload has one
/// provider: as in Istio, if its policies name several, all requests that match one of them are
/// denied.
#[derive(Clone, Debug, Default)]
pub struct CustomPolicies {
    http: Providers,
    tcp: Providers,
}

#[derive(Clone, Debug, Default)]
struct Providers {
    by_name: BTreeMap<Arc<str>, RuleSet>,
}

/// What is to be done before the other policies are evaluated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Custom<'s> {
    /// Ask the provider, since this rule matches.
    Ask {
        /// Its name among the extension providers of the mesh.
        provider: &'s Arc<str>,
        /// The rule.
        rule: &'s Arc<RuleName>,
    },
    /// Deny, since this rule matches and there are policies of several providers.
    Deny(&'s Arc<RuleName>),
    /// Nothing: no rule matches.
    Pass,
}

impl CustomPolicies {
    pub(super) fn new(http: Vec<Asked>, tcp: Vec<Asked>) -> Self {
        Self {
            http: Providers::new(http),
            tcp: Providers::new(tcp),
        }
    }

    /// What is to be done with a request.
    pub fn evaluate(&self, request: &HttpRequest<'_>) -> Custom<'_> {
        self.http.evaluate(&Facts::of_request(request))
    }

    /// What is to be done with a connection that is not HTTP.
    pub fn evaluate_connection(&self, connection: &Connection<'_>) -> Custom<'_> {
        self.tcp.evaluate(&Facts::of_connection(connection))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.http.by_name.is_empty()
    }

    /// The providers that policies name.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<str>> {
        self.http.by_name.keys()
    }

    /// Whether an address, port or server name of the connection decides.
    pub fn needs_connection(&self) -> bool {
        let mut sets = self.http.by_name.values();
        sets.any(RuleSet::needs_connection)
    }
}

impl CustomPolicies {
    /// What is to be done about `facts`, and the rules that say so.
    pub(super) fn explain(&self, facts: &Facts<'_>) -> (Custom<'_>, Vec<Step>) {
        let providers = match facts.request {
            Some(_) => &self.http,
            None => &self.tcp,
        };
        let custom = providers.evaluate(facts);
        let verb = match custom {
            Custom::Deny(_) => "denies, since there are several providers, of which one is",
            Custom::Ask { .. } | Custom::Pass => "asks",
        };
        let found = providers.by_name.iter();
        let found = found.filter_map(|(provider, rules)| Some((provider, rules.find(facts)?)));
        let steps = found.map(|(provider, rule)| {
            let subject = format!("CUSTOM {}", rule.name);
            let what = format!("{verb} `{provider}`");
            Step::applied(subject, rule.name.origin().clone(), what)
        });
        (custom, steps.collect())
    }
}

impl Providers {
    fn new(asked: Vec<Asked>) -> Self {
        let mut by_name: BTreeMap<Arc<str>, Vec<Rule>> = BTreeMap::new();
        for Asked { provider, rules } in asked {
            by_name.entry(provider).or_default().extend(rules);
        }
        let by_name = by_name.into_iter();
        Self {
            by_name: by_name
                .map(|(name, rules)| (name, RuleSet::new(rules)))
                .collect(),
        }
    }

    fn evaluate(&self, facts: &Facts<'_>) -> Custom<'_> {
        let mut matches = self.by_name.iter();
        let found = matches.find_map(|(provider, rules)| Some((provider, rules.find(facts)?)));
        match found {
            None => Custom::Pass,
            Some((_, rule)) if self.by_name.len() > 1 => Custom::Deny(&rule.name),
            Some((provider, rule)) => Custom::Ask {
                provider,
                rule: &rule.name,
            },
        }
    }
}
