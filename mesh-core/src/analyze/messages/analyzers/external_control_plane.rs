//! Webhooks of a control plane that runs elsewhere.

use std::net::IpAddr;

use http::Uri;

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Context, Report};
use crate::origin::FieldPath;
use crate::resource::kubernetes::webhook_configuration::Webhook;
use crate::resource::{Resource, Spec};

/// Istio's webhooks should be reached by the name of a host.
pub(super) fn webhooks(context: &Context<'_>, report: &mut Report) {
    for configuration in &context.resources.validating_webhook_configurations {
        let name = &configuration.metadata.name;
        if name == "istiod-default-validator" || name.starts_with("istio-validator") {
            addresses(configuration, &configuration.spec.webhooks, report);
        }
    }
    for configuration in &context.resources.mutating_webhook_configurations {
        if configuration
            .metadata
            .name
            .starts_with("istio-sidecar-injector")
        {
            addresses(configuration, &configuration.spec.webhooks, report);
        }
    }
}

fn addresses<S: Spec>(configuration: &Resource<S>, webhooks: &[Webhook], report: &mut Report) {
    let root = FieldPath::root();
    let list = root.field("webhooks");
    for (index, webhook) in webhooks.iter().enumerate() {
        let at = list.index(index);
        let at = at.field("clientConfig");
        let (client, name) = (&webhook.client_config, &webhook.name);
        let invalid = Code::InvalidExternalControlPlaneConfig;
        match (&client.url, &client.service) {
            (Some(url), _) => match host(url) {
                None => {
                    let why = "was provided in an invalid format";
                    report.at(configuration, &at.field("url"), invalid, &[url, name, &why]);
                }
                Some(host) if is_address(&host) => {
                    let code = Code::ExternalControlPlaneAddressIsNotAHostname;
                    report.at(configuration, &at.field("url"), code, &[url, name]);
                }
                Some(_) => {}
            },
            (None, None) => report.at(configuration, &at, invalid, &[&"", name, &"is blank"]),
            (None, Some(_)) => {}
        }
    }
}

/// The host of a URL; empty if it has none, and `None` if it is no URL.
fn host(url: &str) -> Option<String> {
    if url.is_empty() {
        return Some(String::new());
    }
    let uri: Uri = url.parse().ok()?;
    Some(uri.host().unwrap_or_default().to_owned())
}

fn is_address(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().is_ok()
}
