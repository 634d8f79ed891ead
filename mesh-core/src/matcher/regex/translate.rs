//! From RE2's language to that of the engine.

use std::fmt::Write;

use super::cursor::Cursor;
use super::{ParseRegexError, RegexErrorKind, class, escape};

/// How often something may be repeated, inner repetitions multiplied (RE2's `kMaxRepeat`).
const MAX_REPEAT: u32 = 1_000;

/// A pattern for the engine.
#[derive(Debug)]
pub(super) struct Translation {
    pub(super) pattern: String,
    /// How many groups capture.
    pub(super) groups: usize,
}

/// Reads a pattern by RE2's rules.
pub(super) fn translate(source: &str) -> Result<Translation, ParseRegexError> {
    let mut translator = Translator {
        cursor: Cursor::new(source),
        out: String::with_capacity(source.len() + 16),
        captures: 0,
        outer: Vec::new(),
        group: Group::default(),
    };
    while let Some(c) = translator.cursor.peek() {
        translator.translate_one(c)?;
    }
    match translator.outer.last() {
        Some(_) => {
            let start = translator.group.start;
            Err(translator.cursor.error(start, RegexErrorKind::MissingParen))
        }
        None => Ok(Translation {
            pattern: translator.out,
            groups: translator.captures,
        }),
    }
}

struct Translator<'a> {
    cursor: Cursor<'a>,
    out: String,
    captures: usize,
    /// The groups around the current one, outermost first.
    outer: Vec<Group>,
    group: Group,
}

/// A group whose end was not read yet.
#[derive(Default)]
struct Group {
    start: usize,
    /// What a repetition operator would repeat.
    last: Last,
    /// The largest number of repetitions in the group, see [`MAX_REPEAT`].
    repeats: u32,
}

/// What was read last in a group.
#[derive(Clone, Copy, Default)]
enum Last {
    /// Nothing that can be repeated.
    #[default]
    Nothing,
    /// Something, with the number of repetitions inside it.
    Item { repeats: u32 },
    /// Something with its operator.
    Repetition,
}

impl Translator<'_> {
    fn translate_one(&mut self, c: char) -> Result<(), ParseRegexError> {
        match c {
            '(' => self.open_group(),
            ')' => self.close_group(),
            '[' => {
                class::translate(&mut self.cursor, &mut self.out)?;
                self.push_item(1);
                Ok(())
            }
            '|' => {
                self.cursor.next();
                self.out.push('|');
                self.group.last = Last::Nothing;
                Ok(())
            }
            '^' | '$' | '.' => {
                self.cursor.next();
                self.out.push(c);
                self.push_item(1);
                Ok(())
            }
            '*' | '+' | '?' | '{' => self.translate_repetition(c),
            '\\' => self.translate_escape(),
            _ => {
                self.cursor.next();
                self.push_literal(u32::from(c));
                Ok(())
            }
        }
    }

    fn push_literal(&mut self, code: u32) {
        class::write_literal(code, &mut self.out);
        self.push_item(1);
    }

    const fn push_item(&mut self, repeats: u32) {
        self.group.last = Last::Item { repeats };
        if repeats > self.group.repeats {
            self.group.repeats = repeats;
        }
    }

    fn open_group(&mut self) -> Result<(), ParseRegexError> {
        let start = self.cursor.offset();
        self.cursor.next();
        if !self.cursor.eat("?") {
            self.out.push('(');
            self.captures += 1;
        } else if self.eat_name_start() {
            self.read_group_name(start)?;
            self.out.push('(');
            self.captures += 1;
        } else if self.read_flags(start)? {
            // The flags hold from here to the end of the group around them.
            self.group.last = Last::Nothing;
            return Ok(());
        }
        let group = Group {
            start,
            ..Group::default()
        };
        self.outer.push(std::mem::replace(&mut self.group, group));
        Ok(())
    }

    fn eat_name_start(&mut self) -> bool {
        let is_look_behind = ["<=", "<!"]
            .iter()
            .any(|s| self.cursor.rest().starts_with(s));
        self.cursor.eat("P<") || (!is_look_behind && self.cursor.eat("<"))
    }

    /// Reads the name of a group, which nobody asks for: rewrites refer to groups by number.
    fn read_group_name(&mut self, start: usize) -> Result<(), ParseRegexError> {
        let name = self.cursor.eat_while(|c| c.is_alphanumeric() || c == '_');
        if !name.is_empty() && self.cursor.eat(">") {
            return Ok(());
        }
        let group = self.cursor.since(start).to_owned();
        Err(self
            .cursor
            .error(start, RegexErrorKind::GroupName { group }))
    }

    /// Reads and writes flags, and says whether they stand alone, as in `(?i)`, or open a group, as
    /// in `(?i:a)` and `(?:a)`.
    fn read_flags(&mut self, start: usize) -> Result<bool, ParseRegexError> {
        let (mut on, mut off) = (String::new(), String::new());
        let (mut is_negated, mut is_incomplete) = (false, false);
        loop {
            let Some(c) = self.cursor.next() else {
                return Err(self.invalid_group(start));
            };
            match c {
                'i' | 'm' | 's' | 'U' => {
                    is_incomplete = false;
                    on.retain(|flag| flag != c);
                    off.retain(|flag| flag != c);
                    if is_negated { &mut off } else { &mut on }.push(c);
                }
                '-' if !is_negated => (is_negated, is_incomplete) = (true, true),
                ':' | ')' if !is_incomplete => {
                    self.write_flags(&on, &off, c);
                    return Ok(c == ')');
                }
                _ => return Err(self.invalid_group(start)),
            }
        }
    }

    fn write_flags(&mut self, on: &str, off: &str, end: char) {
        // The engine does not take `(?)`, which has no effect.
        if !(on.is_empty() && off.is_empty() && end == ')') {
            let minus = if off.is_empty() { "" } else { "-" };
            // Writing to a `String` cannot fail.
            _ = write!(self.out, "(?{on}{minus}{off}{end}");
        }
    }

    fn invalid_group(&self, start: usize) -> ParseRegexError {
        let group = self.cursor.since(start).to_owned();
        self.cursor.error(start, RegexErrorKind::Group { group })
    }

    fn close_group(&mut self) -> Result<(), ParseRegexError> {
        let start = self.cursor.offset();
        let Some(outer) = self.outer.pop() else {
            return Err(self.cursor.error(start, RegexErrorKind::UnexpectedParen));
        };
        self.cursor.next();
        self.out.push(')');
        let inner = std::mem::replace(&mut self.group, outer);
        self.push_item(inner.repeats.max(1));
        Ok(())
    }

    fn translate_escape(&mut self) -> Result<(), ParseRegexError> {
        if self.cursor.eat(r"\Q") {
            self.translate_quotation();
            return Ok(());
        }
        let mut chars = self.cursor.rest().chars().skip(1);
        let translated = match chars.next() {
            Some('A') => Some(r"\A"),
            Some('z') => Some(r"\z"),
            // A word has ASCII letters only.
            Some('b') => Some(r"(?-u:\b)"),
            Some('B') => Some(r"(?-u:\B)"),
            // Any byte, even one of a character.
            Some('C') => Some("(?s-u:.)"),
            Some('p' | 'P') => {
                class::translate_property(&mut self.cursor, &mut self.out)?;
                self.push_item(1);
                return Ok(());
            }
            letter => letter.and_then(class::perl_class),
        };
        if let Some(translated) = translated {
            self.cursor.next();
            self.cursor.next();
            self.out.push_str(translated);
            self.push_item(1);
        } else {
            let code = escape::parse(&mut self.cursor)?;
            self.push_literal(code);
        }
        Ok(())
    }

    /// Writes the characters between `\Q` and `\E`, or the end, as they are.
    fn translate_quotation(&mut self) {
        while !self.cursor.eat(r"\E") {
            let Some(c) = self.cursor.next() else {
                return;
            };
            self.push_literal(u32::from(c));
        }
    }

    fn translate_repetition(&mut self, c: char) -> Result<(), ParseRegexError> {
        let start = self.cursor.offset();
        let bounds = if c == '{' {
            let Some(bounds) = self.eat_bounds() else {
                self.cursor.next();
                self.push_literal(u32::from(c));
                return Ok(());
            };
            Some(bounds)
        } else {
            self.cursor.next();
            None
        };
        self.cursor.eat("?");
        let operator = || self.cursor.since(start).to_owned();
        let kind = match self.group.last {
            Last::Item { repeats } => match repetitions(bounds, repeats) {
                Some(repeats) => {
                    self.out.push_str(self.cursor.since(start));
                    self.push_item(repeats);
                    self.group.last = Last::Repetition;
                    return Ok(());
                }
                None => RegexErrorKind::RepeatSize {
                    operator: operator(),
                },
            },
            Last::Nothing => RegexErrorKind::RepeatArgument {
                operator: operator(),
            },
            Last::Repetition => RegexErrorKind::RepeatOperator {
                operator: operator(),
            },
        };
        Err(self.cursor.error(start, kind))
    }

    /// Moves behind `{n}`, `{n,}` or `{n,m}`, or stays where it is: another brace is a character.
    fn eat_bounds(&mut self) -> Option<Bounds> {
        let mut cursor = self.cursor;
        cursor.eat("{");
        let min = eat_number(&mut cursor)?;
        let max = match (cursor.eat(","), cursor.peek()) {
            (true, Some('}')) => None,
            (true, _) => Some(eat_number(&mut cursor)?),
            (false, _) => Some(min),
        };
        cursor.eat("}").then(|| {
            self.cursor = cursor;
            Bounds { min, max }
        })
    }
}

/// How often something is repeated; `max` is `None` when there is no limit.
#[derive(Clone, Copy)]
struct Bounds {
    min: u32,
    max: Option<u32>,
}

/// The number of repetitions once something with `inner` repetitions is repeated, or `None` when
/// there are too many.
fn repetitions(bounds: Option<Bounds>, inner: u32) -> Option<u32> {
    let Some(Bounds { min, max }) = bounds else {
        return Some(inner);
    };
    let most = max.unwrap_or(min);
    if min > most || most > MAX_REPEAT {
        return None;
    }
    let total = most.max(1) * inner.min(MAX_REPEAT + 1);
    (most < 2 || total <= MAX_REPEAT).then_some(total)
}

/// Reads a number of at most nine digits, without a zero before others.
fn eat_number(cursor: &mut Cursor<'_>) -> Option<u32> {
    let digits = cursor.eat_while(|c| c.is_ascii_digit());
    let is_padded = digits.len() > 1 && digits.starts_with('0');
    // RE2 takes a longer number, or one with zeros before it, for characters.
    if is_padded || digits.len() > 9 {
        return None;
    }
    digits.parse().ok()
}
