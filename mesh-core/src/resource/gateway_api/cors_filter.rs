//! Which other origins may use a route's responses.
//!
//! `HTTPCORSFilter` in `apis/v1/httproute_types.go` (GEP-1767).
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::cors_filter::{CorsMethod, HttpCorsFilter};
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let cors: HttpCorsFilter = serde_json::from_str(
//!     r#"{"allowOrigins": ["https://*.shop.example"], "allowMethods": ["*"]}"#,
//! )?;
//! assert_eq!(cors.allow_methods, [CorsMethod::Any]);
//! assert_eq!(cors.max_age, None); // five seconds
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

/// Cross-origin resource sharing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpCorsFilter {
    /// Origins allowed: `scheme://host[:port]`, where the host may have a `*` that stands for
    /// any number of labels to its left; `*` alone is any origin.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_origins: Vec<String>,
    /// Whether requests may carry credentials. Default: false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// Methods allowed beside `GET`, `HEAD` and `POST`, which always are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<CorsMethod>,
    /// Request headers allowed, in any case; `*` alone is any header.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    /// Response headers that scripts may read, in any case; `*` alone is any header.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// Seconds for which a client may remember the answer to a preflight, at least 1. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
}

/// A method that another origin may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum CorsMethod {
    /// `*`: any method.
    #[serde(rename = "*")]
    Any,
    /// `CONNECT`.
    Connect,
    /// `DELETE`.
    Delete,
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `OPTIONS`.
    Options,
    /// `PATCH`.
    Patch,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `TRACE`.
    Trace,
}

impl CorsMethod {
    /// The method as it is written: `GET`, or `*` for any.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "*",
            Self::Connect => "CONNECT",
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Trace => "TRACE",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cors_filter_keeps_all_its_fields() {
        let written = json!({
            "allowOrigins": ["https://shop.example:8443", "http://*.shop.example"],
            "allowCredentials": false,
            "allowMethods": ["GET", "DELETE"],
            "allowHeaders": ["x-token"],
            "exposeHeaders": ["*"],
            "maxAge": 600,
        });
        let cors: HttpCorsFilter = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(cors.allow_credentials, Some(false));
        assert_eq!(cors.allow_methods, [CorsMethod::Get, CorsMethod::Delete]);
        assert_eq!(serde_json::to_value(&cors).unwrap(), written);
    }
}
