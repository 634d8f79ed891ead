//! Why a part of a configuration is not converted.

use std::fmt;

use http::header::HeaderName;

/// Why a part of a configuration is not converted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// Envoy refuses it too.
    Invalid(String),
    /// Envoy accepts it, and the model has no word for it.
    Inexpressible(String),
}

impl Refusal {
    pub(super) fn invalid(why: impl Into<String>) -> Self {
        Self::Invalid(why.into())
    }

    pub(super) fn inexpressible(what: impl fmt::Display) -> Self {
        Self::Inexpressible(format!("the model has no {what}"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(why) | Self::Inexpressible(why) => f.write_str(why),
        }
    }
}

/// The name of the one option that is set among those that exclude each other.
pub(super) fn one_of(
    group: &str,
    options: &[(&'static str, bool)],
) -> Result<&'static str, Refusal> {
    at_most_one_of(group, options)?
        .ok_or_else(|| Refusal::Invalid(format!("one of `{group}` is required")))
}

/// The name of the option that is set among those that exclude each other, if one is.
pub(super) fn at_most_one_of(
    group: &str,
    options: &[(&'static str, bool)],
) -> Result<Option<&'static str>, Refusal> {
    let mut set = options
        .iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(name, _)| *name);
    match (set.next(), set.next()) {
        (Some(first), Some(second)) => Err(Refusal::Invalid(format!(
            "`{group}` has both `{first}` and `{second}`"
        ))),
        (first, _) => Ok(first),
    }
}

/// Refuses a value that cannot stand in a header field.
pub(super) fn header_safe(field: &str, value: &str) -> Result<(), Refusal> {
    if value.contains(['\0', '\r', '\n']) {
        return Err(Refusal::Invalid(format!(
            "`{field}` holds a control character: {value:?}"
        )));
    }
    Ok(())
}

/// The name of a header field; refuses what is none.
pub(super) fn header_name(field: &str, name: &str) -> Result<HeaderName, Refusal> {
    let invalid = |_| Refusal::Invalid(format!("`{field}` names no header field: {name:?}"));
    name.parse().map_err(invalid)
}
