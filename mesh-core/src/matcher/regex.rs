//! Regular expressions of RE2, which is what Istio and Envoy speak.
//!
//! Rust's `regex` and RE2 search alike, in linear time and leftmost-first, but their languages
//! differ: `\d`, `\s`, `\w` and `\b` are ASCII in RE2, `[a&&b]` is a set of three characters,
//! `\Q..\E` quotes, `a{1001}` and `a*+` are refused. So a pattern is read here by RE2's rules
//! (<https://github.com/google/re2/wiki/Syntax>) and written anew for the engine.
//!
//! One thing that RE2 takes is refused: an operator right after flags, `a(?i)*`.
//!
//! As in RE2 the text is UTF-8, and `.` and the classes match whole characters of it. Bytes that
//! are not UTF-8 are matched by `\C` alone.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

mod class;
mod cursor;
mod error;
mod escape;
mod property;
mod rewrite;
mod translate;

pub use error::{ParseRegexError, RegexErrorKind};
pub use rewrite::{ParseRewriteError, RegexRewrite};

/// The longest pattern that Istio's validation admits, in bytes.
///
/// [`Regex::parse`] takes longer ones, which may come from elsewhere than a resource.
pub const MAX_PATTERN_LEN: usize = 1024;

/// How large a pattern may become when it is compiled, in bytes.
///
/// It stands for RE2's memory budget of 8 MiB: `[^/]{1000}` and `.{1000}` are below it, and
/// `\pL{1000}` is above it, here as there.
pub const COMPILED_SIZE_LIMIT: usize = 8 << 20;

/// A compiled pattern that has to match the whole of a text.
///
/// Cloning shares the compiled form. Two are equal when their patterns are the same text.
///
/// ```
/// use mesh_core::matcher::Regex;
///
/// # fn main() -> Result<(), mesh_core::matcher::ParseRegexError> {
/// let regex = Regex::parse(r"/v\d+/.*")?;
/// assert!(regex.is_match("/v1/users"));
/// assert!(!regex.is_match("/old/v1/users"));
///
/// assert!(Regex::parse("(?=a)").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Regex {
    pattern: Arc<str>,
    compiled: ::regex::bytes::Regex,
}

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// When RE2 refuses the pattern, or it compiles to more than [`COMPILED_SIZE_LIMIT`].
    pub fn parse(pattern: &str) -> Result<Self, ParseRegexError> {
        let translation = translate::translate(pattern)?;
        let compiled = compile(pattern, &format!(r"\A(?:{})\z", translation.pattern))?;
        Ok(Self {
            pattern: pattern.into(),
            compiled,
        })
    }

    /// Whether the pattern matches all of `text`.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.is_match_bytes(text.as_bytes())
    }

    /// Whether the pattern matches all of `text`, which need not be UTF-8, as the value of a
    /// header.
    #[must_use]
    pub fn is_match_bytes(&self, text: &[u8]) -> bool {
        self.compiled.is_match(text)
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.pattern
    }
}

fn compile(source: &str, pattern: &str) -> Result<::regex::bytes::Regex, ParseRegexError> {
    ::regex::bytes::RegexBuilder::new(pattern)
        .size_limit(COMPILED_SIZE_LIMIT)
        .build()
        .map_err(|error| {
            let kind = match error {
                ::regex::Error::CompiledTooBig(limit) => RegexErrorKind::TooLarge { limit },
                _ => RegexErrorKind::TooDeep,
            };
            ParseRegexError::new(source, 0, kind)
        })
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Regex").field(&self.pattern).finish()
    }
}

impl fmt::Display for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.pattern)
    }
}

impl FromStr for Regex {
    type Err = ParseRegexError;

    fn from_str(pattern: &str) -> Result<Self, Self::Err> {
        Self::parse(pattern)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
    }
}

impl Eq for Regex {}

impl Hash for Regex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pattern.hash(state);
    }
}

impl Serialize for Regex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.pattern)
    }
}

#[cfg(test)]
mod tests;
