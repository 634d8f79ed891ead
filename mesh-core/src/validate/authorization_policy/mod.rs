//! Rules of AuthorizationPolicy (`ValidateAuthorizationPolicy`).
//!
//! ```
//! use mesh_core::resource::Resource;
//! use mesh_core::resource::istio::AuthorizationPolicy;
//! use mesh_core::resource::istio::authorization_policy::Action;
//! use mesh_core::validate::{Report, authorization_policy};
//!
//! let mut resource = Resource::<AuthorizationPolicy>::default();
//! resource.spec.action = Action::Deny;
//! let report = Report::default();
//! authorization_policy::validate(&resource, report.root());
//! assert_eq!(
//!     report.into_violations()[0].message,
//!     "a policy without rules never denies or asks a provider"
//! );
//! ```

mod condition;
mod custom;
mod operation;
mod source;

use super::At;
use super::metadata::DRY_RUN;
use super::selector::Attachment;
use crate::resource::Resource;
use crate::resource::istio::authorization_policy::{Action, AuthorizationPolicy, Rule};

/// The most rules of a policy, and sources of a rule.
const MAX_ITEMS: usize = 512;

/// Checks an AuthorizationPolicy.
pub fn validate(resource: &Resource<AuthorizationPolicy>, at: At<'_>) {
    let AuthorizationPolicy {
        selector,
        target_ref,
        target_refs,
        rules,
        action,
        provider,
    } = &resource.spec;
    if let Some(value) = resource.metadata.annotations.get(DRY_RUN) {
        validate_dry_run(
            value,
            *action,
            at.field("metadata").field("annotations").key(DRY_RUN),
        );
    }
    let at = at.field("spec");
    let attachment = Attachment {
        selector: selector.as_ref(),
        target_ref: target_ref.as_ref(),
        target_refs,
    };
    attachment.validate(at);

    // A list that is written empty reaches Istio as none at all.
    let rules = rules.as_deref().unwrap_or_default();
    if matches!(action, Action::Custom | Action::Deny) && rules.is_empty() {
        at.error("a policy without rules never denies or asks a provider")
            .help("add an empty rule (`{}`) for every request");
    }
    match (action, provider) {
        (Action::Custom, Some(provider)) => at
            .field("provider")
            .require(!provider.name.is_empty(), "the provider has a name"),
        (Action::Custom, None) => {
            at.require(
                rules.is_empty(),
                "a policy with action CUSTOM names a `provider`",
            );
        }
        (_, Some(_)) => {
            at.field("provider")
                .error("only a policy with action CUSTOM has a provider");
        }
        (_, None) => {}
    }
    let at = at.field("rules");
    validate_len(rules.len(), at);
    at.each(rules, |rule, at| {
        validate_rule(rule, *action, at);
        if *action == Action::Custom {
            custom::validate(rule, at);
        }
    });
}

/// Checks that trying out is asked for with a truth value, and of a policy that allows or denies.
fn validate_dry_run(value: &str, action: Action, at: At<'_>) {
    if !matches!(action, Action::Allow | Action::Deny) {
        at.error("only a policy that allows or denies can be tried out");
    }
    // The texts of Go's `strconv.ParseBool`.
    let truths = [
        "1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False",
    ];
    if !truths.contains(&value) {
        at.error(format_args!("`{value}` is neither `true` nor `false`"));
    }
}

fn validate_rule(rule: &Rule, action: Action, at: At<'_>) {
    let Rule { from, to, when } = rule;
    let sources = from.as_deref().unwrap_or_default();
    let at_from = at.field("from");
    at_from.require(
        from.as_ref().is_none_or(|from| !from.is_empty()),
        "no sources",
    );
    validate_len(sources.len(), at_from);
    at_from.each(sources, |from, at| match &from.source {
        Some(source) => source::validate(source, at.field("source")),
        None => {
            at.error("a source is required");
        }
    });
    let operations = to.as_deref().unwrap_or_default();
    let at_to = at.field("to");
    at_to.require(to.as_ref().is_none_or(|to| !to.is_empty()), "no operations");
    at_to.each(operations, |to, at| match &to.operation {
        Some(operation) => operation::validate(operation, at.field("operation")),
        None => {
            at.error("an operation is required");
        }
    });
    at.field("when").each(when, condition::validate);
    if action == Action::Deny && denies_all_tcp(rule) {
        at.warning("the rule has only attributes of HTTP, so that it denies all TCP traffic")
            .help("name the ports");
    }
}

/// Whether a rule that denies has no attribute that a TCP connection has, except conditions.
fn denies_all_tcp(rule: &Rule) -> bool {
    let from = rule.from.as_deref().unwrap_or_default();
    let to = rule.to.as_deref().unwrap_or_default();
    let mut sources = from.iter().filter_map(|from| from.source.as_ref());
    let mut operations = to.iter().filter_map(|to| to.operation.as_ref()).peekable();
    if operations.peek().is_some() {
        !operations.any(operation::applies_to_tcp)
    } else {
        let has_source = from.iter().any(|from| from.source.is_some());
        has_source && !sources.any(source::applies_to_tcp)
    }
}

fn validate_len(len: usize, at: At<'_>) {
    if len > MAX_ITEMS {
        at.error(format_args!("more than {MAX_ITEMS} items"));
    }
}

/// Checks that no value is empty.
fn validate_no_empty(values: &[String], at: At<'_>) {
    at.each(values, |value, at| {
        at.require(!value.is_empty(), "a value cannot be empty")
    });
}

#[cfg(test)]
mod tests;
