//! What a rule does with a request beside choosing its destination. Source: messages
//! `HTTPRedirect`, `HTTPDirectResponse`, `HTTPBody`, `HTTPRewrite`, `RegexRewrite` and
//! `HTTPMirrorPolicy`.

use serde::{Deserialize, Serialize};

use super::Destination;
use crate::resource::istio::is_default;
use crate::resource::istio::percent::Percent;

/// Answers with a redirect; what is not set stays as in the request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRedirect {
    /// Path that takes the place of the whole path. Exclusive with `prefix_rewrite`.
    #[serde(skip_serializing_if = "is_default")]
    pub uri: String,
    /// Authority to redirect to.
    #[serde(skip_serializing_if = "is_default")]
    pub authority: String,
    /// Port to redirect to. Exclusive with `derive_port`.
    #[serde(skip_serializing_if = "is_default")]
    pub port: Option<u32>,
    /// How the port is found.
    #[serde(skip_serializing_if = "is_default")]
    pub derive_port: Option<RedirectPortSelection>,
    /// Scheme to redirect to, `http` or `https`.
    #[serde(skip_serializing_if = "is_default")]
    pub scheme: String,
    /// Status of the answer. Default: 301.
    #[serde(skip_serializing_if = "is_default")]
    pub redirect_code: u32,
    /// Path that takes the place of the prefix that the rule matched.
    #[serde(skip_serializing_if = "is_default")]
    pub prefix_rewrite: String,
}

/// Where the port of a redirect comes from.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RedirectPortSelection {
    /// The scheme: 80 for HTTP, 443 for HTTPS.
    #[default]
    FromProtocolDefault,
    /// The port that the request came in at.
    FromRequestPort,
}

/// Answers with a fixed response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpDirectResponse {
    /// Status of the answer. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub status: u32,
    /// Body of the answer. Default: none.
    #[serde(skip_serializing_if = "is_default")]
    pub body: Option<HttpBody>,
}

/// A body, as text or as bytes. At most one may be set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpBody {
    /// The body as text.
    #[serde(skip_serializing_if = "is_default")]
    pub string: Option<String>,
    /// The body in Base64.
    #[serde(skip_serializing_if = "is_default")]
    pub bytes: Option<String>,
}

/// Changes a request before it is forwarded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpRewrite {
    /// Path that takes the place of the prefix that the rule matched, or of the whole path if it
    /// matched no prefix.
    #[serde(skip_serializing_if = "is_default")]
    pub uri: String,
    /// Authority that takes the place of the request's.
    #[serde(skip_serializing_if = "is_default")]
    pub authority: String,
    /// Substitution in the path. Exclusive with `uri`.
    #[serde(skip_serializing_if = "is_default")]
    pub uri_regex_rewrite: Option<RegexRewrite>,
}

/// A substitution by regular expression.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegexRewrite {
    /// RE2 expression for what is replaced.
    #[serde(skip_serializing_if = "is_default")]
    pub r#match: String,
    /// What takes its place; `\1` stands for the first group.
    #[serde(skip_serializing_if = "is_default")]
    pub rewrite: String,
}

/// A destination that gets a copy of the requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMirrorPolicy {
    /// Where the copies go. Required.
    #[serde(skip_serializing_if = "is_default")]
    pub destination: Option<Destination>,
    /// Share of the requests to copy. Default: 100 %.
    #[serde(skip_serializing_if = "is_default")]
    pub percentage: Option<Percent>,
}
