//! Conditions on text, in words.

use std::fmt;

use mesh_core::matcher::StringMatch;

/// What the condition says of a value: ``is `a` ``, or ``is not `a` `` where it does not hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phrase<'a> {
    pub(super) rule: &'a StringMatch,
    pub(super) holds: bool,
}

impl fmt::Display for Phrase<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (holds, fails, value, ignore_case) = match self.rule {
            StringMatch::Contains { value, ignore_case } => {
                ("contains", "does not contain", value.as_str(), *ignore_case)
            }
            StringMatch::Exact { value, ignore_case } => {
                ("is", "is not", value.as_str(), *ignore_case)
            }
            StringMatch::IntegerRange { start, end } => {
                let holds = self.choose("is", "is not");
                return write!(f, "{holds} a number from {start} to below {end}");
            }
            StringMatch::NonEmpty => return f.write_str(self.choose("is not empty", "is empty")),
            StringMatch::Prefix { value, ignore_case } => (
                "begins with",
                "does not begin with",
                value.as_str(),
                *ignore_case,
            ),
            StringMatch::Present => return f.write_str(self.choose("is present", "is absent")),
            StringMatch::Regex(regex) => ("matches", "does not match", regex.as_str(), false),
            StringMatch::Suffix { value, ignore_case } => (
                "ends with",
                "does not end with",
                value.as_str(),
                *ignore_case,
            ),
        };
        write!(f, "{} `{value}`", self.choose(holds, fails))?;
        f.write_str(if ignore_case { " in any case" } else { "" })
    }
}

impl Phrase<'_> {
    fn choose(&self, holds: &'static str, fails: &'static str) -> &'static str {
        if self.holds { holds } else { fails }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_and_its_contrary_are_put_in_words() {
        let cases = [
            (
                StringMatch::contains("a"),
                "contains `a`",
                "does not contain `a`",
            ),
            (StringMatch::exact("a"), "is `a`", "is not `a`"),
            (
                StringMatch::IntegerRange { start: -1, end: 5 },
                "is a number from -1 to below 5",
                "is not a number from -1 to below 5",
            ),
            (StringMatch::NonEmpty, "is not empty", "is empty"),
            (
                StringMatch::prefix("a").ignoring_case(),
                "begins with `a` in any case",
                "does not begin with `a` in any case",
            ),
            (StringMatch::Present, "is present", "is absent"),
            (
                StringMatch::Regex("a+".parse().unwrap()),
                "matches `a+`",
                "does not match `a+`",
            ),
            (
                StringMatch::suffix("a"),
                "ends with `a`",
                "does not end with `a`",
            ),
        ];
        for (rule, holds, fails) in &cases {
            assert_eq!(Phrase { rule, holds: true }.to_string(), *holds);
            assert_eq!(Phrase { rule, holds: false }.to_string(), *fails);
        }
    }
}
