//! Matches of filters in listeners.

use crate::resource::istio::envoy_filter::{ApplyTo, ListenerMatch};
use crate::validate::At;

/// Names of the HTTP connection manager, the only filter that has filters of its own.
const CONNECTION_MANAGERS: [&str; 2] = [
    "envoy.filters.network.http_connection_manager",
    "envoy.http_connection_manager",
];

/// Names of filters that Envoy no longer knows, and their present ones.
const DEPRECATED: [(&str, &str); 27] = [
    ("envoy.buffer", "envoy.filters.http.buffer"),
    ("envoy.cors", "envoy.filters.http.cors"),
    ("envoy.csrf", "envoy.filters.http.csrf"),
    ("envoy.http_dynamo_filter", "envoy.filters.http.dynamo"),
    ("envoy.ext_authz", "envoy.filters.http.ext_authz"),
    ("envoy.fault", "envoy.filters.http.fault"),
    (
        "envoy.grpc_http1_bridge",
        "envoy.filters.http.grpc_http1_bridge",
    ),
    (
        "envoy.grpc_json_transcoder",
        "envoy.filters.http.grpc_json_transcoder",
    ),
    ("envoy.grpc_web", "envoy.filters.http.grpc_web"),
    ("envoy.gzip", "envoy.filters.http.gzip"),
    ("envoy.health_check", "envoy.filters.http.health_check"),
    ("envoy.ip_tagging", "envoy.filters.http.ip_tagging"),
    ("envoy.lua", "envoy.filters.http.lua"),
    ("envoy.rate_limit", "envoy.filters.http.ratelimit"),
    ("envoy.router", "envoy.filters.http.router"),
    ("envoy.squash", "envoy.filters.http.squash"),
    (
        "envoy.listener.http_inspector",
        "envoy.filters.listener.http_inspector",
    ),
    (
        "envoy.listener.original_dst",
        "envoy.filters.listener.original_dst",
    ),
    (
        "envoy.listener.original_src",
        "envoy.filters.listener.original_src",
    ),
    (
        "envoy.listener.proxy_protocol",
        "envoy.filters.listener.proxy_protocol",
    ),
    (
        "envoy.listener.tls_inspector",
        "envoy.filters.listener.tls_inspector",
    ),
    (
        "envoy.client_ssl_auth",
        "envoy.filters.network.client_ssl_auth",
    ),
    (
        "envoy.http_connection_manager",
        "envoy.filters.network.http_connection_manager",
    ),
    ("envoy.mongo_proxy", "envoy.filters.network.mongo_proxy"),
    ("envoy.ratelimit", "envoy.filters.network.ratelimit"),
    ("envoy.redis_proxy", "envoy.filters.network.redis_proxy"),
    ("envoy.tcp_proxy", "envoy.filters.network.tcp_proxy"),
];

/// Checks the match of a filter, if there is one.
pub(super) fn validate(matcher: &ListenerMatch, apply_to: ApplyTo, at: At<'_>) {
    let Some(filter) = matcher
        .filter_chain
        .as_ref()
        .and_then(|chain| chain.filter.as_ref())
    else {
        return;
    };
    let chain_at = at.field("filterChain");
    let at = chain_at.field("filter");
    if matches!(apply_to, ApplyTo::Listener | ApplyTo::FilterChain) {
        at.warning("filters are not matched where whole listeners or chains are patched");
    }
    let sub_at = at.field("subFilter");
    if let Some(sub_filter) = &filter.sub_filter {
        if apply_to != ApplyTo::HttpFilter {
            sub_at.error("only HTTP filters are within another filter");
        } else if !CONNECTION_MANAGERS.contains(&filter.name.as_str()) {
            sub_at.error("only the HTTP connection manager has filters within");
        }
        validate_name(&sub_filter.name, sub_at);
    }
    validate_name(&filter.name, at);
}

fn validate_name(name: &str, at: At<'_>) {
    let at = at.field("name");
    at.require(!name.is_empty(), "a filter is matched by its name");
    if let Some((_, present)) = DEPRECATED.iter().find(|(old, _)| *old == name) {
        at.warning(format_args!("`{name}` is a deprecated name"))
            .help(format!("use `{present}`"));
    }
}
