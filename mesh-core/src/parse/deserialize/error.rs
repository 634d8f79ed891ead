use std::fmt;

use serde::de;

/// Why a value cannot be read.
#[derive(Debug)]
pub(super) enum Error {
    /// The session has recorded it, with its place.
    Recorded,
    /// A type's own reason, which the reader that called it has yet to place.
    Reason(Box<str>),
    /// A required field is absent, or was skipped because of an error.
    Missing(&'static str),
}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Reason(message.to_string().into())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing(field)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Recorded => f.write_str("recorded"),
            Self::Reason(reason) => f.write_str(reason),
            Self::Missing(field) => write!(f, "missing field `{field}`"),
        }
    }
}

impl std::error::Error for Error {}
