//! Header values with Envoy's command operators.

/// Where the scanner is in a value.
#[derive(Clone, Copy)]
enum State {
    Literal,
    Name,
    Arguments,
    ArrayElement,
    Text,
    ArrayRest,
    ArgumentsEnd,
    CommandEnd,
}

/// Checks a header value: no control characters but the tab, and each `%` either doubled or one of
/// a pair around a command such as `%START_TIME%` or `%REQ(:PATH)%`.
///
/// Which commands exist is not checked. The syntax is that of Istio's
/// `header_value_validator.go`, which follows Envoy's header parser.
///
/// # Errors
///
/// When one of the two rules is broken.
pub fn validate_value(value: &str) -> Result<(), HeaderValueError> {
    if value
        .bytes()
        .any(|byte| byte.is_ascii_control() && byte != b'\t')
    {
        let value = value.to_owned();
        return Err(HeaderValueError::Control { value });
    }
    if has_balanced_commands(value) {
        Ok(())
    } else {
        let value = value.to_owned();
        Err(HeaderValueError::Command { value })
    }
}

fn has_balanced_commands(value: &str) -> bool {
    let mut state = State::Literal;
    let mut bytes = value.bytes().peekable();
    while let Some(byte) = bytes.next() {
        let next = match (state, byte) {
            (State::Literal, b'%') if bytes.peek() == Some(&b'%') => {
                bytes.next();
                Some(State::Literal)
            }
            (State::Text, b'\\') => bytes.next().map(|_| State::Text),
            _ => step(state, byte),
        };
        match next {
            Some(next) => state = next,
            None => return false,
        }
    }
    matches!(state, State::Literal)
}

/// The state after a byte, or `None` when the byte cannot stand there.
const fn step(state: State, byte: u8) -> Option<State> {
    Some(match (state, byte) {
        (State::Literal, b'%') => State::Name,
        (State::Name | State::CommandEnd, b'%') => State::Literal,
        (State::Name, b'(') => State::Arguments,
        (State::Arguments, b'[') | (State::ArrayRest, b',') => State::ArrayElement,
        (State::ArrayElement, b'"') => State::Text,
        (State::Text, b'"') => State::ArrayRest,
        (State::ArrayRest, b']') => State::ArgumentsEnd,
        (State::Text | State::ArgumentsEnd, b')') => State::CommandEnd,
        (State::Literal | State::Name | State::Text, _) | (_, b' ') => state,
        (State::Arguments, _) => State::Text,
        _ => return None,
    })
}

/// Why a text is not a header value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderValueError {
    /// It has a control character other than the tab.
    #[error("header value `{}` has a control character", value.escape_debug())]
    Control {
        /// The value as given.
        value: String,
    },
    /// A `%` is alone, or the command after it does not end.
    #[error("header value `{value}` has an unbalanced `%`, which is written `%%`")]
    Command {
        /// The value as given.
        value: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_signs_are_doubled_or_around_a_command() {
        let accepted = [
            "",
            "a\tb",
            "é",
            "100%%",
            "%START_TIME%",
            "%REQ(:PATH)%",
            "%REQ( :PATH )%",
            "a %PROTOCOL% b %HOSTNAME%",
            "%DYNAMIC_METADATA([\"a\", \"b\"])%",
            "%UPSTREAM_METADATA( [ \"a\\\"\" ] ) %",
            "%%%HOSTNAME%%%",
        ];
        for value in accepted {
            assert!(validate_value(value).is_ok(), "{value}");
        }
        let refused = [
            "%",
            "100%",
            "%HOSTNAME",
            "%START_TIME%%",
            "abc%123",
            "%REQ(:PATH%",
            "%REQ(a)b%",
            "%M([\"a\" \"b\"])%",
            "%M([a])%",
            "%M([\"a\"]x)%",
            "%M(\\",
        ];
        for value in refused {
            assert!(
                matches!(validate_value(value), Err(HeaderValueError::Command { .. })),
                "{value}"
            );
        }
        for value in ["a\nb", "\r", "\0", "\u{7f}"] {
            assert!(
                matches!(validate_value(value), Err(HeaderValueError::Control { .. })),
                "{value:?}"
            );
        }
    }
}
