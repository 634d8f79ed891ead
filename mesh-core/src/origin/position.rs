use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in a text: line and column, both counted from 1, columns in characters.
///
/// The default, line 0, means that the place is unknown: the value was not read from a text.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
pub struct Position {
    /// Line, from 1; 0 when the place is unknown.
    pub line: u32,
    /// Column in characters (Unicode scalar values), from 1; 0 when the place is unknown.
    pub column: u32,
}

impl Position {
    /// A place by line and column, both from 1.
    pub const fn new(line: u32, column: u32) -> Self {
        Self { line, column }
    }

    /// Whether this is a place in a text.
    pub const fn is_known(self) -> bool {
        self.line != 0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_known() {
            write!(f, "{}:{}", self.line, self.column)
        } else {
            f.write_str("?")
        }
    }
}
