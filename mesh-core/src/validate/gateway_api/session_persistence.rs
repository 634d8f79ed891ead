//! Sessions that stay with a backend.

use super::name;
use crate::resource::gateway_api::session_persistence::{
    CookieConfig, CookieLifetimeType, SessionPersistence, SessionPersistenceType,
};
use crate::validate::At;

/// The longest path of a cookie.
const MAX_PATH_LEN: usize = 1024;

/// Checks that the settings of the type, and no others, are there. Until version 1.5 of the API the
/// name of a session and a cookie's lifetime stood in other fields, which are accepted alone.
pub(super) fn validate(persistence: &SessionPersistence, at: At<'_>) {
    let SessionPersistence {
        session_name,
        absolute_timeout,
        idle_timeout: _,
        r#type,
        cookie_config,
        cookie,
        header,
    } = persistence;
    let kind = r#type.unwrap_or_default();
    let is_old = session_name.is_some() || cookie_config.is_some();
    for (field, of, is_set) in [
        ("cookie", SessionPersistenceType::Cookie, cookie.is_some()),
        ("header", SessionPersistenceType::Header, header.is_some()),
    ] {
        let at = at.field(field);
        at.require(!is_set || kind == of, "the settings are of another type");
        at.require(
            is_set || kind != of || is_old,
            "the settings of the type are required",
        );
    }
    for (field, cookie) in [("cookieConfig", cookie_config), ("cookie", cookie)] {
        if let Some(cookie) = cookie {
            validate_cookie(cookie, absolute_timeout.is_some(), at.field(field));
        }
    }
    if let Some(header) = header {
        name::validate_header_name(&header.name, at.field("header").field("name"));
    }
}

fn validate_cookie(cookie: &CookieConfig, has_timeout: bool, at: At<'_>) {
    let CookieConfig {
        name,
        path,
        lifetime_type,
    } = cookie;
    if let Some(name) = name {
        name::validate_header_name(name, at.field("name"));
    }
    let len = path.as_ref().map_or(0, String::len);
    at.field("path")
        .require(len <= MAX_PATH_LEN, "a path has at most 1024 bytes");
    if *lifetime_type == Some(CookieLifetimeType::Permanent) && !has_timeout {
        at.field("lifetimeType")
            .error("a permanent cookie needs an `absoluteTimeout`");
    }
}
