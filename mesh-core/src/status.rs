//! HTTP status codes in configuration.
//!
//! # Example
//!
//! ```
//! use mesh_core::status;
//!
//! assert!(status::validate_injected(503).is_ok());
//! assert!(status::is_known(503));
//! assert!(!status::is_known(599));
//! ```

use http::StatusCode;

/// Checks the status of an injected abort or of a direct response: 200 to 600, as in Istio
/// (`validateHTTPStatus`).
///
/// The upper bound is no status that HTTP has; RFC 9110 section 15 ends at 599.
///
/// # Errors
///
/// When the status is outside that range.
pub const fn validate_injected(status: i64) -> Result<(), StatusRangeError> {
    if status >= 200 && status <= 600 {
        Ok(())
    } else {
        Err(StatusRangeError { status })
    }
}

/// Whether the status is registered, and so may stand in the `retryOn` of a route (Go's
/// `http.StatusText`).
#[must_use]
pub fn is_known(status: u16) -> bool {
    StatusCode::from_u16(status).is_ok_and(|status| status.canonical_reason().is_some())
}

/// The status cannot be injected.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("HTTP status `{status}` is not from 200 to 600")]
#[non_exhaustive]
pub struct StatusRangeError {
    /// The status as given.
    pub status: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_ends_at_600() {
        for status in [200, 503, 600] {
            assert!(validate_injected(status).is_ok(), "{status}");
        }
        for status in [-1, 0, 100, 199, 601] {
            assert!(validate_injected(status).is_err(), "{status}");
        }
    }

    #[test]
    fn the_registered_statuses_are_known() {
        for status in [100, 103, 200, 208, 226, 308, 418, 425, 451, 503, 511] {
            assert!(is_known(status), "{status}");
        }
        for status in [0, 99, 104, 209, 306, 419, 427, 509, 600] {
            assert!(!is_known(status), "{status}");
        }
    }
}
