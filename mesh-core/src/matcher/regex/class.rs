//! Classes of characters.

use std::fmt::Write;

use super::cursor::Cursor;
use super::property::{CATEGORIES, SCRIPTS};
use super::{ParseRegexError, RegexErrorKind, escape};

/// A class that no character is in.
const NOTHING: &str = r"[^\x00-\x{10FFFF}]";

/// The class that a letter after a backslash names, for the engine. `\s` lacks the vertical tab.
pub(super) fn perl_class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        's' => r"[\t\n\f\r ]",
        'S' => r"[^\t\n\f\r ]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        _ => return None,
    })
}

/// Writes one character, which may be a surrogate.
pub(super) fn write_literal(code: u32, out: &mut String) {
    match char::from_u32(code) {
        Some(c) if c.is_ascii_alphanumeric() => out.push(c),
        Some(_) => write_code(code, out),
        // No text in UTF-8 has a surrogate.
        None => out.push_str(NOTHING),
    }
}

/// Reads `\pL`, `\p{Greek}` or `\P{^Greek}`, the cursor being on its backslash, and writes it.
pub(super) fn translate_property(
    cursor: &mut Cursor<'_>,
    out: &mut String,
) -> Result<(), ParseRegexError> {
    let start = cursor.offset();
    let negated = cursor.eat(r"\P");
    if !negated {
        cursor.eat(r"\p");
    }
    let name = if cursor.eat("{") {
        cursor.eat_until("}")
    } else {
        let name_start = cursor.offset();
        cursor.next().map(|_| cursor.since(name_start))
    };
    let (negated, name) = match name.and_then(|name| name.strip_prefix('^')) {
        Some(name) => (!negated, Some(name)),
        None => (negated, name),
    };
    match name.and_then(property) {
        Some(property) => {
            let caret = if negated { "^" } else { "" };
            _ = write!(out, "[{caret}{property}]");
            Ok(())
        }
        None => {
            let range = cursor.since(start).to_owned();
            Err(cursor.error(start, RegexErrorKind::ClassRange { range }))
        }
    }
}

/// The items of a class that has the property.
fn property(name: &str) -> Option<String> {
    Some(match name {
        "Any" => r"\x00-\x{10FFFF}".to_owned(),
        // RE2 leaves out the code points that are not assigned, and surrogates are no text.
        "C" => r"\p{Cc}\p{Cf}\p{Co}".to_owned(),
        "Cs" => NOTHING.to_owned(),
        _ if CATEGORIES.contains(&name) => format!(r"\p{{gc={name}}}"),
        _ if SCRIPTS.binary_search(&name).is_ok() => format!(r"\p{{sc={name}}}"),
        _ => return None,
    })
}

/// Reads a class, the cursor being on its bracket, and writes it.
pub(super) fn translate(cursor: &mut Cursor<'_>, out: &mut String) -> Result<(), ParseRegexError> {
    let start = cursor.offset();
    cursor.next();
    out.push('[');
    if cursor.eat("^") {
        out.push('^');
    }
    let items = out.len();
    let mut is_first = true;
    // A bracket that comes first is a member.
    while is_first || cursor.peek() != Some(']') {
        is_first = false;
        translate_item(cursor, start, out)?;
    }
    cursor.next();
    if out.len() == items {
        out.push_str(NOTHING);
    }
    out.push(']');
    Ok(())
}

fn translate_item(
    cursor: &mut Cursor<'_>,
    class_start: usize,
    out: &mut String,
) -> Result<(), ParseRegexError> {
    let rest = cursor.rest();
    if rest.starts_with("[:") && translate_posix(cursor, out)? {
        return Ok(());
    }
    if rest.starts_with(r"\p") || rest.starts_with(r"\P") {
        return translate_property(cursor, out);
    }
    let mut letters = rest.strip_prefix('\\').into_iter().flat_map(str::chars);
    if let Some(class) = letters.next().and_then(perl_class) {
        cursor.next();
        cursor.next();
        out.push_str(class);
        return Ok(());
    }
    translate_range(cursor, class_start, out)
}

/// Reads a class such as `[:alpha:]`, unless there is nothing that ends one.
fn translate_posix(cursor: &mut Cursor<'_>, out: &mut String) -> Result<bool, ParseRegexError> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
        "space", "upper", "word", "xdigit",
    ];
    let (start, mut end) = (cursor.offset(), *cursor);
    end.eat("[:");
    let Some(name) = end.eat_until(":]") else {
        return Ok(false);
    };
    let range = end.since(start);
    if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
        let range = range.to_owned();
        return Err(cursor.error(start, RegexErrorKind::ClassRange { range }));
    }
    *cursor = end;
    out.push_str(range);
    Ok(true)
}

fn translate_range(
    cursor: &mut Cursor<'_>,
    class_start: usize,
    out: &mut String,
) -> Result<(), ParseRegexError> {
    let start = cursor.offset();
    let low = parse_member(cursor, class_start)?;
    let rest = cursor.rest();
    let high = if rest.len() >= 2 && rest.starts_with('-') && !rest.starts_with("-]") {
        cursor.next();
        parse_member(cursor, class_start)?
    } else {
        low
    };
    if high < low {
        let range = cursor.since(start).to_owned();
        return Err(cursor.error(start, RegexErrorKind::ClassRange { range }));
    }
    write_range(low, high, out);
    Ok(())
}

fn parse_member(cursor: &mut Cursor<'_>, class_start: usize) -> Result<u32, ParseRegexError> {
    match cursor.peek() {
        None => Err(cursor.error(class_start, RegexErrorKind::MissingBracket)),
        Some('\\') => escape::parse(cursor),
        Some(c) => {
            cursor.next();
            Ok(u32::from(c))
        }
    }
}

/// Writes a range without the surrogates at its ends, if anything is left.
fn write_range(low: u32, high: u32, out: &mut String) {
    let is_surrogate = |code| (0xd800..0xe000).contains(&code);
    let low = if is_surrogate(low) { 0xe000 } else { low };
    let high = if is_surrogate(high) { 0xd7ff } else { high };
    if low <= high {
        write_code(low, out);
        out.push('-');
        write_code(high, out);
    }
}

fn write_code(code: u32, out: &mut String) {
    // Writing to a `String` cannot fail.
    _ = write!(out, r"\x{{{code:x}}}");
}
