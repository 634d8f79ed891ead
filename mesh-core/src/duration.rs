//! Durations as Istio and the Gateway API write them.
//!
//! istiod reads a `google.protobuf.Duration` in YAML with Go's `time.ParseDuration`: a sequence of
//! decimal numbers with units (`1h30m`, `1.5s`, `300ms`), possibly signed, in nanoseconds of 64
//! bits. There is no day, and the only number that may stand without a unit is `0`. [`Duration`] is
//! that language. It is a superset of protobuf's own JSON form (`3.000000001s`).
//!
//! The Gateway API allows less: [`GatewayDuration`] is [GEP-2257], whole numbers of `h`, `m`, `s`
//! and `ms` without a sign.
//!
//! [GEP-2257]: https://gateway-api.sigs.k8s.io/geps/gep-2257/
//!
//! # Example
//!
//! ```
//! use mesh_core::duration::{Duration, GatewayDuration};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let timeout: Duration = "1.5s".parse()?;
//! assert_eq!(timeout.as_std(), Some(std::time::Duration::from_millis(1_500)));
//! assert_eq!("90m".parse::<Duration>()?.to_string(), "1h30m0s");
//! assert!("1d".parse::<Duration>().is_err());
//!
//! let timeout: GatewayDuration = "90m".parse()?;
//! assert_eq!(timeout.to_string(), "1h30m");
//! assert!("1.5s".parse::<GatewayDuration>().is_err());
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

mod gateway;
mod go;

pub use gateway::{GatewayDuration, ParseGatewayDurationError};

const NANOS_PER_MILLI: i64 = 1_000_000;
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A signed number of nanoseconds.
///
/// Text and serde form are Go's, see the [module docs](self).
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Duration {
    nanos: i64,
}

impl Duration {
    /// No time at all.
    pub const ZERO: Self = Self { nanos: 0 };

    /// About 292 years, the longest that Go can express.
    pub const MAX: Self = Self { nanos: i64::MAX };

    /// A number of nanoseconds.
    #[must_use]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// A number of milliseconds; [`Duration::MAX`] or its negative when there are too many.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self {
            nanos: millis.saturating_mul(NANOS_PER_MILLI),
        }
    }

    /// A number of seconds; [`Duration::MAX`] or its negative when there are too many.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self {
            nanos: seconds.saturating_mul(NANOS_PER_SECOND),
        }
    }

    /// The whole number of nanoseconds.
    #[must_use]
    pub const fn as_nanos(self) -> i64 {
        self.nanos
    }

    /// The number of whole milliseconds, rounded towards zero.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.nanos / NANOS_PER_MILLI
    }

    /// The number of whole seconds, rounded towards zero.
    #[must_use]
    pub const fn as_secs(self) -> i64 {
        self.nanos / NANOS_PER_SECOND
    }

    /// The duration to wait, or `None` when it is negative.
    #[must_use]
    pub const fn as_std(self) -> Option<std::time::Duration> {
        if self.nanos < 0 {
            None
        } else {
            Some(std::time::Duration::from_nanos(self.nanos.unsigned_abs()))
        }
    }

    /// Whether this is no time at all.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.nanos == 0
    }

    /// Whether this is less than no time.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Whether this is a whole number of seconds.
    #[must_use]
    pub const fn is_whole_seconds(self) -> bool {
        self.nanos % NANOS_PER_SECOND == 0
    }

    /// Checks what Istio demands of a timeout or an interval (`ValidateDuration`): at least one
    /// millisecond, and nothing finer.
    ///
    /// # Errors
    ///
    /// When the duration is below one millisecond or not a whole number of milliseconds.
    pub const fn validate(self) -> Result<(), DurationRangeError> {
        if self.nanos < NANOS_PER_MILLI {
            Err(DurationRangeError::TooShort { duration: self })
        } else if self.nanos % NANOS_PER_MILLI != 0 {
            Err(DurationRangeError::TooFine { duration: self })
        } else {
            Ok(())
        }
    }

    /// Checks [`validate`](Self::validate) and that the duration lies from `min` to `max`
    /// inclusive (`ValidateDurationRange`).
    ///
    /// # Errors
    ///
    /// When one of the two does not hold.
    pub fn validate_range(self, min: Self, max: Self) -> Result<(), DurationRangeError> {
        self.validate()?;
        if (min..=max).contains(&self) {
            Ok(())
        } else {
            Err(DurationRangeError::OutOfRange {
                duration: self,
                min,
                max,
            })
        }
    }

    /// The canonical JSON of a `google.protobuf.Duration`: seconds with 0, 3, 6 or 9 decimals.
    ///
    /// ```
    /// use mesh_core::duration::Duration;
    ///
    /// assert_eq!(Duration::from_millis(5_400_250).to_protobuf_json(), "5400.250s");
    /// ```
    #[must_use]
    pub fn to_protobuf_json(self) -> String {
        let sign = if self.nanos < 0 { "-" } else { "" };
        let nanos = self.nanos.unsigned_abs();
        let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
        if fraction == 0 {
            format!("{sign}{seconds}s")
        } else if fraction % 1_000_000 == 0 {
            format!("{sign}{seconds}.{:03}s", fraction / 1_000_000)
        } else if fraction % 1_000 == 0 {
            format!("{sign}{seconds}.{:06}s", fraction / 1_000)
        } else {
            format!("{sign}{seconds}.{fraction:09}s")
        }
    }
}

impl fmt::Display for Duration {
    /// Writes Go's canonical form, such as `1h30m0s`, `1.5s`, `300ms` or `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        go::write(self.nanos, f)
    }
}

impl FromStr for Duration {
    type Err = ParseDurationError;

    /// Parses what Go's `time.ParseDuration` accepts.
    ///
    /// # Errors
    ///
    /// When a number or a unit is missing, a unit is unknown or the sum does not fit in 64 bits of
    /// nanoseconds.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        go::parse(text).map(Self::from_nanos)
    }
}

impl TryFrom<String> for Duration {
    type Error = ParseDurationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.to_string()
    }
}

/// Why a text is not a [`Duration`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDurationError {
    /// A number was expected, or the text is empty.
    #[error("duration `{text}` has no number where one is expected")]
    MissingNumber {
        /// The text as given.
        text: String,
    },
    /// A number other than a lone `0` has no unit.
    #[error("duration `{text}` has a number without a unit")]
    MissingUnit {
        /// The text as given.
        text: String,
    },
    /// The unit is none of `h`, `m`, `s`, `ms`, `us`, `µs` and `ns`.
    #[error("duration `{text}` has the unknown unit `{unit}`")]
    UnknownUnit {
        /// The text as given.
        text: String,
        /// The unit as given.
        unit: String,
    },
    /// The sum does not fit in 64 bits of nanoseconds.
    #[error("duration `{text}` is longer than 292 years")]
    Overflow {
        /// The text as given.
        text: String,
    },
}

/// Why a [`Duration`] is refused where time is configured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationRangeError {
    /// It is below one millisecond.
    #[error("duration `{duration}` is below 1ms")]
    TooShort {
        /// The duration as given.
        duration: Duration,
    },
    /// It is not a whole number of milliseconds.
    #[error("duration `{duration}` is finer than 1ms")]
    TooFine {
        /// The duration as given.
        duration: Duration,
    },
    /// It is outside the range of its field.
    #[error("duration `{duration}` is not from {min} to {max}")]
    OutOfRange {
        /// The duration as given.
        duration: Duration,
        /// The shortest that is allowed.
        min: Duration,
        /// The longest that is allowed.
        max: Duration,
    },
}

#[cfg(test)]
mod tests;
