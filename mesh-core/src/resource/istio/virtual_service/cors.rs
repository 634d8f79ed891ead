//! Cross-origin resource sharing. Source: message `CorsPolicy`.

use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::resource::istio::is_default;
use crate::resource::istio::string_match::StringMatch;

/// Which pages of other origins may call, and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorsPolicy {
    /// Origins that are allowed, exactly; `*` for all. Deprecated: counts only without
    /// `allow_origins`.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_origin: Vec<String>,
    /// Origins that are allowed. The answer names the origin that asked.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_origins: Vec<StringMatch>,
    /// Methods for `Access-Control-Allow-Methods`.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_methods: Vec<String>,
    /// Request headers for `Access-Control-Allow-Headers`.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_headers: Vec<String>,
    /// Response headers for `Access-Control-Expose-Headers`.
    #[serde(skip_serializing_if = "is_default")]
    pub expose_headers: Vec<String>,
    /// How long the answer to a preflight may be cached, in whole seconds.
    #[serde(skip_serializing_if = "is_default")]
    pub max_age: Option<Duration>,
    /// Whether requests may carry credentials. Default: the answer does not say.
    #[serde(skip_serializing_if = "is_default")]
    pub allow_credentials: Option<bool>,
    /// What becomes of preflights of origins that are not allowed. Default: they are forwarded.
    #[serde(skip_serializing_if = "is_default")]
    pub unmatched_preflights: UnmatchedPreflights,
}

/// What becomes of a preflight whose origin is not allowed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UnmatchedPreflights {
    /// Not said: the same as [`Forward`](Self::Forward).
    #[default]
    Unspecified,
    /// The destination answers it.
    Forward,
    /// The proxy answers it, without the headers that would allow anything.
    Ignore,
}
