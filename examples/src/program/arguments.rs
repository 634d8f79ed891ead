//! Values of command lines.
//!
//! # Example
//!
//! ```
//! use examples::program::arguments::label;
//!
//! assert_eq!(label("app=cart"), Ok(("app".to_owned(), "cart".to_owned())));
//! assert!(label("cart").is_err());
//! ```

/// A label, `KEY=VALUE`.
///
/// # Errors
///
/// It is none. The error is for whoever wrote it.
pub fn label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let pair = pair.ok_or_else(|| format!("`{text}` is not of the form KEY=VALUE"))?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}
