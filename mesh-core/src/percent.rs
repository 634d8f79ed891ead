//! Percentages, as they draw a share of the requests.
//!
//! Istio writes a percentage as a double from 0 to 100 (`Percent.value`) and Envoy enforces it as a
//! whole number of parts per million (`FractionalPercent`). [`Percent`] keeps the number as written
//! and answers in parts per million, so that `0.0001`, the smallest share that Envoy can draw, is
//! one request in a million and not none.
//!
//! # Example
//!
//! ```
//! use mesh_core::percent::Percent;
//!
//! # fn main() -> Result<(), mesh_core::percent::ParsePercentError> {
//! let percent: Percent = "12.5".parse()?;
//! assert_eq!(percent.parts_per_million(), 125_000);
//!
//! // The random number is the caller's, so the draw can be repeated.
//! assert!(percent.includes(3_124_999));
//! assert!(!percent.includes(3_125_000));
//! # Ok(())
//! # }
//! ```

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const MILLION: u64 = 1_000_000;

/// A number from 0 to 100, inclusive.
///
/// See the [module docs](self) for an example.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percent(f64);

impl Percent {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);

    /// Everything.
    pub const HUNDRED: Self = Self(100.0);

    /// The smallest percentage above zero that has an effect: one part in a million.
    pub const SMALLEST: Self = Self(0.0001);

    /// Takes a percentage, not a fraction: 50.0 is one half.
    ///
    /// # Errors
    ///
    /// [`ParsePercentError::OutOfRange`] when `value` is below 0, above 100 or not a number.
    pub fn new(value: f64) -> Result<Self, ParsePercentError> {
        if (0.0..=100.0).contains(&value) {
            // Adding zero turns -0.0 into 0.0, so that equal percentages have equal bits.
            Ok(Self(value + 0.0))
        } else {
            Err(ParsePercentError::OutOfRange { value })
        }
    }

    /// The percentage as written, from 0 to 100.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }

    /// How many of a million, rounded down as Istio does
    /// (`translatePercentToFractionalPercent`).
    #[must_use]
    pub const fn parts_per_million(self) -> u32 {
        // In range: 100 * 10_000 is a million.
        (self.0 * 10_000.0) as u32
    }

    /// Whether a request that drew the number `random` belongs to this share.
    ///
    /// The draw is Envoy's: `random` modulo a million, below the parts per million.
    #[must_use]
    pub const fn includes(self, random: u64) -> bool {
        random % MILLION < self.parts_per_million() as u64
    }

    /// Whether nothing is drawn although the percentage is not zero.
    ///
    /// Istio refuses such a percentage in a fault.
    #[must_use]
    pub fn is_too_small(self) -> bool {
        self > Self::ZERO && self < Self::SMALLEST
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Percent {
    type Err = ParsePercentError;

    /// Parses a decimal number.
    ///
    /// # Errors
    ///
    /// When the text is not a number or the number is not from 0 to 100.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value = text.parse().map_err(|_| ParsePercentError::NotANumber {
            text: text.to_owned(),
        })?;
        Self::new(value)
    }
}

impl TryFrom<f64> for Percent {
    type Error = ParsePercentError;

    fn try_from(value: f64) -> Result<Self, Self::Error> {
        Self::new(value)
    }
}

impl From<Percent> for f64 {
    fn from(percent: Percent) -> Self {
        percent.0
    }
}

impl PartialEq for Percent {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Percent {}

impl Ord for Percent {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Percent {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Percent {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// Why a [`Percent`] was refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePercentError {
    /// The text is not a decimal number.
    #[error("`{text}` is not a number")]
    NotANumber {
        /// The text as given.
        text: String,
    },
    /// The number is below 0, above 100 or not a number.
    #[error("percentage `{value}` is not from 0 to 100")]
    OutOfRange {
        /// The number as given.
        value: f64,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_percentage_is_from_0_to_100() {
        for text in ["-0.1", "100.00001", "NaN", "inf", "", "5%", "ten"] {
            assert!(text.parse::<Percent>().is_err(), "{text}");
        }
        for text in ["0", "-0", "100", "0.00001", "1e1"] {
            assert!(text.parse::<Percent>().is_ok(), "{text}");
        }
    }

    #[test]
    fn the_share_is_counted_in_parts_per_million() {
        let cases = [
            (0.0, 0),
            (0.00009, 0),
            (0.0001, 1),
            (1.0, 10_000),
            (33.333_39, 333_333),
            (100.0, 1_000_000),
        ];
        for (value, parts) in cases {
            let percent = Percent::new(value).unwrap();
            assert_eq!(percent.parts_per_million(), parts, "{value}");
        }
    }

    #[test]
    fn all_and_nothing_do_not_depend_on_the_draw() {
        for random in [0, 1, 999_999, 1_000_000, u64::MAX] {
            assert!(!Percent::ZERO.includes(random), "{random}");
            assert!(Percent::HUNDRED.includes(random), "{random}");
        }
    }

    #[test]
    fn only_a_share_below_one_in_a_million_is_too_small() {
        let too_small = |value| Percent::new(value).unwrap().is_too_small();
        assert!(too_small(0.00001));
        assert!(!too_small(0.0));
        assert!(!too_small(0.0001));
    }

    #[test]
    fn a_percentage_is_a_number_in_json() {
        let percent: Percent = serde_json::from_str("50").unwrap();
        assert_eq!(percent.parts_per_million(), 500_000);
        assert_eq!(serde_json::to_string(&percent).unwrap(), "50.0");
        assert!(serde_json::from_str::<Percent>("101").is_err());
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(value in 0.0..=100.0) {
            let percent = Percent::new(value).unwrap();
            prop_assert_eq!(percent.to_string().parse(), Ok(percent));
        }
    }
}
