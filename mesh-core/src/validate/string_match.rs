//! Matches of strings.
//!
//! ```
//! use mesh_core::resource::istio::string_match::StringMatch;
//! use mesh_core::validate::{Report, string_match};
//!
//! let report = Report::default();
//! string_match::validate(&StringMatch::prefix(""), report.root());
//! string_match::validate_uri(&StringMatch::prefix(""), report.root());
//! assert_eq!(report.into_violations().len(), 1);
//! ```

use super::{At, regex};
use crate::resource::istio::string_match::StringMatch;

/// Checks a match: one way of matching at most, no empty prefix, and a regular expression that
/// compiles (`validateStringMatch`).
pub fn validate(matcher: &StringMatch, at: At<'_>) {
    if matcher.prefix.as_deref() == Some("") {
        at.field("prefix").error("a prefix cannot be empty");
    }
    validate_uri(matcher, at);
}

/// Checks the match of a path, which may have an empty prefix.
pub fn validate_uri(matcher: &StringMatch, at: At<'_>) {
    let StringMatch {
        exact,
        prefix,
        regex,
    } = matcher;
    at.at_most_one(&[
        ("exact", exact.is_some()),
        ("prefix", prefix.is_some()),
        ("regex", regex.is_some()),
    ]);
    match regex.as_deref() {
        Some("") => {
            at.field("regex")
                .error("a regular expression cannot be empty");
        }
        Some(expression) => regex::validate(expression, at.field("regex")),
        None => {}
    }
}

/// Checks a match of headers where `*` as a regular expression asks for presence.
pub fn validate_or_presence(matcher: &StringMatch, at: At<'_>) {
    if matcher.regex.as_deref() != Some("*") {
        validate(matcher, at);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validate::testing::{assert_errors, read};

    #[test]
    fn a_string_is_matched_in_one_way() {
        let cases = [
            (json!({}), 0),
            (json!({"exact": ""}), 0),
            (json!({"prefix": "/"}), 0),
            (json!({"prefix": ""}), 1),
            (json!({"regex": "a.*"}), 0),
            (json!({"regex": ""}), 1),
            (json!({"regex": "*"}), 1),
            (json!({"regex": "a".repeat(1025)}), 1),
            (json!({"exact": "a", "prefix": "a"}), 1),
        ];
        for (matcher, errors) in cases {
            assert_errors(&matcher.to_string(), errors, |at| {
                validate(&read(matcher.clone()), at);
            });
        }
        assert_errors("presence", 0, |at| {
            validate_or_presence(&StringMatch::regex("*"), at);
        });
    }
}
