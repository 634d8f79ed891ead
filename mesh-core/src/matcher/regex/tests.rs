use proptest::prelude::*;

use super::*;

fn matches(pattern: &str, text: &str) -> bool {
    Regex::parse(pattern).unwrap().is_match(text)
}

// The expectations of this table and the two after it are those of RE2 itself (google-re2 1.1).

/// Patterns that RE2 refuses.
#[rustfmt::skip]
const REFUSED: [&str; 77] = [
    r"\E", r"\Q\E*", r"(?i)*", r"\é", r"[\b]", r"[\A]", r"[\Q]", r"[\C]", r"\1", r"\8", r"\x",
    r"\x1", r"\x{}", r"\x{110000}", r"\x4g", r"\Z", r"\G", r"\K", r"\h", r"\e", r"\u0061",
    "a{1001}", "(a{100}){11}", "(?:a{2}){501}", "((a{10}){10}){11}", "(?:a{2,}){501}",
    "(?:(?:a{0}){1000}){1000}", "a**", "a*??", "a{2}{3}", "a{3,2}", "x*+", "*a", "|*", "(*)",
    "(|*)", "[a", "[]", "[z-a]", r"[a-\d]", "[[:foo:]]", "[a--b]", "(?P<>a)", "(?P=n)", "(?=a)",
    "(?!a)", "(?<=a)", "(?<!a)", "(?#a)", "(?>a)", "(?x)a", "(?R)", "(?i-)", "(?i-:a)", "(?--i)",
    "(?P", "(?", "(", ")", "a)|(b", r"\p{greek}", r"\p{Grek}", r"\p{Uppercase}", r"\p{Cn}",
    r"\p{", r"\p", r"\pL{1000}", r"\N", r"\X", r"\R", r"\", r"[\", "(?i", "(?i:", "(?P<n",
    r"\x{ 41}", "(a{1000}){999999999}",
];

#[test]
fn refuses_what_re2_refuses() {
    for pattern in REFUSED {
        assert!(Regex::parse(pattern).is_err(), "{pattern}");
    }
}

/// Patterns that RE2 accepts.
#[rustfmt::skip]
const ACCEPTED: [&str; 64] = [
    "", "(?)", "(?ii)a", "(?i-i)a", r"\_", r"\ ", r"\<", r"\10", r"\07", r"\0", r"\z", r"\A",
    "a{,3}", "a{1000}", "(?:a{2}){500}", "(?:a*){1000}", "(?:a{1,}){1000}", "a*?", "a{01}", "^*",
    "$*", r"\b+", "[]a]", "[^]a]", "a]", "a}", "{", r"[\d-z]", "[a-]", "[a-b-c]", "[[:^alpha:]]",
    "[[:alpha]", "[[.a.]]", "[a&&b]", "[a~~b]", "(?P<n>a)", "(?<n>a)", "(?P<1>a)", "(?P<é>a)",
    "(?-i:a)", "(?U)a*", "(?s-m:a)", r"\pL", r"\p{^L}", r"\P{^L}", r"\p{Greek}", r"\p{Any}",
    r"\p{C}", r"\p{Cs}", r"[\p{L}\d]", r"[^\x00-\x{10FFFF}]", "(|a)", "a||b", "()", "()*", r"\C",
    ".{1000}", "(?:.{10}){100}", "[^/]{1000}", r"\w{1000}", "x{0}", r"\x{D800}", r"[\x{D800}]",
    r"[\x{D000}-\x{DFFF}]",
];

#[test]
fn accepts_what_re2_accepts() {
    for pattern in ACCEPTED {
        assert!(Regex::parse(pattern).is_ok(), "{pattern}");
    }
}

#[test]
fn means_what_re2_means() {
    let cases = [
        // Perl classes and word boundaries are ASCII, and \s has no vertical tab.
        (r"\d+", "1\u{663}", false),
        (r"\w", "é", false),
        (r"\W", "é", true),
        (r"\s", "\u{b}", false),
        (r"\s", "\u{a0}", false),
        (r"é\b.*", "é", false),
        (r"a\b.*", "aé", true),
        // A class has no set operations.
        ("[a&&b]+", "a&b", true),
        ("[a~~b]", "~", true),
        ("[[.a.]]", "[]", true),
        (r"[\d-z]+", "5-z", true),
        (r"[^\n]", "é", true),
        ("[[:alpha:]]", "é", false),
        ("[[:^alpha:]]", "é", true),
        // Literals that other engines read otherwise.
        ("a{,3}", "a{,3}", true),
        ("a{01}", "a{01}", true),
        (r"\<a", "<a", true),
        (r"\Qa.b\E.", "a.bx", true),
        (r"\Qa.b\E*", "a.bbb", true),
        (r"\101\x42\x{43}", "ABC", true),
        // A whole character, never a byte of it, except with \C.
        (".", "é", true),
        (r"\C", "é", false),
        (r"\C\C", "é", true),
        (".", "\n", false),
        ("(?s).", "\n", true),
        // Flags last to the end of their group.
        ("a(?i)b|c", "C", true),
        ("(?:a(?i)b)c", "aBc", true),
        ("(?:a(?i)b)c", "aBC", false),
        ("(?i)k", "\u{212a}", true),
        (r"(?i)\w", "\u{17f}", true),
        (r"(?i)\p{Lu}", "a", true),
        ("(?m)a$\n^b", "a\nb", true),
        ("a$\n?", "a\n", false),
        (r"\p{Greek}\p{^Greek}\PL", "αa1", true),
        (r"\x{D800}|a", "a", true),
    ];
    for (pattern, text, expected) in cases {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text:?}");
    }
}

#[test]
fn the_whole_text_has_to_match() {
    assert!(matches("a|ab", "ab"));
    assert!(!matches("a|b", "ab"));
    assert!(!matches("a", "a\n"));
    assert!(matches("", ""));
    assert!(!matches("", "a"));
}

#[test]
fn bytes_outside_utf_8_are_no_characters() {
    let regex = Regex::parse("a.*").unwrap();
    assert!(regex.is_match_bytes(b"ab"));
    assert!(!regex.is_match_bytes(b"a\xff"));
    assert!(Regex::parse(r"a\C").unwrap().is_match_bytes(b"a\xff"));
}

#[test]
fn an_error_says_what_and_where() {
    let error = Regex::parse("ab(?=c)").unwrap_err();
    assert_eq!(error.offset(), 2);
    assert!(matches!(error.kind(), RegexErrorKind::Group { group } if group == "(?="));
    assert_eq!(error.to_string(), "regex `ab(?=c)`: invalid group `(?=`");
}

#[test]
fn a_regex_is_its_pattern() {
    let regex = Regex::parse("a+").unwrap();
    assert_eq!(regex, Regex::parse("a+").unwrap());
    assert_ne!(regex, Regex::parse("aa*").unwrap());
    assert_eq!(serde_json::to_string(&regex).unwrap(), "\"a+\"");
}

#[test]
fn a_deep_pattern_is_refused() {
    let pattern = "(".repeat(2_000) + &")".repeat(2_000);
    let error = Regex::parse(&pattern).unwrap_err();
    assert_eq!(*error.kind(), RegexErrorKind::TooDeep);
}

#[test]
fn a_rewrite_replaces_every_match() {
    // The expectations are those of RE2's GlobalReplace.
    let cases = [
        ("b", "xx", "abcb", "axxcxx"),
        ("b*", "-", "abc", "-a-c-"),
        ("(a)(b)?", r"[\2\1\0]", "aab", "[aa][baab]"),
        ("^a", "x", "aa", "xa"),
        ("/+", "/", "//a///b", "/a/b"),
        ("a", r"\\1", "a", r"\1"),
        ("", "-", "é", "-é-"),
        ("a", "$1${0}", "a", "$1${0}"),
    ];
    for (pattern, substitution, text, expected) in cases {
        let rewrite = RegexRewrite::parse(pattern, substitution).unwrap();
        assert_eq!(
            rewrite.replace_all(text),
            expected,
            "{pattern} {substitution}"
        );
    }
}

#[test]
fn a_substitution_refers_to_groups_that_exist() {
    for (pattern, substitution) in [
        ("a", r"\1"),
        ("(a)", r"\2"),
        ("a", r"\"),
        ("a", r"\x"),
        ("(", ""),
    ] {
        assert!(
            RegexRewrite::parse(pattern, substitution).is_err(),
            "{pattern} {substitution}"
        );
    }
    assert!(RegexRewrite::parse("(?:a)(?P<n>b)", r"\1").is_ok());
}

proptest! {
    #[test]
    fn every_accepted_pattern_compiles(pattern in r"[ab|()\[\]{}*+?^$.,:\\QEdDpPLxC0-3i-]{0,14}") {
        if let Err(error) = Regex::parse(&pattern) {
            // A fault that only the engine finds is one that the translation missed.
            prop_assert!(!matches!(error.kind(), RegexErrorKind::TooDeep), "{}", pattern);
        }
    }

    #[test]
    fn a_quoted_text_matches_itself(text in "[^\\\\]{0,12}") {
        let pattern = format!(r"\Q{text}\E");
        prop_assert!(matches(&pattern, &text));
    }
}
