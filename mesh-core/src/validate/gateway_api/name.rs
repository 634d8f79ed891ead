//! Names: of objects, groups, kinds, hosts and headers.

use crate::header;
use crate::validate::At;
use crate::validate::metadata::{is_kind, is_lower_label, is_subdomain};

/// The longest name of an object, section or host.
const MAX_NAME_LEN: usize = 253;

/// The longest name of a kind or namespace.
const MAX_LABEL_LEN: usize = 63;

/// The longest name and value of a header.
const MAX_HEADER_NAME_LEN: usize = 256;
const MAX_HEADER_VALUE_LEN: usize = 4096;

/// Checks the group, kind and name by which an object is referred to. A group or kind that is
/// absent has a default.
pub(super) fn validate_reference(group: Option<&str>, kind: Option<&str>, name: &str, at: At<'_>) {
    validate_group(group, at.field("group"));
    if let Some(kind) = kind {
        validate_kind(kind, at.field("kind"));
    }
    validate_object_name(name, at.field("name"));
}

/// Checks an API group, which is empty for Kubernetes' own.
pub(super) fn validate_group(group: Option<&str>, at: At<'_>) {
    if let Some(group) = group.filter(|group| !group.is_empty()) {
        let is_group = group.len() <= MAX_NAME_LEN && is_subdomain(group);
        at.require(is_group, "an API group is a domain name in lower case");
    }
}

pub(super) fn validate_kind(kind: &str, at: At<'_>) {
    if !is_kind(kind) {
        at.error(format_args!("`{kind}` is not the name of a kind"));
    }
}

pub(super) fn validate_object_name(name: &str, at: At<'_>) {
    let is_name = (1..=MAX_NAME_LEN).contains(&name.len());
    at.require(is_name, "a name has from 1 to 253 bytes");
}

pub(super) fn validate_namespace(namespace: Option<&str>, at: At<'_>) {
    if let Some(name) = namespace
        && !(name.len() <= MAX_LABEL_LEN && is_lower_label(name))
    {
        at.error(format_args!("`{name}` is not the name of a namespace"));
    }
}

/// Checks the name of a listener, a port or a rule.
pub(super) fn validate_section(name: Option<&str>, at: At<'_>) {
    if let Some(name) = name
        && !(name.len() <= MAX_NAME_LEN && is_subdomain(name))
    {
        at.error(format_args!("`{name}` is not a domain name in lower case"));
    }
}

/// Checks a host, whose first label may be `*`.
pub(super) fn validate_hostname(host: &str, at: At<'_>) {
    validate_host(host, host.strip_prefix("*.").unwrap_or(host), at);
}

/// Checks a host without wildcard.
pub(super) fn validate_precise_hostname(host: &str, at: At<'_>) {
    validate_host(host, host, at);
}

fn validate_host(host: &str, name: &str, at: At<'_>) {
    if host.len() > MAX_NAME_LEN || !is_subdomain(name) {
        at.error(format_args!("`{host}` is not a host in lower case"));
    }
}

/// Checks the name of a header, query parameter or cookie.
pub(super) fn validate_header_name(name: &str, at: At<'_>) {
    if name.len() > MAX_HEADER_NAME_LEN || header::validate_cors_name(name).is_err() {
        at.error(format_args!("`{name}` is not the name of a header"));
    }
}

/// Checks the value of a header: visible ASCII, with single spaces or tabs within.
pub(super) fn validate_header_value(value: &str, at: At<'_>) {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t');
    let bytes = value.as_bytes();
    let has_gap = bytes
        .windows(2)
        .any(|pair| pair.iter().all(|byte| is_space(*byte)));
    let is_value = (1..=MAX_HEADER_VALUE_LEN).contains(&bytes.len())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_graphic() || is_space(*byte))
        && bytes.first().is_some_and(u8::is_ascii_graphic)
        && bytes.last().is_some_and(u8::is_ascii_graphic)
        && !has_gap;
    if !is_value {
        at.error(format_args!(
            "`{}` is not the value of a header",
            value.escape_debug()
        ));
    }
}

/// Whether the key of a label or annotation is a name, perhaps after a domain and a slash.
pub(super) fn is_qualified_name(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    prefix.is_none_or(|prefix| prefix.len() < MAX_NAME_LEN && is_subdomain(prefix))
        && name.len() <= MAX_LABEL_LEN
        && is_label_value(name)
        && !name.is_empty()
}

/// Whether the value of a label is empty, or letters, digits, `-`, `_` and `.` between letters and
/// digits.
pub(super) fn is_label_value(value: &str) -> bool {
    let bytes = value.as_bytes();
    let is_end = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    bytes.len() <= MAX_LABEL_LEN
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Whether this is a domain, a slash and a path, such as the name of a controller.
pub(super) fn is_domain_path(text: &str) -> bool {
    text.split_once('/')
        .is_some_and(|(domain, path)| is_subdomain(domain) && is_controller_path(path))
}

/// Whether a text ends as the path of a domain does, whatever it begins with: the patterns of
/// some fields have no anchor before the domain.
pub(super) fn ends_with_domain_path(text: &str, is_path: fn(&str) -> bool) -> bool {
    let is_domain_end = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.match_indices('/').any(|(slash, _)| {
        let (domain, path) = (&text[..slash], &text[slash + 1..]);
        domain.as_bytes().last().is_some_and(is_domain_end) && is_path(path)
    })
}

/// Whether a text has the characters of the path of a controller, and at least one.
pub(super) fn is_controller_path(path: &str) -> bool {
    let is_path_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    !path.is_empty() && path.bytes().all(is_path_byte)
}
