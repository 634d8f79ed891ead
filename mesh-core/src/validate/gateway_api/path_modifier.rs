//! Changes of paths.

use crate::resource::gateway_api::http_filter::{HttpPathModifier, HttpPathModifierType};
use crate::validate::At;

/// The longest path.
const MAX_PATH_LEN: usize = 1024;

/// Checks that the field of the type, and no other, is set.
pub(super) fn validate(modifier: &HttpPathModifier, at: At<'_>) {
    let HttpPathModifier {
        r#type,
        replace_full_path,
        replace_prefix_match,
    } = modifier;
    at.field("type")
        .require(r#type.is_some(), "a type is required");
    for (field, kind, path) in [
        (
            "replaceFullPath",
            HttpPathModifierType::ReplaceFullPath,
            replace_full_path,
        ),
        (
            "replacePrefixMatch",
            HttpPathModifierType::ReplacePrefixMatch,
            replace_prefix_match,
        ),
    ] {
        let at = at.field(field);
        if path.is_some() != (*r#type == Some(kind)) {
            at.error(format_args!(
                "`{field}` is set if, and only if, it is the type"
            ));
        }
        let len = path.as_ref().map_or(0, String::len);
        at.require(len <= MAX_PATH_LEN, "a path has at most 1024 bytes");
    }
}

/// Whether the prefix that was matched is replaced.
pub(super) fn replaces_prefix(modifier: Option<&HttpPathModifier>) -> bool {
    modifier.is_some_and(|modifier| modifier.replace_prefix_match.is_some())
}
