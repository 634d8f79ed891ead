//! Envoy's `x-request-id`: a random UUID, one letter of which says whether the request is traced.

/// The place of the letter that says the version of a UUID, `4` for a random one.
const TRACE_LETTER: usize = 14;
const LENGTH: usize = 36;

/// Why a request is traced, or not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TraceReason {
    /// A client asked for it.
    ClientForced,
    /// It is not traced.
    NotTraced,
    /// It was drawn.
    Sampled,
    /// A service asked for it.
    ServiceForced,
}

impl TraceReason {
    /// Whether the request is traced.
    pub fn is_traced(self) -> bool {
        self != Self::NotTraced
    }
}

/// A random UUID (RFC 9562 §5.4), of `random` bits.
///
/// # Example
///
/// ```
/// use mesh_policy::telemetry::trace::{TraceReason, new_request_id, trace_reason};
///
/// let id = new_request_id(u128::MAX);
/// assert_eq!(id, "ffffffff-ffff-4fff-bfff-ffffffffffff");
/// assert_eq!(trace_reason(&id), Some(TraceReason::NotTraced));
/// ```
pub fn new_request_id(random: u128) -> String {
    const VERSION: u128 = 0xf << 76;
    const VARIANT: u128 = 0b11 << 62;
    let uuid = (random & !VERSION & !VARIANT) | 4 << 76 | 0b10 << 62;
    let digits = format!("{uuid:032x}");
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]);
    parts.join("-")
}

/// What a request ID says about tracing. `None` if it is no UUID.
pub fn trace_reason(id: &str) -> Option<TraceReason> {
    if id.len() != LENGTH {
        return None;
    }
    Some(match id.as_bytes()[TRACE_LETTER] {
        b'9' => TraceReason::Sampled,
        b'a' => TraceReason::ServiceForced,
        b'b' => TraceReason::ClientForced,
        _ => TraceReason::NotTraced,
    })
}

/// Writes into a request ID whether the request is traced. Returns `None` if it is no UUID.
///
/// # Example
///
/// ```
/// use mesh_policy::telemetry::trace::{TraceReason, set_trace_reason};
///
/// let id = "b19c0f3c-75a3-4f73-8a5e-5d9f6a2c1e00";
/// let traced = set_trace_reason(id, TraceReason::Sampled);
/// assert_eq!(traced.as_deref(), Some("b19c0f3c-75a3-9f73-8a5e-5d9f6a2c1e00"));
/// ```
pub fn set_trace_reason(id: &str, reason: TraceReason) -> Option<String> {
    if id.len() != LENGTH || !id.is_ascii() {
        return None;
    }
    let letter = match reason {
        TraceReason::ClientForced => "b",
        TraceReason::NotTraced => "4",
        TraceReason::Sampled => "9",
        TraceReason::ServiceForced => "a",
    };
    let (before, after) = (&id[..TRACE_LETTER], &id[TRACE_LETTER + 1..]);
    Some([before, letter, after].concat())
}

/// The number below 10,000 that a request ID draws, from its first eight digits.
pub fn sampling_draw(id: &str) -> Option<u32> {
    let digits = id.get(..8).filter(|_| id.len() == LENGTH)?;
    Some(u32::from_str_radix(digits, 16).ok()? % 10_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_fifteenth_letter_says_why_a_request_is_traced() {
        for (letter, expected) in [
            ('4', TraceReason::NotTraced),
            ('9', TraceReason::Sampled),
            ('a', TraceReason::ServiceForced),
            ('b', TraceReason::ClientForced),
            ('1', TraceReason::NotTraced),
        ] {
            let id = format!("00000000-0000-{letter}000-8000-000000000000");
            assert_eq!(trace_reason(&id), Some(expected), "{letter}");
        }
        assert_eq!(trace_reason("short"), None);
        assert_eq!(set_trace_reason("short", TraceReason::Sampled), None);
    }

    #[test]
    fn the_first_digits_draw() {
        assert_eq!(
            sampling_draw("00002710-0000-4000-8000-000000000000"),
            Some(0)
        );
        assert_eq!(
            sampling_draw("00002711-0000-4000-8000-000000000000"),
            Some(1)
        );
        assert_eq!(sampling_draw("x0002711-0000-4000-8000-000000000000"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(random in any::<u128>(), index in 0_usize..4) {
            let reasons = [
                TraceReason::ClientForced,
                TraceReason::NotTraced,
                TraceReason::Sampled,
                TraceReason::ServiceForced,
            ];
            let id = set_trace_reason(&new_request_id(random), reasons[index]).unwrap();
            prop_assert_eq!(trace_reason(&id), Some(reasons[index]));
        }

        #[test]
        fn any_text_can_be_asked(text in ".{0,40}") {
            let _ = (trace_reason(&text), sampling_draw(&text));
            let _ = set_trace_reason(&text, TraceReason::Sampled);
        }
    }
}
