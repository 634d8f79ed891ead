//! What a route does.

use std::time::Duration;

use bytes::Bytes;
use mesh_core::model::route as model;
use mesh_core::service::ClusterName;
use serde_json::Value;

use super::config;
use super::headers::{filter_settings, mutations, operations_of};
use super::refusal::{Refusal, at_most_one_of, header_name, header_safe, one_of};
use super::rewrite::{path_rewrite, regex_rewrite, regex_substitution};

/// Envoy's default of `max_direct_response_body_size_bytes`.
const MAX_BODY: u32 = 4096;

/// The action of a route.
pub(super) fn convert(
    route: &config::Route,
    configuration: &config::RouteConfiguration,
) -> Result<model::RouteAction, Refusal> {
    let options = [
        ("route", route.route.is_some()),
        ("redirect", route.redirect.is_some()),
        ("direct_response", route.direct_response.is_some()),
        ("filter_action", route.filter_action.is_some()),
        (
            "non_forwarding_action",
            route.non_forwarding_action.is_some(),
        ),
    ];
    let set = one_of("action", &options)?;
    if let Some(action) = &route.route {
        let template = route.matches.as_ref();
        let template = template.and_then(|matches| matches.path_match_policy.as_ref());
        let forward = forward(action, template)?;
        return Ok(model::RouteAction::Forward(Box::new(forward)));
    }
    if let Some(action) = &route.redirect {
        return Ok(model::RouteAction::Redirect(Box::new(redirect(action)?)));
    }
    if let Some(action) = &route.direct_response {
        let limit = configuration.max_direct_response_body_size_bytes;
        let response = direct_response(action, limit.unwrap_or(MAX_BODY))?;
        return Ok(model::RouteAction::DirectResponse(Box::new(response)));
    }
    Err(Refusal::inexpressible(format_args!("`{set}`")))
}

fn forward(
    action: &config::RouteAction,
    template: Option<&Value>,
) -> Result<model::Forward, Refusal> {
    validate(action)?;
    let mut forward = model::Forward::to(destinations(action)?);
    forward.rewrite.path = path_rewrite(action, template)?;
    forward
        .rewrite
        .authority
        .clone_from(&action.host_rewrite_literal);
    forward.rewrite.authority_source = authority_source(action)?;
    forward.rewrite.append_forwarded_host = action.append_x_forwarded_host;
    forward.timeout = match &action.timeout {
        Some(value) => duration("timeout", value)?,
        None => Some(Duration::from_secs(15)),
    };
    Ok(forward)
}

/// Checks what has no effect on where requests go.
fn validate(action: &config::RouteAction) -> Result<(), Refusal> {
    for mirror in &action.request_mirror_policies {
        mirror_policy(mirror)?;
    }
    if let Some(policy) = &action.retry_policy {
        retry_policy(policy)?;
    }
    let connects = |upgrade: &&config::UpgradeConfig| upgrade.connect_config.is_some();
    if let Some(upgrade) = action.upgrade_configs.iter().find(connects)
        && !upgrade.upgrade_type.eq_ignore_ascii_case("CONNECT")
    {
        let kind = &upgrade.upgrade_type;
        return Err(Refusal::Invalid(format!(
            "`{kind}` is not CONNECT and has a CONNECT config"
        )));
    }
    if action.host_rewrite.is_some() {
        return Err(Refusal::invalid(
            "`host_rewrite` is no field of this version",
        ));
    }
    let rewrites = [
        (
            "host_rewrite_literal",
            action.host_rewrite_literal.is_some(),
        ),
        ("auto_host_rewrite", action.auto_host_rewrite.is_some()),
        ("host_rewrite_header", action.host_rewrite_header.is_some()),
        (
            "host_rewrite_path_regex",
            action.host_rewrite_path_regex.is_some(),
        ),
    ];
    let rewrite = at_most_one_of("host_rewrite_specifier", &rewrites)?;
    if let Some(literal) = &action.host_rewrite_literal {
        header_safe("host_rewrite_literal", literal)?;
    }
    match rewrite {
        Some(kind) if kind == "auto_host_rewrite" => {
            Err(Refusal::inexpressible(format_args!("`{kind}`")))
        }
        _ if action.cors.is_some() => Err(Refusal::inexpressible("deprecated `cors`")),
        _ => Ok(()),
    }
}

fn authority_source(
    action: &config::RouteAction,
) -> Result<Option<model::AuthoritySource>, Refusal> {
    if let Some(name) = &action.host_rewrite_header {
        let name = header_name("host_rewrite_header", name)?;
        return Ok(Some(model::AuthoritySource::Header(name)));
    }
    let path = action.host_rewrite_path_regex.as_ref();
    let path = path.map(regex_substitution).transpose()?;
    Ok(path.map(model::AuthoritySource::Path))
}

fn destinations(action: &config::RouteAction) -> Result<Vec<model::WeightedDestination>, Refusal> {
    let options = [
        ("cluster", action.cluster.is_some()),
        ("cluster_header", action.cluster_header.is_some()),
        ("weighted_clusters", action.weighted_clusters.is_some()),
        (
            "cluster_specifier_plugin",
            action.cluster_specifier_plugin.is_some(),
        ),
        (
            "inline_cluster_specifier_plugin",
            action.inline_cluster_specifier_plugin.is_some(),
        ),
    ];
    let set = one_of("cluster_specifier", &options)?;
    if let Some(cluster) = &action.cluster {
        return Ok(vec![model::WeightedDestination::new(specifier(
            cluster, "",
        )?)]);
    }
    if let Some(name) = &action.cluster_header {
        return Ok(vec![model::WeightedDestination::new(specifier("", name)?)]);
    }
    if let Some(weighted) = &action.weighted_clusters {
        return weighted_clusters(weighted);
    }
    Err(Refusal::inexpressible(format_args!("`{set}`")))
}

fn specifier(cluster: &str, header: &str) -> Result<model::ClusterSpecifier, Refusal> {
    match (cluster, header) {
        ("", "") => Err(Refusal::invalid(
            "a cluster needs `name` or `cluster_header`",
        )),
        (name, "") => Ok(model::ClusterSpecifier::Name(ClusterName::from(name))),
        ("", header) => {
            if !header.starts_with(':') {
                header_name("cluster_header", header)?;
            }
            Ok(model::ClusterSpecifier::Header(header.to_ascii_lowercase()))
        }
        _ => Err(Refusal::invalid(
            "only one of `cluster` and `cluster_header` can be specified",
        )),
    }
}

fn weighted_clusters(
    weighted: &config::WeightedCluster,
) -> Result<Vec<model::WeightedDestination>, Refusal> {
    if weighted.header_name.is_some() || weighted.use_hash_policy.is_some() {
        return Err(Refusal::inexpressible(
            "weighted choice by a header or hash",
        ));
    }
    if weighted.is_replaced {
        return Err(Refusal::inexpressible("weights by runtime"));
    }
    let mut destinations = Vec::new();
    let mut sum = 0_u64;
    for cluster in &weighted.clusters {
        filter_settings(&cluster.typed_per_filter_config)?;
        let mut destination =
            model::WeightedDestination::new(specifier(&cluster.name, &cluster.cluster_header)?);
        destination.weight = cluster.weight.unwrap_or_default();
        destination.headers = mutations(operations_of!(cluster))?;
        destination
            .authority
            .clone_from(&cluster.host_rewrite_literal);
        sum += u64::from(destination.weight);
        destinations.push(destination);
    }
    if destinations.is_empty() {
        return Err(Refusal::invalid("`weighted_clusters.clusters` is empty"));
    }
    if sum == 0 {
        return Err(Refusal::invalid(
            "the sum of the weights must be greater than 0",
        ));
    }
    if sum > u64::from(u32::MAX) {
        return Err(Refusal::Invalid(format!(
            "the sum of weights exceeds {}: {sum}",
            u32::MAX
        )));
    }
    match weighted.total_weight {
        Some(total) if u64::from(total) != sum => Err(Refusal::Invalid(format!(
            "the sum of weights is {sum}, not {total}"
        ))),
        _ => Ok(destinations),
    }
}

fn redirect(action: &config::RedirectAction) -> Result<model::Redirect, Refusal> {
    let schemes = [
        ("https_redirect", action.https_redirect.is_some()),
        ("scheme_redirect", action.scheme_redirect.is_some()),
    ];
    at_most_one_of("scheme_rewrite_specifier", &schemes)?;
    let paths = [
        ("path_redirect", action.path_redirect.is_some()),
        ("prefix_rewrite", action.prefix_rewrite.is_some()),
        ("regex_rewrite", action.regex_rewrite.is_some()),
    ];
    at_most_one_of("path_rewrite_specifier", &paths)?;
    let texts = [
        &Some(action.host_redirect.clone()),
        &action.path_redirect,
        &action.prefix_rewrite,
    ];
    for text in texts.into_iter().flatten() {
        header_safe("redirect", text)?;
    }
    let full = action.path_redirect.clone().map(model::PathRewrite::Full);
    let prefix = action
        .prefix_rewrite
        .clone()
        .map(model::PathRewrite::Prefix);
    let expression = action
        .regex_rewrite
        .as_ref()
        .map(regex_rewrite)
        .transpose()?;
    let https = action
        .https_redirect
        .unwrap_or_default()
        .then(|| "https".to_owned());
    let host = &action.host_redirect;
    Ok(model::Redirect {
        status: status(action.response_code),
        scheme: https.or_else(|| action.scheme_redirect.clone()),
        host: (!host.is_empty()).then(|| host.clone()),
        port: action.port_redirect.filter(|port| *port != 0),
        path: full.or(prefix).or(expression),
        strip_query: action.strip_query,
    })
}

fn status(code: config::RedirectCode) -> u16 {
    match code {
        config::RedirectCode::MovedPermanently => 301,
        config::RedirectCode::Found => 302,
        config::RedirectCode::SeeOther => 303,
        config::RedirectCode::TemporaryRedirect => 307,
        config::RedirectCode::PermanentRedirect => 308,
    }
}

fn direct_response(
    action: &config::DirectResponseAction,
    limit: u32,
) -> Result<model::DirectResponse, Refusal> {
    if !(200..600).contains(&action.status) {
        return Err(Refusal::Invalid(format!(
            "status `{}` is not in 200..600",
            action.status
        )));
    }
    if action.body_format.is_some() {
        return Err(Refusal::inexpressible("`body_format`"));
    }
    let status = action.status;
    let Some(body) = &action.body else {
        return Ok(model::DirectResponse { status, body: None });
    };
    if body.filename.is_some() || body.environment_variable.is_some() || body.inline_bytes.is_some()
    {
        return Err(Refusal::inexpressible("body from elsewhere"));
    }
    let text = body.inline_string.clone().unwrap_or_default();
    if text.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
        let why = format!("the body has {} bytes; the most is {limit}", text.len());
        return Err(Refusal::Invalid(why));
    }
    let body = (!text.is_empty()).then(|| Bytes::from(text));
    Ok(model::DirectResponse { status, body })
}

/// Checks a mirror.
pub(super) fn mirror_policy(mirror: &config::MirrorPolicy) -> Result<(), Refusal> {
    specifier(&mirror.cluster, &mirror.cluster_header)?;
    header_safe("host_rewrite_literal", &mirror.host_rewrite_literal)
}

/// Checks a retry policy.
pub(super) fn retry_policy(policy: &config::RetryPolicy) -> Result<(), Refusal> {
    let Some(backoff) = &policy.retry_back_off else {
        return Ok(());
    };
    let Some(base) = &backoff.base_interval else {
        return Err(Refusal::invalid(
            "`retry_back_off.base_interval` is required",
        ));
    };
    let base = duration("base_interval", base)?;
    let max = backoff.max_interval.as_ref();
    let max = max
        .map(|max| duration("max_interval", max))
        .transpose()?
        .flatten();
    match (base, max) {
        (None, _) => Err(Refusal::invalid("`base_interval` must be greater than 0")),
        (Some(base), Some(max)) if max < base => Err(Refusal::invalid(
            "`max_interval` must be greater than or equal to `base_interval`",
        )),
        _ => Ok(()),
    }
}

/// A protobuf duration; `None` is zero.
fn duration(field: &str, value: &Value) -> Result<Option<Duration>, Refusal> {
    let invalid = || Refusal::Invalid(format!("`{field}` is not a duration: {value}"));
    let duration = match value {
        Value::String(text) => {
            let seconds = text.strip_suffix('s').and_then(|text| text.parse().ok());
            let seconds: f64 = seconds.ok_or_else(invalid)?;
            Duration::try_from_secs_f64(seconds).map_err(|_| invalid())?
        }
        Value::Object(fields) => {
            let number = |name| fields.get(name).and_then(Value::as_u64).unwrap_or_default();
            Duration::from_secs(number("seconds")) + Duration::from_nanos(number("nanos"))
        }
        _ => return Err(invalid()),
    };
    Ok((!duration.is_zero()).then_some(duration))
}
