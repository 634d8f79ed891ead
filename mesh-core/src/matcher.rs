//! What a value has to be: a text, an address, a pattern.
//!
//! The matchers are values. They are parsed or compiled once, cheap to clone, equal when they were
//! written alike, and answer without allocation.
//!
//! # Example
//!
//! ```
//! use mesh_core::matcher::{Cidr, PathTemplate, Regex, StringMatch};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! assert!(StringMatch::prefix("/api").is_match("/api/v1"));
//! assert!(Regex::parse("v[0-9]+")?.is_match("v12"));
//! assert!("10.0.0.0/8".parse::<Cidr>()?.contains("10.1.2.3".parse()?));
//! assert!(PathTemplate::parse("/users/{*}/cart")?.is_match("/users/7/cart"));
//! # Ok(())
//! # }
//! ```

mod cidr;
mod path_template;
mod regex;
mod string;
mod uri_template;

pub use cidr::{Cidr, CidrSet, ParseCidrError};
pub use path_template::{ParsePathTemplateError, PathTemplate};
pub use regex::{
    COMPILED_SIZE_LIMIT, MAX_PATTERN_LEN, ParseRegexError, ParseRewriteError, Regex,
    RegexErrorKind, RegexRewrite,
};
pub use string::StringMatch;
pub use uri_template::{ParseUriTemplateError, UriRewrite, UriTemplate};
