//! RE2 expressions, translated for another engine.

use mesh_core::matcher::{Regex, RegexRewrite};

use super::{Target, text};

pub(crate) const TARGET: Target = Target {
    name: "regexes",
    seeds: &[
        "/api/v[0-9]+/.*",
        "(?i)^(?P<name>[[:alpha:]]+)\\z",
        "a{2,5}?b|\\Qc.d\\E|\\pL\\PN",
        "(?s:.)\\x{10FFFF}\\101[^\\W\\d]",
        "(?:a|b)*?(?-i)$",
    ],
    dictionary: &[
        "(?",
        "{1000}",
        "[[:",
        "\\p{Greek}",
        "\\C",
        "\\E",
        "*",
        ")",
        "|",
        "\\b",
        "(?U)",
    ],
    start: || {
        text(|text| {
            let ends = text.char_indices().map(|(end, _)| end);
            let middle = ends.take_while(|end| *end <= text.len() / 2).last();
            let (pattern, rest) = text.split_at(middle.unwrap_or(0));
            for pattern in [pattern, text] {
                if let Ok(regex) = Regex::parse(pattern) {
                    let _ = regex.is_match(rest);
                    let _ = regex.is_match_bytes(text.as_bytes());
                }
                if let Ok(rewrite) = RegexRewrite::parse(pattern, "[\\0\\1]") {
                    let _ = rewrite.replace_all(rest);
                }
            }
        })
    },
};
