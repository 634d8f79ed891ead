//! Regular expressions.
//!
//! ```
//! use mesh_core::validate::{Report, regex};
//!
//! let report = Report::default();
//! regex::validate("v[0-9]+", report.root());
//! regex::validate("(?=v)", report.root());
//! assert_eq!(report.into_violations().len(), 1);
//! ```

use super::At;
use crate::matcher::Regex;

/// The longest expression, in bytes.
pub const MAX_LEN: usize = 1024;

/// Checks an expression: RE2's syntax, at most 1024 bytes (`validateStringRegexp`).
pub fn validate(expression: &str, at: At<'_>) {
    if expression.len() > MAX_LEN {
        at.error(format_args!(
            "a regular expression is longer than {MAX_LEN} bytes"
        ));
    } else if let Err(error) = Regex::parse(expression) {
        at.error(error)
            .help("regular expressions are RE2's: https://github.com/google/re2/wiki/Syntax");
    }
}
