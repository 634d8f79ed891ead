//! Grants of references between namespaces.

use super::{name, validate_len};
use crate::resource::gateway_api::reference_grant::{
    ReferenceGrant, ReferenceGrantFrom, ReferenceGrantTo,
};
use crate::validate::At;

/// The most sources and targets of a grant.
const MAX_ITEMS: usize = 16;

/// A name for references that have none, which is valid.
const ANY_NAME: &str = "any";

pub(super) fn validate(grant: &ReferenceGrant, at: At<'_>) {
    let ReferenceGrant { from, to } = grant;
    validate_len(from, 1, MAX_ITEMS, at.field("from"));
    at.field("from").each(from, |from, at| {
        let ReferenceGrantFrom {
            group,
            kind,
            namespace,
        } = from;
        at.require_written("group");
        name::validate_reference(Some(group), Some(kind), ANY_NAME, at);
        name::validate_namespace(Some(namespace), at.field("namespace"));
    });
    validate_len(to, 1, MAX_ITEMS, at.field("to"));
    at.field("to").each(to, |to, at| {
        let ReferenceGrantTo { group, kind, name } = to;
        at.require_written("group");
        let name = name.as_deref().unwrap_or(ANY_NAME);
        name::validate_reference(Some(group), Some(kind), name, at);
    });
}
