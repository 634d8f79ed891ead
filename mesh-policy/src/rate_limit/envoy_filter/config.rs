//! Envoy's messages of rate limits, as the types of this crate.

use std::time::{Duration, Instant};

use http::{HeaderName, StatusCode};
use mesh_core::format_string::HeaderFormat;
use mesh_core::model::filter::{AppendAction, HeaderOption};
use mesh_core::percent::Percent;
use mesh_core::service::ClusterName;

use super::fields::{Fields, Unsupported, unsupported};
use super::{GlobalFilter, Place, headers};
use crate::rate_limit::descriptor::{Action, Descriptor, Entry, Field, RateLimitRule};
use crate::rate_limit::local::{LocalRateLimit, LocalRateLimitSettings};
use crate::rate_limit::token_bucket::TokenBucketSettings;

/// Envoy's default for the time that a rate limit service has.
const TIMEOUT: Duration = Duration::from_millis(20);

/// Reads a `LocalRateLimit`. `own` is the name that a proxy of the workload has as a cluster.
pub(super) fn local(
    mut fields: Fields<'_>,
    own: &str,
    now: Instant,
) -> Result<LocalRateLimit, Unsupported> {
    fields.ignore("stat_prefix");
    let mut limit = match fields.map("token_bucket")? {
        Some(bucket) => LocalRateLimit::new(token_bucket(bucket)?, now),
        None => LocalRateLimit::unlimited(),
    };
    for mut of_descriptor in fields.maps("descriptors")? {
        let entries = of_descriptor.maps("entries")?;
        let entries = entries.into_iter().map(entry).collect::<Result<_, _>>()?;
        let bucket = of_descriptor.map("token_bucket")?;
        let bucket = token_bucket(bucket.ok_or_else(|| unsupported("token_bucket"))?)?;
        of_descriptor.finish()?;
        limit = limit.with_descriptor(Descriptor { entries }, bucket, now);
    }
    let settings = LocalRateLimitSettings {
        // Envoy does nothing unless it is told to.
        enabled: fields.share("filter_enabled")?.unwrap_or(Percent::ZERO),
        enforced: fields.share("filter_enforced")?.unwrap_or(Percent::ZERO),
        status: status(&mut fields)?,
        as_resource_exhausted: fields.flag("rate_limited_as_resource_exhausted")?,
        response_headers: header_options(&mut fields, "response_headers_to_add")?,
        request_headers_when_not_enforced: header_options(
            &mut fields,
            "request_headers_to_add_when_not_enforced",
        )?,
        rate_limit_headers: rate_limit_headers(&mut fields)?,
        always_consume_default: fields
            .optional_flag("always_consume_default_token_bucket")?
            .unwrap_or(true),
        rules: rules(&mut fields, own)?,
        stage: fields.number("stage")?.unwrap_or(0),
    };
    if fields.flag("local_rate_limit_per_downstream_connection")? {
        return Err(unsupported("local_rate_limit_per_downstream_connection"));
    }
    fields.finish()?;
    Ok(limit.with_settings(settings))
}

/// Reads a `RateLimit` filter.
pub(super) fn global(mut fields: Fields<'_>) -> Result<GlobalFilter, Unsupported> {
    let domain = fields
        .text("domain")?
        .ok_or_else(|| unsupported("domain"))?;
    let service = fields.map("rate_limit_service")?;
    let mut service = service.ok_or_else(|| unsupported("rate_limit_service"))?;
    if !matches!(service.text("transport_api_version")?, None | Some("V3")) {
        return Err(unsupported("transport_api_version"));
    }
    let grpc = service.map("grpc_service")?;
    let mut grpc = grpc.ok_or_else(|| unsupported("grpc_service"))?;
    let envoy = grpc.map("envoy_grpc")?;
    let mut envoy = envoy.ok_or_else(|| unsupported("envoy_grpc"))?;
    let cluster = envoy.text("cluster_name")?;
    let cluster = cluster.ok_or_else(|| unsupported("cluster_name"))?;
    envoy.ignore("authority");
    envoy.finish()?;
    // The filter's timeout counts; that of the service is for streams.
    grpc.ignore("timeout");
    grpc.finish()?;
    service.finish()?;
    if !matches!(fields.text("request_type")?, None | Some("both" | "")) {
        return Err(unsupported("request_type"));
    }
    let filter = GlobalFilter {
        domain: domain.to_owned(),
        place: Place::default(),
        cluster: ClusterName::from(cluster),
        timeout: fields.duration("timeout")?.unwrap_or(TIMEOUT),
        failure_mode_deny: fields.flag("failure_mode_deny")?,
        stage: fields.number("stage")?.unwrap_or(0),
        rate_limit_headers: rate_limit_headers(&mut fields)?,
        as_resource_exhausted: fields.flag("rate_limited_as_resource_exhausted")?,
        without_rate_limited_header: fields.flag("disable_x_envoy_ratelimited_header")?,
    };
    fields.finish()?;
    Ok(filter)
}

/// Reads the `rate_limits` of a route, a virtual host or a filter. `own` is as in [`local`].
pub(super) fn rules(fields: &mut Fields<'_>, own: &str) -> Result<Vec<RateLimitRule>, Unsupported> {
    let rules = fields.maps("rate_limits")?.into_iter().map(|mut rule| {
        let actions = rule.maps("actions")?.into_iter();
        let actions = actions.map(|fields| action(fields, own));
        let actions: Vec<Action> = actions.collect::<Result<_, _>>()?;
        let stage = rule.number("stage")?.unwrap_or(0);
        rule.finish()?;
        Ok(RateLimitRule::new(actions).with_stage(stage))
    });
    rules.collect()
}

fn action(mut fields: Fields<'_>, own: &str) -> Result<Action, Unsupported> {
    let action = if fields.map("source_cluster")?.is_some() {
        Action::SourceCluster(own.to_owned())
    } else if fields.map("destination_cluster")?.is_some() {
        Action::DestinationCluster
    } else if fields.map("remote_address")?.is_some() {
        Action::RemoteAddress
    } else if let Some(mut generic) = fields.map("generic_key")? {
        let key = generic
            .text("descriptor_key")?
            .unwrap_or("generic_key")
            .to_owned();
        let value = required(&mut generic, "descriptor_value")?;
        generic.finish()?;
        Action::GenericKey { key, value }
    } else if let Some(header) = fields.map("request_headers")? {
        request_header(header)?
    } else if let Some(header) = fields.map("header_value_match")? {
        header_value_match(header)?
    } else {
        return Err(unsupported("actions"));
    };
    fields.finish()?;
    Ok(action)
}

fn request_header(mut fields: Fields<'_>) -> Result<Action, Unsupported> {
    let name = required(&mut fields, "header_name")?;
    let key = required(&mut fields, "descriptor_key")?;
    let skip_if_absent = fields.flag("skip_if_absent")?;
    fields.finish()?;
    Ok(
        match Field::parse(&name).ok_or_else(|| unsupported("header_name"))? {
            Field::Header(name) => Action::RequestHeader {
                name,
                key,
                skip_if_absent,
            },
            field => Action::RequestPseudoHeader { field, key },
        },
    )
}

fn header_value_match(mut fields: Fields<'_>) -> Result<Action, Unsupported> {
    let key = fields
        .text("descriptor_key")?
        .unwrap_or("header_match")
        .to_owned();
    let value = required(&mut fields, "descriptor_value")?;
    let expect_match = fields.optional_flag("expect_match")?.unwrap_or(true);
    let headers = fields.maps("headers")?.into_iter().map(headers::condition);
    let headers = headers.collect::<Result<_, _>>()?;
    fields.finish()?;
    Ok(Action::HeaderValueMatch {
        key,
        value,
        expect_match,
        headers,
    })
}

fn entry(mut fields: Fields<'_>) -> Result<Entry, Unsupported> {
    let key = required(&mut fields, "key")?;
    // A key without a value is a bucket for each value that comes.
    let value = required(&mut fields, "value")?;
    fields.finish()?;
    Ok(Entry::new(key, value))
}

fn token_bucket(mut fields: Fields<'_>) -> Result<TokenBucketSettings, Unsupported> {
    let max_tokens = fields.number("max_tokens")?.unwrap_or(0);
    let tokens_per_fill = fields.number("tokens_per_fill")?.unwrap_or(1);
    let fill_interval = fields.duration("fill_interval")?.unwrap_or_default();
    fields.finish()?;
    TokenBucketSettings::new(max_tokens, tokens_per_fill, fill_interval)
        .map_err(|_| unsupported("token_bucket"))
}

/// A status below 400 is not one of a refusal, and Envoy answers 429 instead.
fn status(fields: &mut Fields<'_>) -> Result<StatusCode, Unsupported> {
    let Some(mut status) = fields.map("status")? else {
        return Ok(StatusCode::TOO_MANY_REQUESTS);
    };
    // Envoy's enumeration of status codes has names, and numbers in JSON, too.
    let code = match status.number("code") {
        Ok(code) => code.unwrap_or(0),
        Err(_) => match status.text("code")? {
            Some("TooManyRequests") => 429,
            Some("ServiceUnavailable") => 503,
            Some("Forbidden") => 403,
            _ => return Err(unsupported("status")),
        },
    };
    status.finish()?;
    let code = u16::try_from(code).ok().filter(|code| *code >= 400);
    let code = code.and_then(|code| StatusCode::from_u16(code).ok());
    Ok(code.unwrap_or(StatusCode::TOO_MANY_REQUESTS))
}

fn rate_limit_headers(fields: &mut Fields<'_>) -> Result<bool, Unsupported> {
    match fields.text("enable_x_ratelimit_headers")? {
        None | Some("OFF") => Ok(false),
        Some("DRAFT_VERSION_03") => Ok(true),
        Some(_) => Err(unsupported("enable_x_ratelimit_headers")),
    }
}

fn header_options(fields: &mut Fields<'_>, name: &str) -> Result<Vec<HeaderOption>, Unsupported> {
    let options = fields.maps(name)?.into_iter().map(|mut option| {
        let header = option.map("header")?;
        let mut header = header.ok_or_else(|| unsupported("header"))?;
        let name: HeaderName = header.parse("key")?.ok_or_else(|| unsupported("key"))?;
        let value: HeaderFormat = header.parse("value")?.ok_or_else(|| unsupported("value"))?;
        header.finish()?;
        let append = option.optional_flag("append")?;
        let action = match option.text("append_action")? {
            None if append == Some(false) => AppendAction::OverwriteIfExistsOrAdd,
            None | Some("APPEND_IF_EXISTS_OR_ADD") => AppendAction::AppendIfExistsOrAdd,
            Some("ADD_IF_ABSENT") => AppendAction::AddIfAbsent,
            Some("OVERWRITE_IF_EXISTS") => AppendAction::OverwriteIfExists,
            Some("OVERWRITE_IF_EXISTS_OR_ADD") => AppendAction::OverwriteIfExistsOrAdd,
            Some(_) => return Err(unsupported("append_action")),
        };
        option.finish()?;
        Ok(HeaderOption {
            name,
            value,
            action,
        })
    });
    options.collect()
}

pub(super) fn required(fields: &mut Fields<'_>, name: &str) -> Result<String, Unsupported> {
    let text = fields.text(name)?.filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| unsupported(name))
}
