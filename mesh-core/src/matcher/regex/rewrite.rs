//! Substitution, as in `uriRegexRewrite`.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{ParseRegexError, compile, translate};

/// A pattern, and what replaces each of its matches.
///
/// This is RE2's `GlobalReplace`, by which Envoy substitutes (`RegexMatchAndSubstitute`): the
/// pattern may match anywhere and several times, and the substitution refers to its groups by `\1`
/// to `\9` and to the whole match by `\0`. A backslash is written `\\`.
///
/// ```
/// use mesh_core::matcher::RegexRewrite;
///
/// # fn main() -> Result<(), mesh_core::matcher::ParseRewriteError> {
/// let rewrite = RegexRewrite::parse("^/service/([^/]+)(/.*)$", r"\2/instance/\1")?;
/// assert_eq!(rewrite.replace_all("/service/foo/v1/api"), "/v1/api/instance/foo");
/// assert_eq!(rewrite.replace_all("/other"), "/other");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RegexRewrite {
    pattern: Arc<str>,
    substitution: Arc<str>,
    compiled: ::regex::bytes::Regex,
    parts: Arc<[Part]>,
}

/// A piece of a substitution.
#[derive(Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    Group(usize),
}

impl RegexRewrite {
    /// Compiles a pattern and its substitution.
    ///
    /// # Errors
    ///
    /// Those of [`Regex::parse`](super::Regex::parse) for the pattern; and when the substitution
    /// has a backslash before anything but a digit or a backslash, or refers to a group that the
    /// pattern does not have.
    pub fn parse(pattern: &str, substitution: &str) -> Result<Self, ParseRewriteError> {
        let translation = translate::translate(pattern)?;
        let compiled = compile(pattern, &translation.pattern)?;
        let parts = parse_substitution(substitution, translation.groups)?;
        Ok(Self {
            pattern: pattern.into(),
            substitution: substitution.into(),
            compiled,
            parts: parts.into(),
        })
    }

    /// The pattern as written.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// The substitution as written.
    #[must_use]
    pub fn substitution(&self) -> &str {
        &self.substitution
    }

    /// Replaces each match, from left to right; borrows `text` when there is none.
    ///
    /// Where a pattern with `\C` divides a character, what is left of it becomes U+FFFD.
    #[must_use]
    pub fn replace_all<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = Vec::new();
        let mut copied = 0;
        for captures in self.compiled.captures_iter(text.as_bytes()) {
            let Some(whole) = captures.get(0) else {
                continue;
            };
            // The engine also finds nothing between the bytes of a character.
            if whole.is_empty() && !text.is_char_boundary(whole.start()) {
                continue;
            }
            out.extend_from_slice(&text.as_bytes()[copied..whole.start()]);
            self.expand(&captures, &mut out);
            copied = whole.end();
        }
        if copied == 0 && out.is_empty() {
            // Either nothing matched, or nothing at the start of the text became nothing.
            return Cow::Borrowed(text);
        }
        out.extend_from_slice(&text.as_bytes()[copied..]);
        Cow::Owned(match String::from_utf8(out) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    /// Writes the substitution for one match. A group that took no part is empty.
    fn expand(&self, captures: &::regex::bytes::Captures<'_>, out: &mut Vec<u8>) {
        for part in &*self.parts {
            out.extend_from_slice(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Group(group) => captures.get(*group).map_or(b"", |group| group.as_bytes()),
            });
        }
    }
}

fn parse_substitution(substitution: &str, groups: usize) -> Result<Vec<Part>, ParseRewriteError> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut chars = substitution.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some('\\') => text.push('\\'),
            Some(digit @ '0'..='9') => {
                let group = digit as usize - '0' as usize;
                if group > groups {
                    let substitution = substitution.to_owned();
                    return Err(ParseRewriteError::UnknownGroup {
                        substitution,
                        group,
                    });
                }
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(Part::Group(group));
            }
            _ => {
                let substitution = substitution.to_owned();
                return Err(ParseRewriteError::Backslash { substitution });
            }
        }
    }
    parts.push(Part::Text(text));
    parts.retain(|part| *part != Part::Text(String::new()));
    Ok(parts)
}

impl PartialEq for RegexRewrite {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern && self.substitution == other.substitution
    }
}

impl Eq for RegexRewrite {}

impl Hash for RegexRewrite {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pattern.hash(state);
        self.substitution.hash(state);
    }
}

impl Serialize for RegexRewrite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Text<'a> {
            pattern: &'a str,
            substitution: &'a str,
        }
        let text = Text {
            pattern: &self.pattern,
            substitution: &self.substitution,
        };
        text.serialize(serializer)
    }
}

/// Why a [`RegexRewrite`] is refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseRewriteError {
    /// The pattern is refused.
    #[error(transparent)]
    Pattern(#[from] ParseRegexError),
    /// A backslash is last, or before something else than a digit or a backslash.
    #[error("substitution `{substitution}` has a backslash before neither a digit nor another")]
    Backslash {
        /// The substitution as given.
        substitution: String,
    },
    /// The pattern does not have so many groups.
    #[error("substitution `{substitution}` refers to group {group}, which does not exist")]
    UnknownGroup {
        /// The substitution as given.
        substitution: String,
        /// The number of the group.
        group: usize,
    },
}
