//! Texts.

use serde::Serialize;

use super::Regex;

/// What a text has to be.
///
/// A case that is ignored is that of ASCII letters, as in Envoy; a regular expression says itself
/// whether it ignores case, by `(?i)`.
///
/// ```
/// use mesh_core::matcher::StringMatch;
///
/// let suffix = StringMatch::suffix(".example.com").ignoring_case();
/// assert!(suffix.is_match("SHOP.Example.Com"));
///
/// // The syntax of AuthorizationPolicy.
/// assert_eq!(StringMatch::from_policy_value("GET"), StringMatch::exact("GET"));
/// assert_eq!(StringMatch::from_policy_value("/api/*"), StringMatch::prefix("/api/"));
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StringMatch {
    /// The text contains this.
    Contains {
        /// What is contained.
        value: String,
        /// Whether `A` is `a`.
        ignore_case: bool,
    },
    /// The text is this.
    Exact {
        /// What the text is.
        value: String,
        /// Whether `A` is `a`.
        ignore_case: bool,
    },
    /// The text is a whole number in decimal, from `start` to below `end` (Envoy's `range_match`).
    /// Blanks around it do not count.
    IntegerRange {
        /// The least number.
        start: i64,
        /// The number after the greatest.
        end: i64,
    },
    /// The text is not empty.
    NonEmpty,
    /// The text begins with this.
    Prefix {
        /// What the text begins with.
        value: String,
        /// Whether `A` is `a`.
        ignore_case: bool,
    },
    /// There is a text, which may be empty.
    Present,
    /// The whole text matches this.
    Regex(Regex),
    /// The text ends with this.
    Suffix {
        /// What the text ends with.
        value: String,
        /// Whether `A` is `a`.
        ignore_case: bool,
    },
}

impl StringMatch {
    /// Matches texts that contain `value`.
    #[must_use]
    pub fn contains(value: impl Into<String>) -> Self {
        Self::Contains {
            value: value.into(),
            ignore_case: false,
        }
    }

    /// Matches `value` alone.
    #[must_use]
    pub fn exact(value: impl Into<String>) -> Self {
        Self::Exact {
            value: value.into(),
            ignore_case: false,
        }
    }

    /// Matches texts that begin with `value`.
    #[must_use]
    pub fn prefix(value: impl Into<String>) -> Self {
        Self::Prefix {
            value: value.into(),
            ignore_case: false,
        }
    }

    /// Matches texts that end with `value`.
    #[must_use]
    pub fn suffix(value: impl Into<String>) -> Self {
        Self::Suffix {
            value: value.into(),
            ignore_case: false,
        }
    }

    /// Reads a value of an AuthorizationPolicy: `*`, `*suffix`, `prefix*` or an exact text.
    ///
    /// A `*` elsewhere stands for itself, also one at the end when there is one at the start
    /// (`pilot/pkg/security/authz/matcher`). `*` alone is any text that is not empty, except for
    /// headers, where it is [`Present`](Self::Present).
    #[must_use]
    pub fn from_policy_value(value: &str) -> Self {
        if value == "*" {
            Self::NonEmpty
        } else if let Some(suffix) = value.strip_prefix('*') {
            Self::suffix(suffix)
        } else if let Some(prefix) = value.strip_suffix('*') {
            Self::prefix(prefix)
        } else {
            Self::exact(value)
        }
    }

    /// The same match without regard to the case of ASCII letters; no change to
    /// [`Regex`](Self::Regex).
    #[must_use]
    pub fn ignoring_case(mut self) -> Self {
        match &mut self {
            Self::Contains { ignore_case, .. }
            | Self::Exact { ignore_case, .. }
            | Self::Prefix { ignore_case, .. }
            | Self::Suffix { ignore_case, .. } => *ignore_case = true,
            Self::IntegerRange { .. } | Self::NonEmpty | Self::Present | Self::Regex(_) => {}
        }
        self
    }

    /// Whether the text is matched.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.is_match_bytes(text.as_bytes())
    }

    /// Whether the text is matched, which need not be UTF-8, as the value of a header.
    #[must_use]
    pub fn is_match_bytes(&self, text: &[u8]) -> bool {
        match self {
            Self::Contains { value, ignore_case } => {
                let value = value.as_bytes();
                value.is_empty()
                    || text
                        .windows(value.len())
                        .any(|w| eq(w, value, *ignore_case))
            }
            Self::Exact { value, ignore_case } => eq(text, value.as_bytes(), *ignore_case),
            Self::IntegerRange { start, end } => {
                integer(text).is_some_and(|number| (*start..*end).contains(&number))
            }
            Self::NonEmpty => !text.is_empty(),
            Self::Prefix { value, ignore_case } => text
                .get(..value.len())
                .is_some_and(|start| eq(start, value.as_bytes(), *ignore_case)),
            Self::Present => true,
            Self::Regex(regex) => regex.is_match_bytes(text),
            Self::Suffix { value, ignore_case } => text
                .len()
                .checked_sub(value.len())
                .is_some_and(|start| eq(&text[start..], value.as_bytes(), *ignore_case)),
        }
    }
}

impl From<Regex> for StringMatch {
    fn from(regex: Regex) -> Self {
        Self::Regex(regex)
    }
}

/// The number that a text is, with blanks around.
fn integer(text: &[u8]) -> Option<i64> {
    str::from_utf8(text.trim_ascii()).ok()?.parse().ok()
}

fn eq(a: &[u8], b: &[u8], ignore_case: bool) -> bool {
    if ignore_case {
        a.eq_ignore_ascii_case(b)
    } else {
        a == b
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_kind_looks_at_its_place() {
        let cases = [
            (StringMatch::exact("ab"), [true, false, false, false]),
            (StringMatch::prefix("ab"), [true, true, false, false]),
            (StringMatch::suffix("ab"), [true, false, true, false]),
            (StringMatch::contains("ab"), [true, true, true, false]),
            (StringMatch::NonEmpty, [true, true, true, false]),
            (StringMatch::Present, [true, true, true, true]),
            (
                Regex::parse("ab.*").unwrap().into(),
                [true, true, false, false],
            ),
        ];
        for (matcher, expected) in cases {
            let matched = ["ab", "abx", "xab", ""].map(|text| matcher.is_match(text));
            assert_eq!(matched, expected, "{matcher:?}");
        }
    }

    #[test]
    fn case_is_that_of_ascii() {
        for matcher in [
            StringMatch::exact("aÉ"),
            StringMatch::prefix("aÉ"),
            StringMatch::suffix("aÉ"),
            StringMatch::contains("aÉ"),
        ] {
            assert!(!matcher.is_match("AÉ"), "{matcher:?}");
            let matcher = matcher.ignoring_case();
            assert!(matcher.is_match("AÉ"), "{matcher:?}");
            assert!(!matcher.is_match("aé"), "{matcher:?}");
        }
    }

    // What Envoy's `absl::SimpleAtoi` takes for a number.
    #[test]
    fn a_number_is_in_a_range_without_its_end() {
        let range = StringMatch::IntegerRange { start: -1, end: 10 };
        for text in ["-1", "9", " 9\t", "+9", "009"] {
            assert!(range.is_match(text), "{text:?}");
        }
        for text in ["-2", "10", "", "9.0", "9 9", "0x9", "9223372036854775808"] {
            assert!(!range.is_match(text), "{text:?}");
        }
        let most = StringMatch::IntegerRange {
            start: i64::MIN,
            end: i64::MAX,
        };
        assert!(most.is_match("-9223372036854775808"));
        assert!(!most.is_match("9223372036854775807"));
    }

    #[test]
    fn a_star_counts_at_either_end() {
        let cases = [
            ("", StringMatch::exact("")),
            ("a", StringMatch::exact("a")),
            ("a*b", StringMatch::exact("a*b")),
            ("*", StringMatch::NonEmpty),
            ("a*", StringMatch::prefix("a")),
            ("*a", StringMatch::suffix("a")),
            ("*a*", StringMatch::suffix("a*")),
            ("**", StringMatch::suffix("*")),
        ];
        for (value, expected) in cases {
            assert_eq!(StringMatch::from_policy_value(value), expected, "{value}");
        }
    }

    #[test]
    fn a_match_is_readable_as_json() {
        let matcher = StringMatch::prefix("/a").ignoring_case();
        let json = serde_json::to_string(&matcher).unwrap();
        assert_eq!(json, r#"{"prefix":{"value":"/a","ignore_case":true}}"#);
    }

    proptest! {
        #[test]
        fn agrees_with_the_methods_of_str(value in "[aAé]{0,3}", text in "[aAé]{0,6}") {
            prop_assert_eq!(StringMatch::contains(&*value).is_match(&text), text.contains(&value));
            prop_assert_eq!(StringMatch::prefix(&*value).is_match(&text), text.starts_with(&value));
            prop_assert_eq!(StringMatch::suffix(&*value).is_match(&text), text.ends_with(&value));
            let (lower, value_lower) = (text.to_ascii_lowercase(), value.to_ascii_lowercase());
            let contains = StringMatch::contains(value).ignoring_case();
            prop_assert_eq!(contains.is_match(&text), lower.contains(&value_lower));
        }
    }
}
