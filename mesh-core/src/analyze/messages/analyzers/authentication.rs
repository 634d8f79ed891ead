//! Tokens whose keys are fetched from anywhere.

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, full_name, is_labelled};

/// The variable of istiod that forbids networks to fetch keys from.
const BLOCKED: &str = "BLOCKED_CIDRS_IN_JWKS_URIS";

/// How many names a message lists.
const LISTED: usize = 5;

/// Where there are RequestAuthentications, istiod should be told which networks it must not fetch
/// keys from.
pub(super) fn blocked_networks(context: &Context<'_>, report: &mut Report) {
    let policies = &context.resources.request_authentications;
    if policies.is_empty() {
        return;
    }
    let mut names: Vec<String> = policies
        .iter()
        .map(|policy| full_name(&policy.metadata))
        .collect();
    names.sort();
    let count = names.len();
    names.truncate(LISTED);
    let mut names = names.join(", ");
    if count > LISTED {
        names += &format!(", and {} more", count - LISTED);
    }
    let deployments = context.resources.deployments.iter();
    for istiod in deployments.filter(|deployment| is_labelled(deployment, "app", "istiod")) {
        let containers = istiod.spec.spec.template.spec.containers.iter();
        let mut variables = containers.flat_map(|container| &container.env);
        let is_set = variables.any(|variable| {
            variable.name == BLOCKED
                && variable
                    .value
                    .as_ref()
                    .is_some_and(|value| !value.is_empty())
        });
        if !is_set {
            report.about(istiod, Code::JwksUriFetchUnrestricted, &[&count, &names]);
        }
    }
}
