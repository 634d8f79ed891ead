//! Sidecars of the image `auto`, which an injector should have replaced or will.

use std::collections::BTreeMap;

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, PROXY, Report};
use crate::labels::Labels;
use crate::resource::kubernetes::label_selector::LabelSelector;
use crate::resource::kubernetes::pod::PodSpec;
use crate::resource::kubernetes::webhook_configuration::Webhook;

/// A pod that has the image was not injected; a Deployment that has it has to be.
pub(in crate::analyze::messages) fn automatic_images(context: &Context<'_>, report: &mut Report) {
    let resources = &context.resources;
    for pod in resources
        .pods
        .iter()
        .filter(|pod| is_automatic(&pod.spec.spec))
    {
        let name = &pod.metadata.name;
        report.about(pod, Code::ImageAutoWithoutInjectionError, &[&"Pod", name]);
    }
    let configurations = resources.mutating_webhook_configurations.iter();
    let webhooks = configurations.flat_map(|configuration| &configuration.spec.webhooks);
    let injectors: Vec<&Webhook> = webhooks
        .filter(|webhook| webhook.name.ends_with("istio.io"))
        .collect();
    for deployment in &resources.deployments {
        let template = &deployment.spec.spec.template;
        if !is_automatic(&template.spec) {
            continue;
        }
        let namespace = deployment.metadata.namespace_or("default");
        let namespace = resources
            .namespace(namespace)
            .map(|found| &found.metadata.labels);
        let (namespace, pod) = (labels(namespace), labels(Some(&template.metadata.labels)));
        let is_seen = injectors.iter().any(|webhook| {
            selects(webhook.namespace_selector.as_ref(), &namespace)
                && selects(webhook.object_selector.as_ref(), &pod)
        });
        if !is_seen {
            let name = &deployment.metadata.name;
            let code = Code::ImageAutoWithoutInjectionWarning;
            report.about(deployment, code, &[&"Deployment", name]);
        }
    }
}

fn is_automatic(spec: &PodSpec) -> bool {
    let mut proxies = spec
        .containers
        .iter()
        .filter(|container| container.name == PROXY);
    proxies.any(|proxy| proxy.image.as_deref() == Some("auto"))
}

fn labels(written: Option<&BTreeMap<String, String>>) -> Labels {
    written
        .map(|written| written.iter().collect())
        .unwrap_or_default()
}

/// Whether a selector of a webhook selects `labels`. No selector selects all.
pub(in crate::analyze::messages) fn selects(
    selector: Option<&LabelSelector>,
    labels: &Labels,
) -> bool {
    selector.is_none_or(|selector| selector.matches(labels))
}
