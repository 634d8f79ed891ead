//! Gateways and services that routes are attached to.

use super::{name, validate_len};
use crate::resource::gateway_api::parent_reference::ParentReference;
use crate::validate::{At, port};

/// The most parents of a route.
const MAX_PARENTS: usize = 32;

/// Checks the parents of a route. Several references to one parent differ in section or port, and
/// all have the one or the other.
pub(super) fn validate(parents: &[ParentReference], at: At<'_>) {
    validate_len(parents, 0, MAX_PARENTS, at);
    at.each(parents, |parent, at| {
        let ParentReference {
            group,
            kind,
            namespace,
            name,
            section_name,
            port,
        } = parent;
        name::validate_reference(group.as_deref(), kind.as_deref(), name, at);
        name::validate_namespace(namespace.as_deref(), at.field("namespace"));
        name::validate_section(section_name.as_deref(), at.field("sectionName"));
        if let Some(number) = port {
            port::validate_number(u32::from(*number), at.field("port"));
        }
    });
    for (index, parent) in parents.iter().enumerate() {
        let mut same = parents
            .iter()
            .take(index)
            .filter(|other| is_same(parent, other));
        let at = at.index(index);
        if same.clone().any(|other| place(parent) == place(other)) {
            at.error("the route is attached to the same section and port twice");
        } else if same.any(|other| !has_alike_place(parent, other)) {
            at.error("of several references to one parent all have a section or a port");
        }
    }
}

/// Whether two references are to one object.
fn is_same(left: &ParentReference, right: &ParentReference) -> bool {
    left.group_kind() == right.group_kind()
        && left.name == right.name
        && left.namespace.as_deref().unwrap_or_default()
            == right.namespace.as_deref().unwrap_or_default()
}

/// The part of the parent that is referred to.
fn place(parent: &ParentReference) -> (&str, u16) {
    (
        parent.section_name.as_deref().unwrap_or_default(),
        parent.port.unwrap_or(0),
    )
}

fn has_alike_place(left: &ParentReference, right: &ParentReference) -> bool {
    let (left, right) = (place(left), place(right));
    left.0.is_empty() == right.0.is_empty() && (left.1 == 0) == (right.1 == 0)
}
