//! Authorities that requests get.

use http::uri::Authority;

use crate::validate::At;

/// Looks at an authority that a rule writes, if it writes one.
///
/// Istio accepts any text. What is none is told, because the rule then answers `500` to its
/// requests.
pub(super) fn validate(authority: &str, at: At<'_>) {
    if !authority.is_empty() && authority.parse::<Authority>().is_err() {
        at.warning(format_args!(
            "the rule answers 500: `{authority}` is no authority"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::testing::assert_warnings;

    #[test]
    fn what_is_no_authority_is_told() {
        for (authority, warnings) in [
            ("", 0),
            ("cart.example", 0),
            ("cart.example:8080", 0),
            ("[::1]:80", 0),
            ("cart.example/x", 1),
            ("%REQ(x-host)%", 1),
            ("a b", 1),
        ] {
            assert_warnings(authority, warnings, |at| validate(authority, at));
        }
    }
}
