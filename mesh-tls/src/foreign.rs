//! Texts that the other end has chosen, in messages.

use std::fmt::{self, Write as _};

/// How many characters of a text are written.
const MAX_CHARS: usize = 256;

/// A text of the other end's, as it can be written to a log: what cannot be printed, backslashes and
/// backticks are escaped, and what is too long is cut.
pub(crate) struct Foreign<'a>(pub(crate) &'a str);

impl fmt::Display for Foreign<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        for character in chars.by_ref().take(MAX_CHARS) {
            match character {
                '\'' | '"' => f.write_char(character)?,
                '`' => write!(f, "{}", character.escape_unicode())?,
                _ => write!(f, "{}", character.escape_debug())?,
            }
        }
        match chars.next() {
            Some(_) => f.write_str("..."),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_taken_for_something_else_is_escaped() {
        let cases = [
            ("spiffe://td/a", "spiffe://td/a"),
            ("it's \"a\"", "it's \"a\""),
            ("a\nb\r\t\0", r"a\nb\r\t\0"),
            ("\u{1b}[2J", r"\u{1b}[2J"),
            ("a` b", r"a\u{60} b"),
            (r"a\nb", r"a\\nb"),
            ("\u{202e}abc", r"\u{202e}abc"),
            ("ünï", "ünï"),
        ];
        for (text, expected) in cases {
            assert_eq!(Foreign(text).to_string(), expected);
        }
    }

    #[test]
    fn what_is_long_is_cut() {
        let text = "a".repeat(MAX_CHARS);
        assert_eq!(Foreign(&text).to_string(), text);
        let longer = Foreign(&format!("{text}b")).to_string();
        assert_eq!(longer, format!("{text}..."));
    }
}
