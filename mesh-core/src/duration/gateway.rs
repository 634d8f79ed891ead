//! The Gateway API's durations, GEP-2257.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Duration;

/// 99999h59m59s999ms, the longest duration that GEP-2257 can write.
const MAX_MILLIS: u64 = ((99_999 * 60 + 59) * 60 + 59) * 1_000 + 999;

/// A duration of the Gateway API: whole milliseconds, never negative.
///
/// It is one to four numbers of one to five digits, each with the unit `h`, `m`, `s` or `ms`, and
/// means their sum ([GEP-2257]). The default is no time.
///
/// [GEP-2257]: https://gateway-api.sigs.k8s.io/geps/gep-2257/
///
/// ```
/// use mesh_core::duration::{Duration, GatewayDuration};
///
/// # fn main() -> Result<(), mesh_core::duration::ParseGatewayDurationError> {
/// let timeout: GatewayDuration = "1m500ms".parse()?;
/// assert_eq!(Duration::from(timeout), Duration::from_millis(60_500));
/// # Ok(())
/// # }
/// ```
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct GatewayDuration {
    millis: u64,
}

impl GatewayDuration {
    /// The duration to wait.
    #[must_use]
    pub const fn as_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.millis)
    }

    /// Whether this is no time at all, which turns a timeout off.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.millis == 0
    }
}

impl From<GatewayDuration> for Duration {
    fn from(duration: GatewayDuration) -> Self {
        // The limit of `MAX_MILLIS` is far below that of a duration.
        Self::from_millis(duration.millis.cast_signed())
    }
}

impl fmt::Display for GatewayDuration {
    /// Writes the units in falling order and leaves out those that are zero; `0s` for no time.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.millis == 0 {
            return f.write_str("0s");
        }
        let seconds = self.millis / 1_000;
        let groups = [
            (seconds / 3_600, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
            (self.millis % 1_000, "ms"),
        ];
        for (number, unit) in groups {
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for GatewayDuration {
    type Err = ParseGatewayDurationError;

    /// Parses `([0-9]{1,5}(h|m|s|ms)){1,4}`.
    ///
    /// # Errors
    ///
    /// When the text is of another form or the sum is above 99999h59m59s999ms.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let syntax = || ParseGatewayDurationError::Syntax {
            text: text.to_owned(),
        };
        let (mut millis, mut rest) = (0, text);
        for _ in 0..4 {
            let (group, after) = parse_group(rest).ok_or_else(syntax)?;
            millis += group;
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        if !rest.is_empty() {
            return Err(syntax());
        }
        if millis > MAX_MILLIS {
            let text = text.to_owned();
            return Err(ParseGatewayDurationError::TooLong { text });
        }
        Ok(Self { millis })
    }
}

/// Splits the first number and unit off and gives it in milliseconds.
fn parse_group(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(end);
    if number.len() > 5 {
        return None;
    }
    // An empty number fails here.
    let number: u64 = number.parse().ok()?;
    let end = rest
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(end);
    let millis = match unit {
        "h" => 3_600_000,
        "m" => 60_000,
        "s" => 1_000,
        "ms" => 1,
        _ => return None,
    };
    Some((number * millis, rest))
}

impl TryFrom<String> for GatewayDuration {
    type Error = ParseGatewayDurationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<GatewayDuration> for String {
    fn from(duration: GatewayDuration) -> Self {
        duration.to_string()
    }
}

/// Why a text is not a [`GatewayDuration`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseGatewayDurationError {
    /// It is not one to four whole numbers, each with a unit.
    #[error("duration `{text}` is not one to four groups of digits and h, m, s or ms")]
    Syntax {
        /// The text as given.
        text: String,
    },
    /// The sum is above 99999h59m59s999ms.
    #[error("duration `{text}` is longer than 99999h59m59s999ms")]
    TooLong {
        /// The text as given.
        text: String,
    },
}
