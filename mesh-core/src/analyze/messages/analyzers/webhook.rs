//! Injectors that inject twice, or are behind no service.

use std::collections::BTreeSet;

use super::injection::selects;
use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, INJECT, INJECTION, REVISION, Report};
use crate::labels::Labels;
use crate::origin::FieldPath;
use crate::resource::Resource;
use crate::resource::kubernetes::label_selector::LabelSelector;
use crate::resource::kubernetes::webhook_configuration::MutatingWebhookConfiguration;

type Configuration = Resource<MutatingWebhookConfiguration>;

/// No pod may be seen by two of Istio's webhooks, and their services have to exist.
pub(super) fn injectors(context: &Context<'_>, report: &mut Report) {
    let configurations = context.resources.mutating_webhook_configurations.iter();
    let injectors: Vec<&Configuration> = configurations
        .map(AsRef::as_ref)
        .filter(|found| is_istios(found))
        .collect();
    overlaps(&injectors, report);
    let root = FieldPath::root();
    let webhooks = root.field("webhooks");
    for configuration in injectors {
        for (index, webhook) in configuration.spec.webhooks.iter().enumerate() {
            let Some(service) = &webhook.client_config.service else {
                continue;
            };
            let mut services = context.resources.services.iter();
            let exists = services.any(|found| {
                found.metadata.name == service.name && found.metadata.namespace == service.namespace
            });
            if !exists {
                let why = format!(
                    "Injector refers to a control plane service that does not exist: {}/{}.",
                    service.namespace, service.name
                );
                let at = webhooks.index(index);
                report.at(
                    configuration,
                    &at.field("clientConfig"),
                    Code::InvalidWebhook,
                    &[&why],
                );
            }
        }
    }
}

/// Reports webhooks that see the same pods, for any labels that choose an injector.
fn overlaps(injectors: &[&Configuration], report: &mut Report) {
    let revisions: BTreeSet<&str> = injectors
        .iter()
        .flat_map(|found| revisions(found))
        .collect();
    for namespace in label_sets(INJECTION, ["enabled", "disabled"], &revisions) {
        for object in label_sets(INJECT, ["true", "false"], &revisions) {
            let seeing = seeing(injectors, &namespace, &object);
            for (index, (configuration, _)) in seeing.iter().enumerate() {
                let others = seeing
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != index);
                let mut others: Vec<&str> = others.map(|(_, (_, name))| name.as_str()).collect();
                if others.is_empty() {
                    continue;
                }
                others.sort_unstable();
                let why = format!(
                    "Webhook overlaps with others: [{}]. This may cause injection to occur twice.",
                    others.join(" ")
                );
                report.about(configuration, Code::InvalidWebhook, &[&why]);
            }
        }
    }
}

/// The webhooks that see pods with the labels `object` in namespaces with the labels `namespace`.
fn seeing<'a>(
    injectors: &[&'a Configuration],
    namespace: &Labels,
    object: &Labels,
) -> Vec<(&'a Configuration, String)> {
    let mut seeing = Vec::new();
    for configuration in injectors {
        let webhooks = configuration.spec.webhooks.iter().filter(|webhook| {
            selects(webhook.namespace_selector.as_ref(), namespace)
                && selects(webhook.object_selector.as_ref(), object)
        });
        seeing.extend(webhooks.map(|webhook| {
            let name = format!("{}/{}", configuration.metadata.name, webhook.name);
            (*configuration, name)
        }));
    }
    seeing
}

/// The sets of labels that choose whether to inject and by which revision.
fn label_sets(label: &str, values: [&str; 2], revisions: &BTreeSet<&str>) -> Vec<Labels> {
    let mut sets = vec![Labels::default()];
    for value in values {
        let mut labels = Labels::default();
        labels.insert(label, value);
        sets.push(labels);
    }
    let plain = sets.clone();
    for revision in revisions {
        sets.extend(plain.iter().cloned().map(|mut labels| {
            labels.insert(REVISION, *revision);
            labels
        }));
    }
    sets
}

/// Whether a configuration is of Istio: by the names of its webhooks, or because it has to do with
/// revisions.
fn is_istios(configuration: &Configuration) -> bool {
    let mut webhooks = configuration.spec.webhooks.iter();
    revisions(configuration).next().is_some()
        || webhooks.any(|webhook| webhook.name.ends_with("istio.io"))
}

/// The revisions that a configuration is for.
fn revisions(configuration: &Configuration) -> impl Iterator<Item = &str> {
    let own = configuration
        .metadata
        .labels
        .get(REVISION)
        .map(String::as_str);
    let chosen = configuration.spec.webhooks.iter().flat_map(|webhook| {
        let selectors = [&webhook.namespace_selector, &webhook.object_selector];
        selectors.into_iter().flatten().flat_map(chosen)
    });
    own.into_iter().chain(chosen)
}

/// The revisions that a selector names.
fn chosen(selector: &LabelSelector) -> impl Iterator<Item = &str> {
    let fixed = selector.match_labels.get(REVISION).map(String::as_str);
    let expressions = selector.match_expressions.iter();
    let listed = expressions
        .filter(|expression| expression.key == REVISION)
        .flat_map(|expression| expression.values.iter().map(String::as_str));
    fixed.into_iter().chain(listed)
}
