//! Changes of headers. Source: message `Headers`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::resource::istio::is_default;

/// Changes of the headers of requests and responses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Headers {
    /// Changes before a request is forwarded.
    #[serde(skip_serializing_if = "is_default")]
    pub request: Option<HeaderOperations>,
    /// Changes before a response is returned.
    #[serde(skip_serializing_if = "is_default")]
    pub response: Option<HeaderOperations>,
}

/// Changes of headers. Values may hold Envoy's `%…%` operators.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderOperations {
    /// Headers to overwrite, by name.
    #[serde(skip_serializing_if = "is_default")]
    pub set: BTreeMap<String, String>,
    /// Values to append, by name.
    #[serde(skip_serializing_if = "is_default")]
    pub add: BTreeMap<String, String>,
    /// Names of headers to remove.
    #[serde(skip_serializing_if = "is_default")]
    pub remove: Vec<String>,
}
