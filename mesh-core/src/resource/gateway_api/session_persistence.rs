//! Keep a client on the backend that answered it first.
//!
//! `SessionPersistence` in `apis/v1/shared_types.go` (GEP-1619). Experimental, and changed after
//! release 1.6: `cookie` and `header` came in place of `sessionName` and `cookieConfig`. Both
//! forms are read.
//!
//! # Example
//!
//! ```
//! use mesh_core::resource::gateway_api::session_persistence::{
//!     SessionPersistence, SessionPersistenceType,
//! };
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let persistence: SessionPersistence =
//!     serde_json::from_str(r#"{"cookie": {"name": "session"}, "absoluteTimeout": "1h"}"#)?;
//! let kind = persistence.r#type.unwrap_or_default();
//! assert_eq!(kind, SessionPersistenceType::Cookie);
//! # Ok(())
//! # }
//! ```

use serde::{Deserialize, Serialize};

use crate::duration::GatewayDuration;

/// How a session is recognised, and how long it lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionPersistence {
    /// Name of the cookie or of the header, in the form up to release 1.6. Default: chosen by the
    /// implementation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_name: Option<String>,
    /// Longest life of a session, however active. Required for permanent cookies. Default: no
    /// limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absolute_timeout: Option<GatewayDuration>,
    /// Longest time between two requests of a session, in the form up to release 1.5. Default: no
    /// limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<GatewayDuration>,
    /// What carries the session. Default: a cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<SessionPersistenceType>,
    /// The cookie, in the form up to release 1.6, which has a lifetime and no other field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie_config: Option<CookieConfig>,
    /// The cookie, where the session is carried by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookie: Option<CookieConfig>,
    /// The header, where the session is carried by one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderConfig>,
}

/// What carries the identity of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionPersistenceType {
    /// A cookie that the gateway sets.
    #[default]
    Cookie,
    /// A header that the gateway sets and the client sends back.
    Header,
}

/// The cookie that carries a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CookieConfig {
    /// Name of the cookie. Default: chosen by the implementation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Path` attribute of the cookie. Default: `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Whether the cookie outlives the browser's session. Default: it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifetime_type: Option<CookieLifetimeType>,
}

/// How long a client keeps a cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CookieLifetimeType {
    /// Until the absolute timeout of the session.
    Permanent,
    /// Until the client ends its own session; the cookie has no `Expires` or `Max-Age`.
    #[default]
    Session,
}

/// The header that carries a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeaderConfig {
    /// Name of the header. Required.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_permanent_cookie_keeps_all_its_fields() {
        let written = json!({
            "absoluteTimeout": "24h",
            "type": "Cookie",
            "cookie": {"name": "session", "path": "/cart", "lifetimeType": "Permanent"},
        });
        let persistence: SessionPersistence = serde_json::from_value(written.clone()).unwrap();
        let cookie = persistence.cookie.as_ref().unwrap();
        assert_eq!(cookie.lifetime_type, Some(CookieLifetimeType::Permanent));
        assert_eq!(serde_json::to_value(&persistence).unwrap(), written);
    }

    #[test]
    fn the_form_of_earlier_releases_is_kept() {
        let written = json!({
            "sessionName": "session",
            "idleTimeout": "10m",
            "cookieConfig": {"lifetimeType": "Session"},
        });
        let persistence: SessionPersistence = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(persistence.session_name.as_deref(), Some("session"));
        assert_eq!(serde_json::to_value(&persistence).unwrap(), written);
    }

    #[test]
    fn a_session_may_be_carried_by_a_header() {
        let written = json!({"type": "Header", "header": {"name": "x-session"}});
        let persistence: SessionPersistence = serde_json::from_value(written.clone()).unwrap();
        assert_eq!(persistence.header.as_ref().unwrap().name, "x-session");
        assert_eq!(serde_json::to_value(&persistence).unwrap(), written);
    }
}
