//! What a route does, as written.

use serde::Deserialize;
use serde_json::Value;

use super::{FilterSettings, HeaderMatcher, HeaderValueOption, RegexMatcher};

/// `config.route.v3.RouteAction`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct RouteAction {
    pub(in crate::envoy) cluster: Option<String>,
    pub(in crate::envoy) cluster_header: Option<String>,
    pub(in crate::envoy) weighted_clusters: Option<WeightedCluster>,
    pub(in crate::envoy) cluster_specifier_plugin: Option<String>,
    pub(in crate::envoy) inline_cluster_specifier_plugin: Option<Value>,
    #[serde(rename = "cluster_not_found_response_code")]
    pub(in crate::envoy) _cluster_not_found_response_code: Option<String>,
    #[serde(rename = "metadata_match")]
    pub(in crate::envoy) _metadata_match: Option<Value>,
    pub(in crate::envoy) prefix_rewrite: String,
    pub(in crate::envoy) regex_rewrite: Option<RegexRewrite>,
    pub(in crate::envoy) path_rewrite_policy: Option<Value>,
    pub(in crate::envoy) path_rewrite: String,
    pub(in crate::envoy) host_rewrite_literal: Option<String>,
    pub(in crate::envoy) auto_host_rewrite: Option<bool>,
    pub(in crate::envoy) host_rewrite_header: Option<String>,
    pub(in crate::envoy) host_rewrite_path_regex: Option<RegexRewrite>,
    pub(in crate::envoy) host_rewrite: Option<Value>,
    pub(in crate::envoy) append_x_forwarded_host: bool,
    pub(in crate::envoy) timeout: Option<Value>,
    #[serde(rename = "idle_timeout")]
    pub(in crate::envoy) _idle_timeout: Option<Value>,
    #[serde(rename = "early_data_policy")]
    pub(in crate::envoy) _early_data_policy: Option<Value>,
    pub(in crate::envoy) retry_policy: Option<RetryPolicy>,
    pub(in crate::envoy) request_mirror_policies: Vec<MirrorPolicy>,
    #[serde(rename = "priority")]
    pub(in crate::envoy) _priority: Option<String>,
    #[serde(rename = "rate_limits")]
    pub(in crate::envoy) _rate_limits: Vec<Value>,
    #[serde(rename = "include_vh_rate_limits")]
    pub(in crate::envoy) _include_vh_rate_limits: Option<bool>,
    pub(in crate::envoy) hash_policy: Vec<Value>,
    pub(in crate::envoy) cors: Option<Value>,
    #[serde(rename = "max_grpc_timeout")]
    pub(in crate::envoy) _max_grpc_timeout: Option<Value>,
    #[serde(rename = "grpc_timeout_offset")]
    pub(in crate::envoy) _grpc_timeout_offset: Option<Value>,
    pub(in crate::envoy) upgrade_configs: Vec<UpgradeConfig>,
    #[serde(rename = "internal_redirect_policy")]
    pub(in crate::envoy) _internal_redirect_policy: Option<Value>,
    #[serde(rename = "internal_redirect_action")]
    pub(in crate::envoy) _internal_redirect_action: Option<String>,
    #[serde(rename = "hedge_policy")]
    pub(in crate::envoy) _hedge_policy: Option<Value>,
    #[serde(rename = "max_stream_duration")]
    pub(in crate::envoy) _max_stream_duration: Option<Value>,
}

/// `config.route.v3.RouteAction.UpgradeConfig`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct UpgradeConfig {
    pub(in crate::envoy) upgrade_type: String,
    #[serde(rename = "enabled")]
    pub(in crate::envoy) _enabled: Option<bool>,
    pub(in crate::envoy) connect_config: Option<Value>,
}

/// `config.route.v3.WeightedCluster`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct WeightedCluster {
    pub(in crate::envoy) clusters: Vec<ClusterWeight>,
    pub(in crate::envoy) total_weight: Option<u32>,
    pub(in crate::envoy) runtime_key_prefix: String,
    /// Whether runtime gives other weights. No field of Envoy's.
    #[serde(skip)]
    pub(in crate::envoy) is_replaced: bool,
    pub(in crate::envoy) header_name: Option<String>,
    pub(in crate::envoy) use_hash_policy: Option<bool>,
}

/// `config.route.v3.WeightedCluster.ClusterWeight`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct ClusterWeight {
    pub(in crate::envoy) name: String,
    pub(in crate::envoy) cluster_header: String,
    pub(in crate::envoy) weight: Option<u32>,
    #[serde(rename = "metadata_match")]
    pub(in crate::envoy) _metadata_match: Option<Value>,
    pub(in crate::envoy) request_headers_to_add: Vec<HeaderValueOption>,
    pub(in crate::envoy) request_headers_to_remove: Vec<String>,
    pub(in crate::envoy) response_headers_to_add: Vec<HeaderValueOption>,
    pub(in crate::envoy) response_headers_to_remove: Vec<String>,
    pub(in crate::envoy) typed_per_filter_config: FilterSettings,
    pub(in crate::envoy) host_rewrite_literal: Option<String>,
}

/// `type.matcher.v3.RegexMatchAndSubstitute`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct RegexRewrite {
    pub(in crate::envoy) pattern: Option<RegexMatcher>,
    pub(in crate::envoy) substitution: String,
}

/// `config.route.v3.RouteAction.RequestMirrorPolicy`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct MirrorPolicy {
    pub(in crate::envoy) cluster: String,
    pub(in crate::envoy) cluster_header: String,
    pub(in crate::envoy) runtime_fraction: Option<Value>,
    pub(in crate::envoy) trace_sampled: Option<bool>,
    pub(in crate::envoy) disable_shadow_host_suffix_append: bool,
    pub(in crate::envoy) request_headers_mutations: Vec<Value>,
    pub(in crate::envoy) host_rewrite_literal: String,
}

/// `config.route.v3.RedirectAction`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct RedirectAction {
    pub(in crate::envoy) https_redirect: Option<bool>,
    pub(in crate::envoy) scheme_redirect: Option<String>,
    pub(in crate::envoy) host_redirect: String,
    pub(in crate::envoy) port_redirect: Option<u16>,
    pub(in crate::envoy) path_redirect: Option<String>,
    pub(in crate::envoy) prefix_rewrite: Option<String>,
    pub(in crate::envoy) regex_rewrite: Option<RegexRewrite>,
    pub(in crate::envoy) response_code: RedirectCode,
    pub(in crate::envoy) strip_query: bool,
}

/// `config.route.v3.RedirectAction.RedirectResponseCode`
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(in crate::envoy) enum RedirectCode {
    #[default]
    MovedPermanently,
    Found,
    SeeOther,
    TemporaryRedirect,
    PermanentRedirect,
}

/// `config.route.v3.DirectResponseAction`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct DirectResponseAction {
    pub(in crate::envoy) status: u16,
    pub(in crate::envoy) body: Option<DataSource>,
    pub(in crate::envoy) body_format: Option<Value>,
}

/// `config.core.v3.DataSource`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct DataSource {
    pub(in crate::envoy) inline_string: Option<String>,
    pub(in crate::envoy) inline_bytes: Option<String>,
    pub(in crate::envoy) filename: Option<String>,
    pub(in crate::envoy) environment_variable: Option<String>,
}

/// `config.route.v3.RetryPolicy`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct RetryPolicy {
    pub(in crate::envoy) retry_on: String,
    pub(in crate::envoy) num_retries: Option<u32>,
    pub(in crate::envoy) per_try_timeout: Option<Value>,
    #[serde(rename = "per_try_idle_timeout")]
    pub(in crate::envoy) _per_try_idle_timeout: Option<Value>,
    #[serde(rename = "retry_priority")]
    pub(in crate::envoy) _retry_priority: Option<Value>,
    #[serde(rename = "retry_host_predicate")]
    pub(in crate::envoy) _retry_host_predicate: Vec<Value>,
    #[serde(rename = "retry_options_predicates")]
    pub(in crate::envoy) _retry_options_predicates: Vec<Value>,
    #[serde(rename = "host_selection_retry_max_attempts")]
    pub(in crate::envoy) _host_selection_retry_max_attempts: Option<Value>,
    #[serde(rename = "retriable_status_codes")]
    pub(in crate::envoy) _retriable_status_codes: Vec<u16>,
    pub(in crate::envoy) retry_back_off: Option<BackOff>,
    #[serde(rename = "rate_limited_retry_back_off")]
    pub(in crate::envoy) _rate_limited_retry_back_off: Option<Value>,
    #[serde(rename = "retriable_headers")]
    pub(in crate::envoy) _retriable_headers: Vec<HeaderMatcher>,
    #[serde(rename = "retriable_request_headers")]
    pub(in crate::envoy) _retriable_request_headers: Vec<HeaderMatcher>,
}

/// `config.route.v3.RetryPolicy.RetryBackOff`
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::envoy) struct BackOff {
    pub(in crate::envoy) base_interval: Option<Value>,
    pub(in crate::envoy) max_interval: Option<Value>,
}
