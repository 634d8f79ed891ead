//! What Istio accepts as the name or the value of a header.
//!
//! There is not one rule but one for each use (`pkg/config/validation/validation.go`): a match may
//! name a pseudo header or a claim, a request may have its authority set but not removed, a value
//! may hold Envoy's `%COMMAND%` operators.
//!
//! # Example
//!
//! ```
//! use mesh_core::header;
//!
//! assert!(header::validate_match_name(":authority").is_ok());
//! assert!(header::validate_set_name("Host").is_ok());
//! assert!(header::validate_remove_name("Host").is_err());
//! assert!(header::validate_value("%DOWNSTREAM_REMOTE_ADDRESS% saved 100%%").is_ok());
//! assert!(header::validate_value("100% saved").is_err());
//! ```

mod claim;
mod crumbs;
mod value;

pub use claim::RoutingClaim;
pub use crumbs::join_crumbs;
pub use value::{HeaderValueError, validate_value};

const PSEUDO_HEADERS: [&str; 5] = [":authority", ":method", ":path", ":scheme", ":status"];

/// Checks the name of a header in a match: an RFC 7230 token, a pseudo header or a
/// [`RoutingClaim`].
///
/// # Errors
///
/// When it is none of these.
pub fn validate_match_name(name: &str) -> Result<(), HeaderNameError> {
    if RoutingClaim::parse(name).is_some() || PSEUDO_HEADERS.contains(&name) {
        return Ok(());
    }
    validate_chars(name, is_token_byte)
}

/// Checks the name of a header where only letters, digits, `-` and `_` are allowed, as in a
/// consistent hash policy.
///
/// # Errors
///
/// When it is empty or has another character.
pub fn validate_strict_name(name: &str) -> Result<(), HeaderNameError> {
    validate_chars(name, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
    })
}

/// Checks the name of a header that a readiness probe sends: letters, digits and `-`.
///
/// # Errors
///
/// When it is empty or has another character.
pub fn validate_probe_name(name: &str) -> Result<(), HeaderNameError> {
    validate_chars(name, |byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Checks the name of a header in a CORS policy: `*` or an RFC 7230 token.
///
/// # Errors
///
/// When it is neither.
pub fn validate_cors_name(name: &str) -> Result<(), HeaderNameError> {
    validate_chars(name, is_token_byte)
}

/// Checks the name of a header that is set on or added to a request.
///
/// `:authority` and `Host` are allowed here: they rewrite the authority.
///
/// # Errors
///
/// When it is empty or another name that begins with `:`.
pub fn validate_set_name(name: &str) -> Result<(), HeaderNameError> {
    if name.is_empty() {
        Err(HeaderNameError::Empty)
    } else if is_internal(name) && !is_authority(name) {
        Err(HeaderNameError::Internal { name: name.into() })
    } else {
        Ok(())
    }
}

/// Checks the name of a header that is removed from a request, or set, added or removed on a
/// response.
///
/// # Errors
///
/// When it is empty, `Host`, or begins with `:`.
pub fn validate_remove_name(name: &str) -> Result<(), HeaderNameError> {
    if name.is_empty() {
        Err(HeaderNameError::Empty)
    } else if is_internal(name) {
        Err(HeaderNameError::Internal { name: name.into() })
    } else {
        Ok(())
    }
}

/// Whether a header names the authority of a request: `:authority` or `Host`.
#[must_use]
pub fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}

/// Whether a header cannot be changed like others: `Host`, or a name that begins with `:`.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

/// Checks a method of a CORS policy.
///
/// # Errors
///
/// When it is neither `*` nor a method of RFC 9110 or RFC 5789, in upper case.
pub fn validate_cors_method(method: &str) -> Result<(), CorsMethodError> {
    match method {
        "*" | "CONNECT" | "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT"
        | "TRACE" => Ok(()),
        _ => Err(CorsMethodError {
            method: method.to_owned(),
        }),
    }
}

fn validate_chars(name: &str, allowed: impl Fn(u8) -> bool) -> Result<(), HeaderNameError> {
    if name.is_empty() {
        Err(HeaderNameError::Empty)
    } else if name.bytes().all(allowed) {
        Ok(())
    } else {
        Err(HeaderNameError::Syntax { name: name.into() })
    }
}

/// A character of a token (RFC 7230 section 3.2.6).
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Why a text is not the name of a header where it stands.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderNameError {
    /// There is no text.
    #[error("a header name cannot be empty")]
    Empty,
    /// It has a character that is not allowed here.
    #[error("`{name}` is not a header name")]
    Syntax {
        /// The name as given.
        name: String,
    },
    /// It is the authority or a pseudo header, which cannot be changed here.
    #[error("header `{name}` cannot be changed")]
    Internal {
        /// The name as given.
        name: String,
    },
}

/// The text is not a method that CORS knows.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{method}` is not an HTTP method")]
#[non_exhaustive]
pub struct CorsMethodError {
    /// The method as given.
    pub method: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_use_has_its_own_rule() {
        type Rule = fn(&str) -> Result<(), HeaderNameError>;
        let rules: [(&str, Rule, &[&str]); 6] = [
            (
                "match",
                validate_match_name,
                &["a-b", "Host", "a_b", "!~", "*", ":authority"],
            ),
            ("strict", validate_strict_name, &["a-b", "Host", "a_b"]),
            ("probe", validate_probe_name, &["a-b", "Host"]),
            (
                "cors",
                validate_cors_name,
                &["a-b", "Host", "a_b", "!~", "*"],
            ),
            (
                "set",
                validate_set_name,
                &["a-b", "Host", "a_b", "!~", "*", ":authority", "é"],
            ),
            (
                "remove",
                validate_remove_name,
                &["a-b", "a_b", "!~", "*", "é"],
            ),
        ];
        let names = [
            "",
            "a-b",
            "Host",
            "a_b",
            "!~",
            "*",
            ":authority",
            ":other",
            "é",
        ];
        for (rule, validate, accepted) in rules {
            for name in names {
                let expected = accepted.contains(&name);
                assert_eq!(validate(name).is_ok(), expected, "{rule} {name}");
            }
        }
        assert!(validate_match_name("@request.auth.claims.sub").is_ok());
        assert!(validate_cors_name("@request.auth.claims.sub").is_err());
    }

    #[test]
    fn cors_methods_are_in_upper_case() {
        assert!(validate_cors_method("PATCH").is_ok());
        assert!(validate_cors_method("*").is_ok());
        assert!(validate_cors_method("patch").is_err());
        assert!(validate_cors_method("LINK").is_err());
    }
}
