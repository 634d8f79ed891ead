/// A text is not a format string.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseFormatError {
    /// The text may not stand in a header field.
    #[error("`{text}` has a character that may not stand in a header field")]
    IllegalCharacter {
        /// The whole text.
        text: String,
    },
    /// The argument of an operator is missing, superfluous or not understood.
    #[error("operator `{operator}` cannot have the argument `{argument}`")]
    InvalidArgument {
        /// The operator.
        operator: String,
        /// The argument; empty if there is none.
        argument: String,
    },
    /// The operator stands for a constant that is not among the [`Constants`](super::Constants).
    #[error("no value is given for `{operator}`")]
    NotGiven {
        /// The operator, with its argument.
        operator: String,
    },
    /// The operator is one of Envoy's, but its value is not known here.
    #[error("operator `{operator}` is not supported")]
    Unsupported {
        /// The operator.
        operator: String,
    },
    /// The operator is none of Envoy's.
    #[error("unknown operator `{operator}`")]
    Unknown {
        /// The operator.
        operator: String,
    },
    /// A `%` is neither the begin of an operator nor doubled.
    #[error("no operator begins at `{rest}`")]
    Unterminated {
        /// The text from the `%` on.
        rest: String,
    },
}

impl ParseFormatError {
    /// Whether the text is one of Envoy's, with an operator that has no value here.
    pub const fn is_without_value(&self) -> bool {
        matches!(self, Self::NotGiven { .. } | Self::Unsupported { .. })
    }
}
