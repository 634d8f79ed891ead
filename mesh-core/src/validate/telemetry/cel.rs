//! The syntax of the Common Expression Language, which filters of access logs are written in.
//!
//! Only whether a text is an expression is decided here, by the grammar of the language definition
//! (`cel-spec/doc/langdef.md`), as Istio's webhook does; names and types are not looked at.

/// How deep expressions may nest.
const MAX_DEPTH: usize = 250;

/// Words that CEL keeps for itself and for the languages that it is embedded in.
const RESERVED: [&str; 18] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "package",
    "return",
    "var",
    "void",
    "while",
];

/// Binary operators, the longer first where one begins with another.
const OPERATORS: [&str; 14] = [
    "||", "&&", "<=", ">=", "==", "!=", "<", ">", "in", "+", "-", "*", "/", "%",
];

/// Whether a text is an expression.
pub(super) fn is_expression(text: &str) -> bool {
    let mut parser = Parser { rest: text };
    parser.expression(0).is_some() && {
        parser.skip_space();
        parser.rest.is_empty()
    }
}

/// Takes one part of the grammar after the other from the front of a text. A method returns `None`
/// when the part is not there.
struct Parser<'t> {
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn skip_space(&mut self) {
        loop {
            self.rest = self
                .rest
                .trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            let Some(comment) = self.rest.strip_prefix("//") else {
                return;
            };
            self.rest = comment.find('\n').map_or("", |end| &comment[end..]);
        }
    }

    /// Takes `token` if it is next. A word ends where no letter follows.
    fn take(&mut self, token: &str) -> Option<()> {
        self.skip_space();
        let rest = self.rest.strip_prefix(token)?;
        let is_word = token.ends_with(is_word_char);
        if is_word && rest.starts_with(is_word_char) {
            return None;
        }
        self.rest = rest;
        Some(())
    }

    /// Precedence does not matter to what is an expression, so that all binary operators are alike.
    fn expression(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.unary(depth)?;
        while OPERATORS
            .iter()
            .any(|operator| self.take(operator).is_some())
        {
            self.unary(depth)?;
        }
        if self.take("?").is_some() {
            self.expression(depth + 1)?;
            self.take(":")?;
            self.expression(depth + 1)?;
        }
        Some(())
    }

    fn unary(&mut self, depth: usize) -> Option<()> {
        while self.take("!").or_else(|| self.take("-")).is_some() {}
        self.primary(depth)?;
        loop {
            if self.take(".").is_some() {
                // What follows `.?` is an optional field.
                let _ = self.take("?");
                self.selector()?;
                self.arguments(depth)?;
            } else if self.take("[").is_some() {
                let _ = self.take("?");
                self.expression(depth + 1)?;
                self.take("]")?;
            } else if self.take("{").is_some() {
                self.entries(depth)?;
            } else {
                return Some(());
            }
        }
    }

    fn primary(&mut self, depth: usize) -> Option<()> {
        if self.take("(").is_some() {
            self.expression(depth + 1)?;
            return self.take(")");
        }
        if self.take("[").is_some() {
            return self.list("]", depth);
        }
        if self.take("{").is_some() {
            return self.entries(depth);
        }
        if self.literal().is_some() {
            return Some(());
        }
        let _ = self.take(".");
        let name = self.word()?;
        if RESERVED.contains(&name) {
            return None;
        }
        self.arguments(depth)
    }

    /// The arguments of a call, if there is one.
    fn arguments(&mut self, depth: usize) -> Option<()> {
        match self.take("(") {
            Some(()) => self.list(")", depth),
            None => Some(()),
        }
    }

    /// Expressions with commas between, up to `end`.
    fn list(&mut self, end: &str, depth: usize) -> Option<()> {
        while self.take(end).is_none() {
            self.expression(depth + 1)?;
            if self.take(",").is_none() {
                return self.take(end);
            }
        }
        Some(())
    }

    /// Keys with values, with commas between, up to the brace.
    fn entries(&mut self, depth: usize) -> Option<()> {
        while self.take("}").is_none() {
            let _ = self.take("?");
            self.expression(depth + 1)?;
            self.take(":")?;
            self.expression(depth + 1)?;
            if self.take(",").is_none() {
                return self.take("}");
            }
        }
        Some(())
    }

    /// The name of a field, which may be quoted by backticks.
    fn selector(&mut self) -> Option<()> {
        if self.take("`").is_some() {
            let (_, rest) = self.rest.split_once('`')?;
            self.rest = rest;
            return Some(());
        }
        self.word().map(drop)
    }

    fn word(&mut self) -> Option<&'t str> {
        self.skip_space();
        let end = self
            .rest
            .find(|char| !is_word_char(char))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let is_word = !word.is_empty() && !word.starts_with(|char: char| char.is_ascii_digit());
        self.rest = if is_word { rest } else { self.rest };
        is_word.then_some(word)
    }

    fn literal(&mut self) -> Option<()> {
        self.skip_space();
        self.string().or_else(|| self.number())
    }

    /// A string or bytes, perhaps raw, in quotes or in three of them.
    fn string(&mut self) -> Option<()> {
        let quote_at = self.rest.find(['"', '\'']).filter(|at| *at <= 2)?;
        let (prefix, quoted) = self.rest.split_at(quote_at);
        let prefix = prefix.to_ascii_lowercase();
        let is_raw = prefix.contains('r');
        if !matches!(prefix.as_str(), "" | "r" | "b" | "rb" | "br") {
            return None;
        }
        let quote = &quoted[..1];
        let triple = quote.repeat(3);
        let end = if quoted.starts_with(&triple) {
            triple.as_str()
        } else {
            quote
        };
        let mut body = &quoted[end.len()..];
        while !body.starts_with(end) {
            let mut chars = body.chars();
            let char = chars.next()?;
            if char == '\\' && !is_raw {
                chars.next()?;
            }
            if char == '\n' && end.len() == 1 {
                return None;
            }
            body = chars.as_str();
        }
        self.rest = &body[end.len()..];
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let starts = |text: &str| text.starts_with(|char: char| char.is_ascii_digit());
        let is_number = starts(self.rest) || self.rest.strip_prefix('.').is_some_and(starts);
        if !is_number {
            return None;
        }
        let mut end = 0;
        let mut previous = ' ';
        for char in self.rest.chars() {
            let is_sign = matches!(char, '+' | '-') && matches!(previous, 'e' | 'E');
            if !char.is_ascii_alphanumeric() && char != '.' && !is_sign {
                break;
            }
            previous = char;
            end += char.len_utf8();
        }
        let (number, rest) = self.rest.split_at(end);
        self.rest = rest;
        let unsigned = number.strip_suffix(['u', 'U']).unwrap_or(number);
        let digits = unsigned
            .strip_prefix("0x")
            .or_else(|| unsigned.strip_prefix("0X"));
        let is_valid = match digits {
            Some(digits) => u64::from_str_radix(digits, 16).is_ok(),
            None => unsigned.parse::<f64>().is_ok(),
        };
        is_valid.then_some(())
    }
}

fn is_word_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn expressions_are_told_from_other_texts() {
        for text in [
            "true",
            "response.code >= 400",
            "response.code",
            "!has(request.useragent) || !(request.useragent.startsWith('a\\'b'))",
            "connection.mtls && request.url_path.contains(\"v1beta3\")",
            "request.headers['x-a'] in ['b', r\"\\d\", ] ? 1u : -0x1F + 1.5e-3",
            "{'a': 1, \"b\": [1, 2]}[\"a\"] == 2 // a comment",
            "google.protobuf.Timestamp{seconds: 1}",
            ".a.b(1, 2).c",
            "a.in_b",
            "\"\"\"a\n\"b\" \"\"\"",
            "[1, 2].exists(i, i > 1)",
        ] {
            assert!(is_expression(text), "{text}");
        }
        for text in [
            "", ")++++", "a +", "a b", "(a", "a)", "a.", "a.1", "a ? b", "'a", "1a", "if", "a[",
            "{a}", "a = b", "a & b", "f(,)", "[,]", "0x", "==",
        ] {
            assert!(!is_expression(text), "{text}");
        }
        assert!(!is_expression(&"(".repeat(100_000)));
    }

    proptest! {
        #[test]
        fn any_text_is_decided(text in "[ a-c0-9.()\\[\\]{}'\"?:!&|<>=+*/-]{0,32}") {
            is_expression(&text);
        }
    }
}
