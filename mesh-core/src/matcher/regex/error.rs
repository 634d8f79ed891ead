//! Why a pattern is refused.

/// A pattern that RE2 refuses, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("regex `{pattern}`: {kind}")]
pub struct ParseRegexError {
    pattern: String,
    offset: usize,
    kind: RegexErrorKind,
}

impl ParseRegexError {
    pub(super) fn new(pattern: &str, offset: usize, kind: RegexErrorKind) -> Self {
        Self {
            pattern: pattern.to_owned(),
            offset,
            kind,
        }
    }

    /// The pattern as given.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Where the fault begins, in bytes from the start of the pattern.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// What the fault is.
    #[must_use]
    pub const fn kind(&self) -> &RegexErrorKind {
        &self.kind
    }
}

/// What is wrong with a pattern. The words are RE2's (`RegexpStatus`).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RegexErrorKind {
    /// A range of characters runs backwards, or a named class is unknown.
    #[error("invalid character class range `{range}`")]
    ClassRange {
        /// The range or the class.
        range: String,
    },
    /// A backslash before a character that has no meaning there.
    #[error("invalid escape sequence `{escape}`")]
    Escape {
        /// The backslash and what follows.
        escape: String,
    },
    /// A group that begins with `(?` and is none of RE2's, such as look-around.
    #[error("invalid group `{group}`")]
    Group {
        /// The beginning of the group.
        group: String,
    },
    /// The name of a group is empty, has other characters than words have, or does not end.
    #[error("invalid name of a group `{group}`")]
    GroupName {
        /// The beginning of the group.
        group: String,
    },
    /// A class of characters does not end.
    #[error("missing `]`")]
    MissingBracket,
    /// A group does not end.
    #[error("missing `)`")]
    MissingParen,
    /// There is nothing before an operator to repeat.
    #[error("no argument for repetition operator `{operator}`")]
    RepeatArgument {
        /// The operator.
        operator: String,
    },
    /// An operator repeats what an operator repeats already.
    #[error("bad repetition operator `{operator}`")]
    RepeatOperator {
        /// The second operator.
        operator: String,
    },
    /// Something is to be repeated more than 1000 times, inner repetitions included, or fewer times
    /// at most than at least.
    #[error("invalid repetition size `{operator}`")]
    RepeatSize {
        /// The operator.
        operator: String,
    },
    /// Groups are nested too deeply.
    #[error("nested too deeply")]
    TooDeep,
    /// The pattern compiles to more than the limit.
    #[error("larger than {limit} bytes when compiled")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The pattern ends with a backslash.
    #[error("trailing `\\`")]
    TrailingBackslash,
    /// A `)` closes nothing.
    #[error("unexpected `)`")]
    UnexpectedParen,
}
