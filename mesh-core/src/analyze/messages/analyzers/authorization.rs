//! Authorization policies that select no workload, or name a namespace that does not exist.

use std::collections::BTreeMap;

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report, has_all, is_ambient_pod, selector_text};
use crate::origin::FieldPath;
use crate::resource::Resource;
use crate::resource::istio::AuthorizationPolicy;
use crate::resource::kubernetes::pod::Pod;

type Labels = BTreeMap<String, String>;

/// Policies have to select workloads of the mesh, and the namespaces in them have to exist.
pub(super) fn policies(context: &Context<'_>, report: &mut Report) {
    let pods = context.resources.pods.iter();
    let pods: Vec<&Resource<Pod>> = pods
        .map(AsRef::as_ref)
        .filter(|pod| context.is_in_mesh(&(*pod).into()) || is_ambient_pod(pod))
        .collect();
    for policy in &context.resources.authorization_policies {
        if let Some(selector) = unmatched(context, policy, &pods) {
            report.about(policy, Code::NoMatchingWorkloadsFound, &[&selector]);
        }
        namespaces(context, policy, report);
    }
}

/// The selector of a policy that selects none of `pods`.
fn unmatched(
    context: &Context<'_>,
    policy: &Resource<AuthorizationPolicy>,
    pods: &[&Resource<Pod>],
) -> Option<String> {
    let namespace = &policy.metadata.namespace;
    let is_of_mesh = namespace == context.mesh.root_namespace();
    let selector = policy
        .spec
        .selector
        .as_ref()
        .map(|selector| &selector.match_labels);
    if is_of_mesh && selector.is_none() {
        return None;
    }
    let none = Labels::new();
    let labels = selector.unwrap_or(&none);
    let selects = |pod: &&Resource<Pod>| {
        (is_of_mesh || pod.metadata.namespace == *namespace)
            && has_all(&pod.metadata.labels, labels)
    };
    (!pods.iter().any(selects)).then(|| selector_text(labels))
}

fn namespaces(context: &Context<'_>, policy: &Resource<AuthorizationPolicy>, report: &mut Report) {
    let root = FieldPath::root();
    let spec = root.field("spec");
    let rules = spec.field("rules");
    for (index, rule) in policy.spec.rules.iter().flatten().enumerate() {
        let at_rule = rules.index(index);
        let at_from = at_rule.field("from");
        for (index, from) in rule.from.iter().flatten().enumerate() {
            let Some(source) = &from.source else {
                continue;
            };
            let at = at_from.index(index);
            let at = at.field("source");
            let lists = [
                ("namespaces", &source.namespaces),
                ("notNamespaces", &source.not_namespaces),
            ];
            for (field, namespaces) in lists {
                let at = at.field(field);
                let known = |name: &String| exists(context, name);
                for (index, name) in namespaces
                    .iter()
                    .enumerate()
                    .filter(|(_, name)| !known(name))
                {
                    let code = Code::ReferencedResourceNotFound;
                    report.at(policy, &at.index(index), code, &[&"namespace", name]);
                }
            }
        }
    }
}

/// Whether a namespace is called as `pattern` says, which may begin or end with `*`.
fn exists(context: &Context<'_>, pattern: &str) -> bool {
    let mut names = context
        .resources
        .namespaces
        .iter()
        .map(|found| found.metadata.name.as_str());
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => names.next().is_some(),
        (Some(suffix), _) => names.any(|name| name.ends_with(suffix)),
        (None, Some(prefix)) => names.any(|name| name.starts_with(prefix)),
        (None, None) => names.any(|name| name.eq_ignore_ascii_case(pattern)),
    }
}
