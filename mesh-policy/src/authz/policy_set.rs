//! All policies of a workload, compiled.

use std::sync::Arc;

use mesh_core::identity::TrustDomains;
use mesh_core::model::Notice;
use mesh_core::origin::FieldPath;
use mesh_core::resource::Resource;
use mesh_core::resource::istio::authorization_policy::{Action, AuthorizationPolicy};

use super::attributes::{Connection, Facts, HttpRequest};
use super::compile::{self, Target, Unenforceable};
use super::custom::CustomPolicies;
use super::rule::{Rule, RuleName};
use super::rule_set::RuleSet;
use super::verdict::{DryRun, Reason, Verdict};

/// Marks policies whose verdict is recorded and not enforced.
const DRY_RUN: &str = "istio.io/dry-run";

/// The authorization policies of a workload.
///
/// See the [module docs](super) for an example.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    http: Rules,
    tcp: Rules,
    custom: CustomPolicies,
    notices: Vec<Notice>,
}

/// The rules of a workload, compiled for HTTP or for TCP.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) audit: RuleSet,
    pub(super) deny: RuleSet,
    /// None if there is no policy that allows: then everything is allowed.
    pub(super) allow: Option<RuleSet>,
    pub(super) dry_run_deny: Option<RuleSet>,
    pub(super) dry_run_allow: Option<RuleSet>,
    pub(super) needs_connection: bool,
    /// Whether what is tried out does.
    pub(super) tries_connection: bool,
}

impl PolicySet {
    /// Compiles the policies that are attached to a workload: `model.policies.authorization`.
    ///
    /// What is invalid is told in [`notices`](Self::notices). An ALLOW rule with an invalid value
    /// allows nothing. A rule of another action does without the value: it applies to what its other
    /// values of the same field match, or to more if there are none.
    pub fn compile(
        policies: &[Arc<Resource<AuthorizationPolicy>>],
        domains: &TrustDomains,
    ) -> Self {
        let mut notices = Vec::new();
        let mut compile = |tcp| Compilation::new(policies, domains, tcp, &mut notices);
        let (http, tcp) = (compile(false), compile(true));
        Self {
            custom: CustomPolicies::new(http.custom, tcp.custom),
            http: http.rules,
            tcp: tcp.rules,
            notices,
        }
    }

    /// Whether a request is allowed, by all policies whose action is not CUSTOM.
    pub fn evaluate<'s>(&'s self, request: &HttpRequest<'_>) -> Verdict<'s> {
        self.http.evaluate(&Facts::of_request(request))
    }

    /// Whether a connection that is not HTTP is allowed, by all policies whose action is not
    /// CUSTOM.
    ///
    /// Connections have no attributes of HTTP. A rule that names one never allows; if it denies, it
    /// does so for all connections that match the rest of it.
    pub fn evaluate_connection<'s>(&'s self, connection: &Connection<'_>) -> Verdict<'s> {
        self.tcp.evaluate(&Facts::of_connection(connection))
    }

    /// The policies whose decision is left to a provider.
    pub fn custom(&self) -> &CustomPolicies {
        &self.custom
    }

    /// What of the policies is enforced in another way than it is written.
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Whether an address, port or server name of the connection decides.
    pub fn needs_connection(&self) -> bool {
        self.http.needs_connection
    }

    /// Whether a policy that is only tried out looks at an address, port or server name of the
    /// connection.
    pub fn tries_connection(&self) -> bool {
        self.http.tries_connection
    }

    pub(super) fn rules(&self, tcp: bool) -> &Rules {
        if tcp { &self.tcp } else { &self.http }
    }
}

impl Rules {
    fn evaluate(&self, facts: &Facts<'_>) -> Verdict<'_> {
        let Self {
            audit,
            deny,
            allow,
            dry_run_deny,
            dry_run_allow,
            needs_connection: _,
            tries_connection: _,
        } = self;
        let denied = deny.find(facts);
        let reason = match (denied, allow) {
            (Some(rule), _) => Reason::Denied(&rule.name),
            (None, None) => Reason::NoAllowPolicy,
            (None, Some(allow)) => match allow.find(facts) {
                Some(rule) => Reason::Allowed(&rule.name),
                None => Reason::NotAllowed,
            },
        };
        Verdict {
            reason,
            audited: named(audit, facts),
            dry_run: DryRun {
                deny: dry_run_deny.as_ref().map(|rules| named(rules, facts)),
                allow: dry_run_allow.as_ref().map(|rules| named(rules, facts)),
            },
        }
    }
}

fn named<'s>(rules: &'s RuleSet, facts: &Facts<'_>) -> Option<&'s Arc<RuleName>> {
    rules.find(facts).map(|rule| &rule.name)
}

/// A policy whose decision is left to a provider, and its rules.
pub(super) struct Asked {
    pub(super) provider: Arc<str>,
    pub(super) rules: Vec<Rule>,
}

/// The rules of all policies, by action.
struct Compilation {
    rules: Rules,
    custom: Vec<Asked>,
}

impl Compilation {
    fn new(
        policies: &[Arc<Resource<AuthorizationPolicy>>],
        domains: &TrustDomains,
        tcp: bool,
        notices: &mut Vec<Notice>,
    ) -> Self {
        let mut sorted = Sorted::default();
        for policy in policies {
            sorted.add(policy, domains, tcp, notices);
        }
        sorted.finish()
    }
}

/// Rules by their effect; `None` is no policy, which is not the same as a policy without rules.
#[derive(Default)]
struct Sorted {
    audit: Vec<Rule>,
    deny: Vec<Rule>,
    allow: Option<Vec<Rule>>,
    dry_run_deny: Option<Vec<Rule>>,
    dry_run_allow: Option<Vec<Rule>>,
    custom: Vec<Asked>,
}

impl Sorted {
    fn add(
        &mut self,
        policy: &Resource<AuthorizationPolicy>,
        domains: &TrustDomains,
        tcp: bool,
        notices: &mut Vec<Notice>,
    ) {
        // Which workloads the policy is for has been resolved.
        let AuthorizationPolicy {
            selector: _,
            target_ref: _,
            target_refs: _,
            rules: _,
            action,
            provider,
        } = &policy.spec;
        let target = Target {
            allows: *action == Action::Allow,
            tcp,
            domains,
            namespace: &policy.metadata.namespace,
        };
        let mut rules = compile_rules(policy, target, notices);
        let dry_run = is_dry_run(policy);
        match (action, dry_run) {
            (Action::Allow, false) => self.allow.get_or_insert_default().append(&mut rules),
            (Action::Allow, true) => self
                .dry_run_allow
                .get_or_insert_default()
                .append(&mut rules),
            (Action::Deny, false) => self.deny.append(&mut rules),
            (Action::Deny, true) => self.dry_run_deny.get_or_insert_default().append(&mut rules),
            (Action::Audit, _) => self.audit.append(&mut rules),
            (Action::Custom, _) => {
                let name = provider.as_ref().map_or("", |provider| &provider.name);
                self.custom.push(Asked {
                    provider: name.into(),
                    rules,
                });
            }
        }
    }

    fn finish(self) -> Compilation {
        let Self {
            audit,
            deny,
            allow,
            dry_run_deny,
            dry_run_allow,
            custom,
        } = self;
        let mut rules = Rules {
            audit: RuleSet::new(audit),
            deny: RuleSet::new(deny),
            allow: allow.map(RuleSet::new),
            dry_run_deny: dry_run_deny.map(RuleSet::new),
            dry_run_allow: dry_run_allow.map(RuleSet::new),
            needs_connection: false,
            tries_connection: false,
        };
        let sets = [&rules.audit, &rules.deny].into_iter().chain(&rules.allow);
        rules.needs_connection = sets.into_iter().any(RuleSet::needs_connection);
        let mut tried = rules.dry_run_deny.iter().chain(&rules.dry_run_allow);
        rules.tries_connection = tried.any(RuleSet::needs_connection);
        Compilation { rules, custom }
    }
}

fn compile_rules(
    policy: &Resource<AuthorizationPolicy>,
    target: Target<'_>,
    notices: &mut Vec<Notice>,
) -> Vec<Rule> {
    let root = FieldPath::root();
    let spec = root.field("spec");
    let list = spec.field("rules");
    let origin = policy.origin();
    let mut compiled = Vec::new();
    let rules = policy.spec.rules.as_deref().unwrap_or_default();
    for (index, rule) in rules.iter().enumerate() {
        let name = RuleName {
            namespace: policy.metadata.namespace.clone(),
            policy: policy.metadata.name.clone(),
            index,
            origin: origin.at(&list.index(index), &policy.source),
        };
        let at = name.origin.clone();
        let (rule, faults) = compile::compile(rule, Arc::new(name), target);
        compiled.extend(rule);
        // What is invalid for TCP is so for HTTP, and told there.
        if !target.tcp {
            notices.extend(faults.iter().map(|fault| notice(&at, fault, target.allows)));
        }
    }
    compiled
}

fn notice(origin: &mesh_core::origin::Origin, fault: &Unenforceable, allows: bool) -> Notice {
    let effect = match fault {
        _ if allows => "the rule allows nothing",
        Unenforceable::Invalid { others: true, .. } => {
            "the rule goes by the other values of the field alone"
        }
        Unenforceable::Invalid { .. } => "the rule applies whatever the field is",
        Unenforceable::HttpOnly(_) | Unenforceable::UnknownKey(_) => {
            "the rule applies as if the condition were not there"
        }
    };
    Notice {
        origin: origin.clone(),
        message: format!("{fault}; {effect}"),
    }
}

/// Whether the policy is only tried out. A value that is no truth value of Go is none.
fn is_dry_run(policy: &Resource<AuthorizationPolicy>) -> bool {
    let value = policy.metadata.annotations.get(DRY_RUN);
    let truths = ["1", "t", "T", "true", "TRUE", "True"];
    value.is_some_and(|value| truths.contains(&value.as_str()))
}
