//! Escapes that stand for one character.

use super::cursor::Cursor;
use super::{ParseRegexError, RegexErrorKind};

/// Reads an escape, the cursor being on its backslash, and gives its code point.
///
/// A code point may be that of a surrogate, which is no `char`.
pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<u32, ParseRegexError> {
    let start = cursor.offset();
    cursor.next();
    let Some(c) = cursor.next() else {
        return Err(cursor.error(start, RegexErrorKind::TrailingBackslash));
    };
    let code = match c {
        '0'..='7' => octal(c, cursor),
        'x' => hexadecimal(cursor),
        'a' => Some(0x07),
        'f' => Some(0x0c),
        'n' => Some(0x0a),
        'r' => Some(0x0d),
        't' => Some(0x09),
        'v' => Some(0x0b),
        _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
        _ => None,
    };
    code.ok_or_else(|| {
        let escape = cursor.since(start).to_owned();
        cursor.error(start, RegexErrorKind::Escape { escape })
    })
}

/// One to three octal digits. A single digit other than 0 would be a back-reference.
fn octal(first: char, cursor: &mut Cursor<'_>) -> Option<u32> {
    let mut code = first.to_digit(8)?;
    for digit in 0..2 {
        let Some(next) = cursor.peek().and_then(|c| c.to_digit(8)) else {
            return (digit > 0 || first == '0').then_some(code);
        };
        code = code * 8 + next;
        cursor.next();
    }
    Some(code)
}

/// Two hexadecimal digits, or any number of them in braces.
fn hexadecimal(cursor: &mut Cursor<'_>) -> Option<u32> {
    let digits = if cursor.eat("{") {
        let digits = cursor.eat_while(|c| c.is_ascii_hexdigit());
        cursor.eat("}").then_some(digits)?
    } else {
        let digits = cursor.rest().get(..2)?;
        cursor.eat(digits);
        digits
    };
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let code = u32::from_str_radix(digits, 16).ok()?;
    (code <= u32::from(char::MAX)).then_some(code)
}
