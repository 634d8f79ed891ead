//! Paths with wildcards for segments.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A path in which `{*}` stands for one segment and `{**}` for any rest, as an AuthorizationPolicy
/// has it in `paths`.
///
/// This is the part of Envoy's URI templates that Istio admits (`CheckValidPathTemplate`). The
/// wildcards are whole segments, `{**}` comes after all others and occurs once. `{*}` takes at
/// least one character, `{**}` may be empty, and both take only the characters that RFC 3986
/// appendix A allows in a path, without `*`.
///
/// ```
/// use mesh_core::matcher::PathTemplate;
///
/// # fn main() -> Result<(), mesh_core::matcher::ParsePathTemplateError> {
/// let template = PathTemplate::parse("/users/{*}/files/{**}")?;
/// assert!(template.is_match("/users/7/files/a/b"));
/// assert!(template.is_match("/users/7/files/"));
/// assert!(!template.is_match("/users/7/8/files/a"));
///
/// assert!(PathTemplate::parse("/{**}/{*}").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct PathTemplate {
    text: Arc<str>,
    parts: Arc<[Part]>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Part {
    /// These bytes.
    Text(String),
    /// One segment.
    One,
    /// All that is left, before the text that follows.
    Rest,
}

const ONE: &str = "{*}";
const REST: &str = "{**}";

impl PathTemplate {
    /// Whether a path has one of the wildcards, and so is meant to be a template.
    #[must_use]
    pub fn is_template(path: &str) -> bool {
        path.contains(ONE) || path.contains(REST)
    }

    /// Checks a value of `paths`, template or not, as Istio does (`CheckValidPathTemplate`).
    ///
    /// # Errors
    ///
    /// When a brace is not part of a wildcard that is a whole segment, or a template has another of
    /// the faults that [`parse`](Self::parse) refuses. Istio lets a template begin without a slash.
    pub fn validate_policy_path(path: &str) -> Result<(), ParsePathTemplateError> {
        let is_template = Self::is_template(path);
        let mut builder = Builder::new(path);
        for segment in path.trim_matches('/').split('/') {
            if is_template || segment.contains(['{', '}']) {
                builder.push_segment(segment)?;
            }
        }
        Ok(())
    }

    /// Parses a template.
    ///
    /// # Errors
    ///
    /// When it does not begin with a slash, a wildcard follows `{**}`, a wildcard is not a whole
    /// segment, or a segment is empty or has a character that is not allowed there.
    pub fn parse(text: &str) -> Result<Self, ParsePathTemplateError> {
        let Some(path) = text.strip_prefix('/') else {
            let template = text.to_owned();
            return Err(ParsePathTemplateError::Relative { template });
        };
        let inner = path.trim_matches('/');
        let slashes = path.len() - path.trim_start_matches('/').len();
        let mut builder = Builder::new(text);
        builder.push_text(&"/".repeat(slashes + 1));
        for (index, segment) in inner.split('/').enumerate() {
            if index > 0 {
                builder.push_text("/");
            }
            builder.push_segment(segment)?;
        }
        builder.push_text(&path[slashes + inner.len()..]);
        Ok(Self {
            text: text.into(),
            parts: builder.parts.into(),
        })
    }

    /// Whether the path, which has no query, is matched.
    #[must_use]
    pub fn is_match(&self, path: &str) -> bool {
        let mut rest = path;
        for (index, part) in self.parts.iter().enumerate() {
            match part {
                Part::Text(text) => match rest.strip_prefix(text.as_str()) {
                    Some(after) => rest = after,
                    None => return false,
                },
                Part::One => {
                    let end = rest.find('/').unwrap_or(rest.len());
                    if end == 0 || !is_literal(&rest[..end]) {
                        return false;
                    }
                    rest = &rest[end..];
                }
                Part::Rest => return self.is_rest_match(index, rest),
            }
        }
        rest.is_empty()
    }

    /// Whether the path ends with the text after `{**}`, and all before that is allowed.
    fn is_rest_match(&self, index: usize, rest: &str) -> bool {
        let end = match self.parts.get(index + 1) {
            Some(Part::Text(text)) => text,
            _ => "",
        };
        rest.strip_suffix(end)
            .is_some_and(|wild| wild.split('/').all(|s| s.is_empty() || is_literal(s)))
    }

    /// The template as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Collects the parts of a template.
struct Builder<'a> {
    template: &'a str,
    parts: Vec<Part>,
}

impl<'a> Builder<'a> {
    const fn new(template: &'a str) -> Self {
        Self {
            template,
            parts: Vec::new(),
        }
    }

    fn push_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    fn push_segment(&mut self, segment: &str) -> Result<(), ParsePathTemplateError> {
        let wildcard = match segment {
            ONE => Part::One,
            REST => Part::Rest,
            _ if is_literal(segment) => {
                self.push_text(segment);
                return Ok(());
            }
            _ => {
                return Err(ParsePathTemplateError::Segment {
                    template: self.template.to_owned(),
                    segment: segment.to_owned(),
                });
            }
        };
        if self.parts.contains(&Part::Rest) {
            let template = self.template.to_owned();
            return Err(ParsePathTemplateError::AfterRest { template });
        }
        self.parts.push(wildcard);
        Ok(())
    }
}

/// Whether a segment has only the characters of a path, and at least one.
fn is_literal(segment: &str) -> bool {
    let is_allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()+,;:@=".contains(&byte);
    !segment.is_empty() && segment.bytes().all(is_allowed)
}

impl fmt::Display for PathTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PathTemplate {
    type Err = ParsePathTemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for PathTemplate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Why a text is not a [`PathTemplate`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePathTemplateError {
    /// A wildcard comes after `{**}`.
    #[error("path template `{template}` has a wildcard after `{{**}}`")]
    AfterRest {
        /// The template as given.
        template: String,
    },
    /// The template does not begin with a slash.
    #[error("path template `{template}` does not begin with `/`")]
    Relative {
        /// The template as given.
        template: String,
    },
    /// A segment is neither a wildcard nor a text.
    #[error("segment `{segment}` of path template `{template}` is neither a wildcard nor a text")]
    Segment {
        /// The template as given.
        template: String,
        /// The segment.
        segment: String,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_template_matches_whole_paths() {
        let cases = [
            ("/a/{*}", "/a/b", true),
            ("/a/{*}", "/a/", false),
            ("/a/{*}", "/a/b/", false),
            ("/a/{*}", "/a/b/c", false),
            ("/a/{*}/", "/a/b/", true),
            ("/{*}/{*}", "/a/b", true),
            ("/{*}", "/é", false),
            ("/{*}", "/*", false),
            ("/{*}", "/%C3%A9", true),
            ("/{**}", "/", true),
            ("/{**}", "/a//b/", true),
            ("/a/{**}", "/a", false),
            ("/a/{**}", "/a/", true),
            ("/a/{**}", "/ab/c", false),
            ("/{**}/b", "/a/c/b", true),
            ("/{**}/b", "//b", true),
            ("/{**}/b", "/b", false),
            ("/{*}/a/{**}/b/c", "/x/a/y/z/b/c", true),
            ("/{*}/a/{**}/b/c", "/x/a/y/z/b/d", false),
        ];
        for (template, path, expected) in cases {
            let matched = PathTemplate::parse(template).unwrap().is_match(path);
            assert_eq!(matched, expected, "{template} {path}");
        }
    }

    #[test]
    fn a_policy_path_has_braces_around_wildcards_only() {
        for path in [
            "*",
            "/a//b",
            "/a?b",
            "/a/*",
            "",
            "/{*}",
            "{**}",
            "/a/{*}/b/{**}/c/",
        ] {
            assert!(PathTemplate::validate_policy_path(path).is_ok(), "{path}");
        }
        for path in [
            "/{a}",
            "/a}",
            "/{*}/{a}",
            "/{*}/*",
            "/{**}/{*}",
            "/{**}.x",
            "/{*}//a",
        ] {
            assert!(PathTemplate::validate_policy_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn wildcards_are_whole_segments() {
        let refused = [
            "",
            "{*}",
            "a/{*}",
            "/{**}/{*}",
            "/{**}/{**}",
            "/{*}x",
            "/x{**}",
            "/{a}/{*}",
            "/{*}/*",
            "/{*}//a",
            "/{*}/a?b",
            "/{}",
            "/{***}",
        ];
        for template in refused {
            assert!(PathTemplate::parse(template).is_err(), "{template}");
        }
        assert!(PathTemplate::is_template("/x{*}"));
        assert!(!PathTemplate::is_template("/{a}"));
    }

    /// Matches as Envoy does, by a regular expression.
    fn naive(template: &str, path: &str) -> bool {
        let characters = r"a-zA-Z0-9\-._~%!$&'()+,;:@=";
        let pattern = regex_syntax::escape(template)
            .replace(r"\{\*\*\}", &format!("[{characters}/]*"))
            .replace(r"\{\*\}", &format!("[{characters}]+"));
        regex::Regex::new(&format!("^(?:{pattern})$"))
            .unwrap()
            .is_match(path)
    }

    proptest! {
        #[test]
        fn agrees_with_a_regular_expression(
            template in "(/(a|b|\\{\\*\\})){0,2}(/\\{\\*\\*\\})?(/a){0,2}/?",
            path in "(/(a|b|\\*)?){0,6}",
        ) {
            if let Ok(parsed) = PathTemplate::parse(&template) {
                prop_assert_eq!(parsed.is_match(&path), naive(&template, &path));
                prop_assert_eq!(parsed.to_string().parse(), Ok(parsed));
            }
        }
    }
}
