//! A place in a pattern.

use super::{ParseRegexError, RegexErrorKind};

/// Reads a pattern from left to right.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    source: &'a str,
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(source: &'a str) -> Self {
        Self { source, offset: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.source[self.offset..]
    }

    pub(super) const fn offset(&self) -> usize {
        self.offset
    }

    /// The text from an earlier offset to here.
    pub(super) fn since(&self, start: usize) -> &'a str {
        &self.source[start..self.offset]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.offset += c.len_utf8();
        Some(c)
    }

    /// Moves behind `text` when that is next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.offset += text.len();
        }
        is_next
    }

    /// Moves behind the longest run of characters that `accept` takes, and gives it.
    pub(super) fn eat_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.offset += end;
        &rest[..end]
    }

    /// Moves behind the next `delimiter` and gives what is before it, or stays where it is.
    pub(super) fn eat_until(&mut self, delimiter: &str) -> Option<&'a str> {
        let (before, _) = self.rest().split_once(delimiter)?;
        self.offset += before.len() + delimiter.len();
        Some(before)
    }

    pub(super) fn error(&self, start: usize, kind: RegexErrorKind) -> ParseRegexError {
        ParseRegexError::new(self.source, start, kind)
    }
}
