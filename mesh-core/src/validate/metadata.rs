//! What a resource says about itself.
//!
//! ```
//! use mesh_core::resource::Metadata;
//! use mesh_core::resource::kind::Kind;
//! use mesh_core::validate::{Report, metadata};
//!
//! let metadata = Metadata { name: "reviews v2".into(), ..Metadata::default() };
//! let report = Report::default();
//! metadata::validate(&metadata, Kind::VirtualService, report.root());
//! assert_eq!(report.into_violations()[0].origin.path(), "metadata.name");
//! ```

use super::At;
use crate::dns::MAX_LABEL_LEN;
use crate::resource::Metadata;
use crate::resource::kind::Kind;

/// Annotation by which a policy is tried out without effect.
pub(super) const DRY_RUN: &str = "istio.io/dry-run";

/// Annotations that Istio uses itself, and that would give a user its privileges.
const INTERNAL: [&str; 3] = [
    "internal.istio.io/parents",
    "internal.istio.io/parent-namespace",
    "internal.istio.io/webhook-always-reject",
];

/// The longest name.
const MAX_NAME_LEN: usize = 253;

/// Checks the names, labels and annotations of a resource of `kind`: Kubernetes' rules for names,
/// and Istio's for annotations (`validateMetadata`).
pub fn validate(metadata: &Metadata, kind: Kind, at: At<'_>) {
    let at = at.field("metadata");
    validate_name(&metadata.name, at.field("name"));
    let namespace = metadata.namespace.as_str();
    let is_namespace = namespace.len() <= MAX_LABEL_LEN && is_lower_label(namespace);
    if !namespace.is_empty() && !is_namespace {
        at.field("namespace")
            .error(format_args!("`{namespace}` is not the name of a namespace"))
            .help("names have at most 63 lower case letters, digits and `-`");
    }
    if !kind.is_istio() {
        return;
    }
    let annotations = at.field("annotations");
    annotations.each_entry(&metadata.annotations, |name, _, at| {
        if INTERNAL.contains(&name) {
            at.error(format_args!("annotation `{name}` cannot be set by users"));
        }
        if name == DRY_RUN && kind != Kind::AuthorizationPolicy {
            at.error(format_args!(
                "annotation `{name}` is for an AuthorizationPolicy only"
            ));
        }
    });
}

/// Checks the name of an object: a DNS subdomain in lower case (RFC 1123), or nothing where a
/// server makes the name.
fn validate_name(name: &str, at: At<'_>) {
    if !name.is_empty() && (name.len() > MAX_NAME_LEN || !is_subdomain(name)) {
        at.error(format_args!("`{name}` is not the name of an object"))
            .help("names have at most 253 lower case letters, digits, `-` and `.`");
    }
}

/// Whether a text consists of labels in lower case with dots between.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_lower_label)
}

/// Whether this can be the name of a kind: a letter, then letters, digits and inner hyphens, at
/// most 63 bytes in all.
pub(super) fn is_kind(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= MAX_LABEL_LEN
        && bytes.first().is_some_and(u8::is_ascii_alphabetic)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
}

/// Whether a text has lower case letters, digits and inner hyphens. Its length is not looked at.
pub(super) fn is_lower_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_end = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(is_end)
        && bytes.last().is_some_and(is_end)
        && bytes.iter().all(|byte| is_end(byte) || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::testing::assert_errors;

    #[test]
    fn names_are_dns_names_in_lower_case() {
        let long = "a".repeat(254);
        for (name, errors) in [
            ("reviews", 0),
            ("reviews.v2-1", 0),
            ("", 0),
            ("Reviews", 1),
            ("reviews_v2", 1),
            ("-a", 1),
            ("a..b", 1),
            (&long, 1),
        ] {
            let metadata = Metadata {
                name: name.to_owned(),
                ..Metadata::default()
            };
            assert_errors(name, errors, |at| validate(&metadata, Kind::Sidecar, at));
        }
    }

    #[test]
    fn users_set_no_internal_annotations() {
        for (annotation, kind, errors) in [
            ("internal.istio.io/parents", Kind::VirtualService, 1),
            ("internal.istio.io/webhook-always-reject", Kind::Gateway, 1),
            ("internal.istio.io/parents", Kind::Service, 0),
            (DRY_RUN, Kind::AuthorizationPolicy, 0),
            (DRY_RUN, Kind::VirtualService, 1),
            ("example.com/owner", Kind::VirtualService, 0),
        ] {
            let mut metadata = Metadata::default();
            metadata
                .annotations
                .insert(annotation.to_owned(), "true".to_owned());
            assert_errors(&format!("{annotation} {kind}"), errors, |at| {
                validate(&metadata, kind, at);
            });
        }
    }
}
