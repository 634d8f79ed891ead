//! Texts of strangers, which are kept only so far.

/// The beginning of `text`, of at most `most` bytes and whole characters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_after_a_whole_character() {
        for (text, most, expected) in [
            ("cart", 9, "cart"),
            ("cart", 4, "cart"),
            ("cart", 3, "car"),
            ("caf\u{e9}s", 4, "caf"),
            ("\u{1f600}", 3, ""),
            ("", 0, ""),
        ] {
            assert_eq!(cut(text, most), expected, "{text} {most}");
        }
    }
}
