//! Envoy's `RouteConfiguration` as written, in the protobuf JSON of [its API].
//!
//! An unknown field is an error, as in Envoy. What the model has no word for is kept as untyped
//! JSON, so that [`convert`](super::convert) can name it when it refuses.
//!
//! [its API]: https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto

mod action;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

pub(in crate::envoy) use self::action::{
    DirectResponseAction, MirrorPolicy, RedirectAction, RedirectCode, RegexRewrite, RetryPolicy,
    RouteAction, UpgradeConfig, WeightedCluster,
};

/// Settings of other HTTP filters, by filter.
pub(in crate::envoy) type FilterSettings = BTreeMap<String, Value>;

/// `config.route.v3.RouteConfiguration`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct RouteConfiguration {
    pub(in crate::envoy) name: String,
    pub(in crate::envoy) virtual_hosts: Vec<VirtualHost>,
    pub(in crate::envoy) vhds: Option<Value>,
    #[serde(rename = "internal_only_headers")]
    pub(in crate::envoy) _internal_only_headers: Vec<String>,
    pub(in crate::envoy) request_headers_to_add: Vec<HeaderValueOption>,
    pub(in crate::envoy) request_headers_to_remove: Vec<String>,
    pub(in crate::envoy) response_headers_to_add: Vec<HeaderValueOption>,
    pub(in crate::envoy) response_headers_to_remove: Vec<String>,
    pub(in crate::envoy) most_specific_header_mutations_wins: bool,
    pub(in crate::envoy) validate_clusters: Option<bool>,
    pub(in crate::envoy) max_direct_response_body_size_bytes: Option<u32>,
    pub(in crate::envoy) cluster_specifier_plugins: Vec<Value>,
    pub(in crate::envoy) request_mirror_policies: Vec<MirrorPolicy>,
    pub(in crate::envoy) ignore_port_in_host_matching: bool,
    pub(in crate::envoy) ignore_path_parameters_in_path_matching: bool,
    pub(in crate::envoy) typed_per_filter_config: FilterSettings,
    #[serde(rename = "metadata")]
    pub(in crate::envoy) _metadata: Option<Value>,
}

/// `config.route.v3.VirtualHost`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct VirtualHost {
    pub(in crate::envoy) name: String,
    pub(in crate::envoy) domains: Vec<String>,
    pub(in crate::envoy) routes: Vec<Route>,
    pub(in crate::envoy) matcher: Option<Value>,
    pub(in crate::envoy) require_tls: TlsRequirement,
    pub(in crate::envoy) virtual_clusters: Vec<Value>,
    #[serde(rename = "rate_limits")]
    pub(in crate::envoy) _rate_limits: Vec<Value>,
    pub(in crate::envoy) request_headers_to_add: Vec<HeaderValueOption>,
    pub(in crate::envoy) request_headers_to_remove: Vec<String>,
    pub(in crate::envoy) response_headers_to_add: Vec<HeaderValueOption>,
    pub(in crate::envoy) response_headers_to_remove: Vec<String>,
    pub(in crate::envoy) cors: Option<Value>,
    pub(in crate::envoy) typed_per_filter_config: FilterSettings,
    pub(in crate::envoy) include_request_attempt_count: bool,
    pub(in crate::envoy) include_attempt_count_in_response: bool,
    pub(in crate::envoy) retry_policy: Option<RetryPolicy>,
    #[serde(rename = "hedge_policy")]
    pub(in crate::envoy) _hedge_policy: Option<Value>,
    pub(in crate::envoy) request_mirror_policies: Vec<MirrorPolicy>,
    #[serde(rename = "per_request_buffer_limit_bytes")]
    pub(in crate::envoy) _per_request_buffer_limit_bytes: Option<u32>,
    #[serde(rename = "metadata")]
    pub(in crate::envoy) _metadata: Option<Value>,
}

/// `config.route.v3.VirtualHost.TlsRequirementType`
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(in crate::envoy) enum TlsRequirement {
    #[default]
    None,
    ExternalOnly,
    All,
}

/// `config.route.v3.Route`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct Route {
    pub(in crate::envoy) name: String,
    #[serde(rename = "match")]
    pub(in crate::envoy) matches: Option<RouteMatch>,
    pub(in crate::envoy) route: Option<RouteAction>,
    pub(in crate::envoy) redirect: Option<RedirectAction>,
    pub(in crate::envoy) direct_response: Option<DirectResponseAction>,
    pub(in crate::envoy) filter_action: Option<Value>,
    pub(in crate::envoy) non_forwarding_action: Option<Value>,
    #[serde(rename = "metadata")]
    pub(in crate::envoy) _metadata: Option<Value>,
    #[serde(rename = "decorator")]
    pub(in crate::envoy) _decorator: Option<Value>,
    #[serde(rename = "tracing")]
    pub(in crate::envoy) _tracing: Option<Value>,
    pub(in crate::envoy) typed_per_filter_config: FilterSettings,
    pub(in crate::envoy) request_headers_to_add: Vec<HeaderValueOption>,
    pub(in crate::envoy) request_headers_to_remove: Vec<String>,
    pub(in crate::envoy) response_headers_to_add: Vec<HeaderValueOption>,
    pub(in crate::envoy) response_headers_to_remove: Vec<String>,
    #[serde(rename = "per_request_buffer_limit_bytes")]
    pub(in crate::envoy) _per_request_buffer_limit_bytes: Option<u32>,
    #[serde(rename = "stat_prefix")]
    pub(in crate::envoy) _stat_prefix: String,
}

/// `config.route.v3.RouteMatch`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct RouteMatch {
    pub(in crate::envoy) prefix: Option<String>,
    pub(in crate::envoy) path: Option<String>,
    pub(in crate::envoy) safe_regex: Option<RegexMatcher>,
    pub(in crate::envoy) path_separated_prefix: Option<String>,
    pub(in crate::envoy) path_match_policy: Option<Value>,
    pub(in crate::envoy) connect_matcher: Option<Value>,
    pub(in crate::envoy) case_sensitive: Option<bool>,
    pub(in crate::envoy) runtime_fraction: Option<Value>,
    pub(in crate::envoy) headers: Vec<HeaderMatcher>,
    pub(in crate::envoy) query_parameters: Vec<QueryParameterMatcher>,
    pub(in crate::envoy) cookies: Vec<Value>,
    pub(in crate::envoy) grpc: Option<Value>,
    pub(in crate::envoy) tls_context: Option<Value>,
    pub(in crate::envoy) dynamic_metadata: Vec<Value>,
    pub(in crate::envoy) filter_state: Vec<Value>,
    /// Whether a test sets the metadata and state of its requests itself. No field of Envoy's.
    #[serde(skip)]
    pub(in crate::envoy) is_mocked: bool,
}

/// `type.matcher.v3.RegexMatcher`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct RegexMatcher {
    #[serde(rename = "google_re2")]
    pub(in crate::envoy) _google_re2: Option<Value>,
    pub(in crate::envoy) regex: String,
}

/// `config.route.v3.HeaderMatcher`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct HeaderMatcher {
    pub(in crate::envoy) name: String,
    pub(in crate::envoy) exact_match: Option<String>,
    pub(in crate::envoy) safe_regex_match: Option<RegexMatcher>,
    pub(in crate::envoy) range_match: Option<Value>,
    pub(in crate::envoy) present_match: Option<bool>,
    pub(in crate::envoy) prefix_match: Option<String>,
    pub(in crate::envoy) suffix_match: Option<String>,
    pub(in crate::envoy) contains_match: Option<String>,
    pub(in crate::envoy) string_match: Option<StringMatcher>,
    pub(in crate::envoy) invert_match: bool,
    pub(in crate::envoy) treat_missing_header_as_empty: bool,
}

/// `config.route.v3.QueryParameterMatcher`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct QueryParameterMatcher {
    pub(in crate::envoy) name: String,
    pub(in crate::envoy) string_match: Option<StringMatcher>,
    pub(in crate::envoy) present_match: Option<bool>,
}

/// `type.matcher.v3.StringMatcher`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct StringMatcher {
    pub(in crate::envoy) exact: Option<String>,
    pub(in crate::envoy) prefix: Option<String>,
    pub(in crate::envoy) suffix: Option<String>,
    pub(in crate::envoy) contains: Option<String>,
    pub(in crate::envoy) safe_regex: Option<RegexMatcher>,
    pub(in crate::envoy) custom: Option<Value>,
    pub(in crate::envoy) ignore_case: bool,
}

/// `config.core.v3.HeaderValueOption`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct HeaderValueOption {
    pub(in crate::envoy) header: Option<HeaderValue>,
    pub(in crate::envoy) append: Option<bool>,
    pub(in crate::envoy) append_action: Option<AppendAction>,
    pub(in crate::envoy) keep_empty_value: bool,
}

/// `config.core.v3.HeaderValue`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct HeaderValue {
    pub(in crate::envoy) key: String,
    pub(in crate::envoy) value: String,
    pub(in crate::envoy) raw_value: Option<Value>,
}

/// `config.core.v3.HeaderValueOption.HeaderAppendAction`
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(in crate::envoy) enum AppendAction {
    AppendIfExistsOrAdd,
    AddIfAbsent,
    OverwriteIfExistsOrAdd,
    OverwriteIfExists,
}
