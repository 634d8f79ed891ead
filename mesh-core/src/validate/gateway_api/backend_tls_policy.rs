//! TLS towards backends.

use super::{name, validate_len};
use crate::resource::gateway_api::backend_tls_policy::{
    BackendTlsPolicy, BackendTlsPolicyValidation, SubjectAltName, SubjectAltNameType,
};
use crate::resource::gateway_api::object_reference::LocalPolicyTargetReference;
use crate::validate::At;

/// The most targets, authorities and names.
const MAX_TARGETS: usize = 16;
const MAX_AUTHORITIES: usize = 8;
const MAX_NAMES: usize = 5;

/// The most options, and the longest value of one.
const MAX_OPTIONS: usize = 16;
const MAX_OPTION_LEN: usize = 4096;

/// The longest name or URI.
const MAX_NAME_LEN: usize = 253;

pub(super) fn validate(policy: &BackendTlsPolicy, at: At<'_>) {
    let BackendTlsPolicy {
        target_refs,
        validation,
        options,
    } = policy;
    validate_targets(target_refs, at.field("targetRefs"));
    validate_validation(validation, at.field("validation"));
    let fits =
        options.len() <= MAX_OPTIONS && options.values().all(|value| value.len() <= MAX_OPTION_LEN);
    at.field("options")
        .require(fits, "at most 16 options have at most 4096 bytes each");
}

/// Checks targets. Several references to one differ in section, and all have one.
fn validate_targets(targets: &[LocalPolicyTargetReference], at: At<'_>) {
    validate_len(targets, 1, MAX_TARGETS, at);
    for (index, target) in targets.iter().enumerate() {
        let at = at.index(index);
        at.require_written("group");
        name::validate_reference(Some(&target.group), Some(&target.kind), &target.name, at);
        name::validate_section(target.section_name.as_deref(), at.field("sectionName"));
        let mut same = targets.iter().take(index).filter(|other| {
            (&target.group, &target.kind, &target.name) == (&other.group, &other.kind, &other.name)
        });
        if same.clone().any(|other| section(target) == section(other)) {
            at.error("the policy is attached to the same section twice");
        } else if same.any(|other| section(target).is_empty() != section(other).is_empty()) {
            at.error("of several references to one target all have a section");
        }
    }
}

/// The part of the target that is referred to, empty for all of it.
fn section(target: &LocalPolicyTargetReference) -> &str {
    target.section_name.as_deref().unwrap_or_default()
}

fn validate_validation(validation: &BackendTlsPolicyValidation, at: At<'_>) {
    let BackendTlsPolicyValidation {
        ca_certificate_refs,
        well_known_ca_certificates,
        hostname,
        subject_alt_names,
    } = validation;
    let well_known = well_known_ca_certificates.as_deref();
    match (
        ca_certificate_refs.is_empty(),
        well_known.is_some_and(|name| !name.is_empty()),
    ) {
        (true, false) => {
            at.error("`caCertificateRefs` or `wellKnownCACertificates` is required");
        }
        (false, true) => {
            at.error("only one of `caCertificateRefs` and `wellKnownCACertificates` can be set");
        }
        _ => {}
    }
    if let Some(name) = well_known
        && (name.len() > MAX_NAME_LEN || !(name == "System" || is_own_name(name)))
    {
        at.field("wellKnownCACertificates").error(format_args!(
            "`{name}` is neither `System` nor a name after a domain"
        ));
    }
    let authorities = at.field("caCertificateRefs");
    validate_len(ca_certificate_refs, 0, MAX_AUTHORITIES, authorities);
    authorities.each(ca_certificate_refs, |authority, at| {
        at.require_written("group");
        name::validate_reference(
            Some(&authority.group),
            Some(&authority.kind),
            &authority.name,
            at,
        );
    });
    name::validate_precise_hostname(hostname, at.field("hostname"));
    validate_len(subject_alt_names, 0, MAX_NAMES, at.field("subjectAltNames"));
    at.field("subjectAltNames")
        .each(subject_alt_names, validate_name);
}

/// Whether this is a domain, a slash and a name.
fn is_own_name(text: &str) -> bool {
    text.contains('/') && name::is_qualified_name(text)
}

fn validate_name(alternative: &SubjectAltName, at: At<'_>) {
    let SubjectAltName {
        r#type,
        hostname,
        uri,
    } = alternative;
    at.field("type")
        .require(r#type.is_some(), "a type is required");
    for (field, of, value) in [
        ("hostname", SubjectAltNameType::Hostname, hostname),
        ("uri", SubjectAltNameType::Uri, uri),
    ] {
        if value.is_some() != (*r#type == Some(of)) {
            at.field(field).error(format_args!(
                "`{field}` is set if, and only if, it is the type"
            ));
        }
    }
    if let Some(host) = hostname {
        name::validate_hostname(host, at.field("hostname"));
    }
    if let Some(uri) = uri {
        let is_uri = uri.len() <= MAX_NAME_LEN && is_absolute_uri(uri);
        at.field("uri")
            .require(is_uri, "a URI has a scheme and an authority");
    }
}

/// Whether a text has a scheme and an authority (RFC 3986 appendix B).
fn is_absolute_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        !scheme.is_empty() && !scheme.contains(['/', '?', '#']) && rest.starts_with("//")
    })
}
