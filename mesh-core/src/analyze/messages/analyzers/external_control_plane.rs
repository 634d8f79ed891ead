//! Webhooks of a control plane that runs elsewhere.

use std::net::IpAddr;

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
                Some(host) if host.parse::<IpAddr>().is_ok() => {
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

/// The host of a URL, without port and brackets; empty if it has none, and `None` if it is no URL.
///
/// As in Go's `net/url`, by which Istio reads it, a URL may lack a scheme, an authority or both,
/// and its path may hold anything.
fn host(url: &str) -> Option<&str> {
    let (url, _) = url.split_once('#').unwrap_or((url, ""));
    let (url, _) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = scheme(url)?;
    let is_path = rest.starts_with('/');
    let (segment, _) = rest.split_once('/').unwrap_or((rest, ""));
    if url.bytes().any(|byte| byte.is_ascii_control())
        || scheme.is_empty() && !is_path && segment.contains(':')
    {
        return None;
    }
    let authority = rest.strip_prefix("//");
    let authority = authority.filter(|rest| !scheme.is_empty() || !rest.starts_with('/'));
    let Some(authority) = authority else {
        return (!is_path || is_escaped(rest)).then_some("");
    };
    let end = authority.find('/').unwrap_or(authority.len());
    let (authority, path) = authority.split_at(end);
    let (_, host_port) = authority.rsplit_once('@').unwrap_or(("", authority));
    is_escaped(path).then_some(())?;
    without_port(host_port)
}

/// The scheme of a URL, if it has one, and what follows it. One that is empty is a mistake.
fn scheme(url: &str) -> Option<(&str, &str)> {
    let is_part = |found: char| found.is_ascii_alphanumeric() || "+-.".contains(found);
    match url.split_once(':') {
        Some(("", _)) => None,
        Some((scheme, rest))
            if scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.chars().all(is_part) =>
        {
            Some((scheme, rest))
        }
        _ => Some(("", url)),
    }
}

fn without_port(host_port: &str) -> Option<&str> {
    let (host, port) = match host_port.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.rsplit_once(']')?;
            match port {
                "" => (host, ""),
                port => (host, port.strip_prefix(':')?),
            }
        }
        None => host_port.rsplit_once(':').unwrap_or((host_port, "")),
    };
    let is_part = |found: char| {
        !found.is_ascii() || found.is_ascii_alphanumeric() || "!$&'()*+,;=:<>\"-_.~".contains(found)
    };
    let is_number = port.bytes().all(|digit| digit.is_ascii_digit());
    (is_number && host.chars().all(is_part)).then_some(host)
}

/// Whether each `%` of a path begins an escape.
fn is_escaped(path: &str) -> bool {
    let mut parts = path.split('%').skip(1);
    parts.all(|part| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_url_is_found_as_go_finds_it() {
        for (url, expected) in [
            (
                "https://istiod.example:15017/inject",
                Some("istiod.example"),
            ),
            (
                "https://istiod.example/inject/my cluster",
                Some("istiod.example"),
            ),
            ("https://user@istiod.example:/", Some("istiod.example")),
            ("https://192.0.2.1:15017/inject?a=b#c", Some("192.0.2.1")),
            ("https://[2001:db8::1]:15017/inject", Some("2001:db8::1")),
            ("//istiod.example/inject", Some("istiod.example")),
            ("istiod.example:15017/inject", Some("")),
            ("192.0.2.1", Some("")),
            ("/inject", Some("")),
            ("", Some("")),
            ("192.0.2.1:15017/inject", None),
            ("://istiod.example", None),
            ("https://istiod.example:https/inject", None),
            ("https://istiod example/inject", None),
            ("https://[2001:db8::1/inject", None),
            ("https://istiod.example/%inject", None),
            ("https://istiod.example/\ninject", None),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }
}
