//! The Gateway API: versions of its definitions, and selectors that its gateways do not heed.

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, GATEWAY_NAME, Report, has_all};
use crate::origin::FieldPath;
use crate::resource::istio::selector::{PolicyTargetReference, WorkloadSelector};
use crate::resource::{Resource, Spec};

/// The annotation of a definition with the version of the Gateway API that it is of.
const BUNDLE_VERSION: &str = "gateway.networking.k8s.io/bundle-version";

/// The least versions of definitions that Istio reads.
const MINIMUM: [(&str, Version); 4] = [
    ("backendtlspolicies.gateway.networking.k8s.io", (1, 4, 0)),
    ("grpcroutes.gateway.networking.k8s.io", (1, 1, 0)),
    ("tcproutes.gateway.networking.k8s.io", (1, 6, 0)),
    ("tlsroutes.gateway.networking.k8s.io", (1, 5, 0)),
];

type Version = (u64, u64, u64);

/// Definitions have to be of a version that Istio reads. One that does not say is let pass.
pub(super) fn versions(context: &Context<'_>, report: &mut Report) {
    for definition in &context.resources.custom_resource_definitions {
        let name = &definition.metadata.name;
        let minimum = MINIMUM.iter().find(|(known, _)| known == name);
        let written = definition.metadata.annotations.get(BUNDLE_VERSION);
        let Some(((_, minimum), written)) = minimum.zip(written) else {
            continue;
        };
        if parse(written).is_some_and(|installed| installed < *minimum) {
            let installed = written.trim_start_matches('v');
            let minimum = format!("{}.{}.{}", minimum.0, minimum.1, minimum.2);
            let code = Code::GatewayApiCrdVersionBelowMinimum;
            report.about(definition, code, &[name, &installed, &minimum]);
        }
    }
}

/// The release that `v1.4.0-rc.1` is of, or leads to. What is left out is zero.
fn parse(text: &str) -> Option<Version> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let release = text.split(['-', '+']).next()?;
    let mut parts = release.split('.').map(|part| part.parse::<u64>());
    let mut next = || parts.next().unwrap_or(Ok(0)).ok();
    Some((next()?, next()?, next()?))
}

/// Policies reach gateways of the Gateway API by reference, not by selector.
pub(super) fn selectors(context: &Context<'_>, report: &mut Report) {
    let resources = &context.resources;
    for policy in &resources.authorization_policies {
        let spec = &policy.spec;
        ineffective(context, policy, (&spec.selector, &spec.target_ref), report);
    }
    for policy in &resources.request_authentications {
        let spec = &policy.spec;
        ineffective(context, policy, (&spec.selector, &spec.target_ref), report);
    }
    for telemetry in &resources.telemetries {
        let spec = &telemetry.spec;
        ineffective(
            context,
            telemetry,
            (&spec.selector, &spec.target_ref),
            report,
        );
    }
    for plugin in &resources.wasm_plugins {
        let spec = &plugin.spec;
        ineffective(context, plugin, (&spec.selector, &spec.target_ref), report);
    }
}

fn ineffective<S: Spec>(
    context: &Context<'_>,
    policy: &Resource<S>,
    attachment: (&Option<WorkloadSelector>, &Option<PolicyTargetReference>),
    report: &mut Report,
) {
    let (Some(selector), None) = attachment else {
        return;
    };
    let root = FieldPath::root();
    let spec = root.field("spec");
    for pod in &context.resources.pods {
        let labels = &pod.metadata.labels;
        let Some(gateway) = labels.get(GATEWAY_NAME) else {
            continue;
        };
        let is_own = pod.metadata.namespace == policy.metadata.namespace;
        if is_own && has_all(labels, &selector.match_labels) {
            let at = spec.field("selector");
            report.at(policy, &at, Code::IneffectiveSelector, &[gateway]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_counts_as_the_release_that_it_leads_to() {
        for (text, version) in [
            ("v1.4.0", Some((1, 4, 0))),
            ("1.5", Some((1, 5, 0))),
            ("v1.6.0-rc.1", Some((1, 6, 0))),
            ("v1.6.0+build.7", Some((1, 6, 0))),
            ("main", None),
        ] {
            assert_eq!(parse(text), version, "{text}");
        }
    }
}
