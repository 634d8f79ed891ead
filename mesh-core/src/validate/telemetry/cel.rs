//! The syntax of the Common Expression Language, which filters of access logs are written in.
//!
//! Only whether a text is an expression is decided here, by the grammar of the language definition
//! (`cel-spec/doc/langdef.md`) without the extensions of later versions, as Istio's webhook does;
//! names and types are not looked at. The macros ask for certain arguments.

mod literal;

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

/// Words that are tokens of their own, so that no field has such a name.
const TOKENS: [&str; 4] = ["false", "in", "null", "true"];

/// Methods that are macros, with two arguments (`map` perhaps with three), the first of which names
/// a variable.
const COMPREHENSIONS: [&str; 6] = ["all", "exists", "exists_one", "existsOne", "filter", "map"];

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

/// What an expression is, as far as macros ask.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Shape {
    /// The field of something.
    Field,
    /// A name alone.
    Name,
    Other,
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

    fn expression(&mut self, depth: usize) -> Option<Shape> {
        if depth > MAX_DEPTH {
            return None;
        }
        let shape = self.operands(depth)?;
        if self.take("?").is_none() {
            return Some(shape);
        }
        self.operands(depth + 1)?;
        self.take(":")?;
        self.expression(depth + 1)?;
        Some(Shape::Other)
    }

    /// Operands with operators between them, whose precedence does not matter here.
    fn operands(&mut self, depth: usize) -> Option<Shape> {
        let mut shape = self.unary(depth)?;
        while OPERATORS
            .iter()
            .any(|operator| self.take(operator).is_some())
        {
            self.unary(depth)?;
            shape = Shape::Other;
        }
        Some(shape)
    }

    /// An operand, perhaps after `!` or `-`; only a number has a `-` after `!`.
    fn unary(&mut self, depth: usize) -> Option<Shape> {
        let sign = if self.take("!").is_some() { "!" } else { "-" };
        let mut is_signed = sign == "!";
        while self.take(sign).is_some() {
            is_signed = true;
        }
        let first = if sign == "!" && self.take("-").is_some() {
            self.skip_space();
            self.number()?;
            Shape::Other
        } else {
            self.primary(depth)?
        };
        let shape = self.member(first, depth)?;
        Some(if is_signed { Shape::Other } else { shape })
    }

    /// What follows a primary expression of the shape `shape`: fields, calls, indices.
    fn member(&mut self, mut shape: Shape, depth: usize) -> Option<Shape> {
        loop {
            shape = if self.take(".").is_some() {
                let name = self.word().filter(|name| !TOKENS.contains(name))?;
                self.method(name, depth)?
            } else if self.take("[").is_some() {
                self.expression(depth + 1)?;
                self.take("]")?;
                Shape::Other
            } else if shape != Shape::Other && self.take("{").is_some() {
                self.fields(depth)?;
                Shape::Other
            } else {
                return Some(shape);
            };
        }
    }

    fn method(&mut self, name: &str, depth: usize) -> Option<Shape> {
        if self.take("(").is_none() {
            return Some(Shape::Field);
        }
        let arguments = self.arguments(depth)?;
        let is_macro = COMPREHENSIONS.contains(&name)
            && (arguments.len() == 2 || (name == "map" && arguments.len() == 3));
        let is_valid = !is_macro || arguments.first() == Some(&Shape::Name);
        is_valid.then_some(Shape::Other)
    }

    fn primary(&mut self, depth: usize) -> Option<Shape> {
        if self.take("(").is_some() {
            let shape = self.expression(depth + 1)?;
            return self.take(")").map(|()| shape);
        }
        if self.take("[").is_some() {
            return self.list(depth);
        }
        if self.take("{").is_some() {
            return self.entries(depth);
        }
        if self.literal().is_some() {
            return Some(Shape::Other);
        }
        let _ = self.take(".");
        let name = self.word().filter(|name| !RESERVED.contains(name))?;
        if self.take("(").is_none() {
            return Some(Shape::Name);
        }
        let arguments = self.arguments(depth)?;
        let is_valid = name != "has" || arguments.len() != 1 || arguments[0] == Shape::Field;
        is_valid.then_some(Shape::Other)
    }

    /// The arguments of a call up to the closing parenthesis, without a comma after the last.
    fn arguments(&mut self, depth: usize) -> Option<Vec<Shape>> {
        let mut shapes = Vec::new();
        if self.take(")").is_some() {
            return Some(shapes);
        }
        loop {
            shapes.push(self.expression(depth + 1)?);
            if self.take(",").is_none() {
                return self.take(")").map(|()| shapes);
            }
        }
    }

    /// The elements of a list up to its end, perhaps with a comma after the last.
    fn list(&mut self, depth: usize) -> Option<Shape> {
        while self.take("]").is_none() {
            self.expression(depth + 1)?;
            if self.take(",").is_none() {
                self.take("]")?;
                break;
            }
        }
        Some(Shape::Other)
    }

    /// The entries of a map up to its end.
    fn entries(&mut self, depth: usize) -> Option<Shape> {
        while self.take("}").is_none() {
            self.expression(depth + 1)?;
            self.take(":")?;
            self.expression(depth + 1)?;
            if self.take(",").is_none() {
                self.take("}")?;
                break;
            }
        }
        Some(Shape::Other)
    }

    /// The fields of a message up to its end.
    fn fields(&mut self, depth: usize) -> Option<()> {
        while self.take("}").is_none() {
            self.word()?;
            self.take(":")?;
            self.expression(depth + 1)?;
            if self.take(",").is_none() {
                return self.take("}");
            }
        }
        Some(())
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
}

fn is_word_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn expressions_are_recognized() {
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
            "a ? b : c ? d : e",
            "a ? (b ? c : d) : e",
            "!-1 == !!a",
            "--a - -1",
            "has((a.b)) && has(a, b)",
            "a.map(1)",
            "a.if",
            "'\\x41\\u00e9\\U0001F600\\101\\n\\`' + r'\\d'",
            "b'a' + br'\\d'",
            "9223372036854775807 + 18446744073709551615u + 0xFF + .5 + 1e3",
        ] {
            assert!(is_expression(text), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_expressions() {
        for text in [
            "",
            ")++++",
            "a +",
            "a b",
            "(a",
            "a)",
            "a.",
            "a.1",
            "a ? b",
            "'a",
            "1a",
            "if",
            "a[",
            "{a}",
            "a = b",
            "a & b",
            "f(,)",
            "f(a,)",
            "[,]",
            "0x",
            "==",
            "a ? b ? c : d : e",
            "!-a",
            "-!a",
            "has(a)",
            "has(a())",
            "a.all(1, true)",
            "a.map(b.c, d, e)",
            "a.?b",
            "a[?0]",
            "[?a]",
            "{?a: b}",
            "a.`b`",
            "a.in",
            "a()[0]{}",
            "a{1: 2}",
            "'\\d'",
            "'\\x4'",
            "'\\400'",
            "rb'a'",
            "1.",
            "9223372036854775808",
            "18446744073709551616u",
            "'a\nb'",
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
