//! Durations, which are compared and nothing else: as numbers of nanoseconds.

use std::time::Duration;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

use super::tree;

const COMPARISONS: [&str; 6] = [
    operators::EQUALS,
    operators::GREATER,
    operators::GREATER_EQUALS,
    operators::LESS,
    operators::LESS_EQUALS,
    operators::NOT_EQUALS,
];

/// Writes numbers in place of the durations with which `request.duration` is compared. `None` if a
/// duration is used in another way.
pub(super) fn fold(expression: &mut IdedExpr) -> Option<()> {
    if is_duration(&expression.expr) {
        return None;
    }
    if let Expr::Call(call) = &mut expression.expr {
        if compares(call)? {
            return Some(());
        }
        // It is compared with something else.
        if call.func_name == "duration" {
            return None;
        }
    }
    tree::visit(&mut expression.expr, fold)
}

/// Whether `call` compares the attribute with a duration, which is a number from then on. `None` if
/// that is none.
fn compares(call: &mut CallExpr) -> Option<bool> {
    let [left, right] = call.args.as_mut_slice() else {
        return Some(false);
    };
    let other = match (is_duration(&left.expr), is_duration(&right.expr)) {
        (true, false) => right,
        (false, true) => left,
        (true, true) | (false, false) => return Some(false),
    };
    if !COMPARISONS.contains(&&*call.func_name) {
        return Some(false);
    }
    let Expr::Call(written) = &other.expr else {
        return None;
    };
    let [argument] = written.args.as_slice() else {
        return None;
    };
    let Expr::Literal(LiteralValue::String(text)) = &argument.expr else {
        return None;
    };
    let is_written = written.func_name == "duration" && written.target.is_none();
    let number = parse(text.inner()).filter(|_| is_written)?;
    other.expr = Expr::Literal(LiteralValue::Int(number.into()));
    Some(true)
}

/// Whether an expression is `request.duration`.
fn is_duration(expression: &Expr) -> bool {
    let Expr::Select(select) = expression else {
        return false;
    };
    let is_request = matches!(&select.operand.expr, Expr::Ident(name) if name == "request");
    is_request && select.field == "duration" && !select.test
}

/// A duration as a number.
pub(super) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The number that stands for a duration as CEL writes it: `1.5s`, `1h30m`.
fn parse(text: &str) -> Option<i64> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest.is_empty() {
        return None;
    }
    let mut whole = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|next: char| !next.is_ascii_digit() && next != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|next: char| next.is_ascii_digit() || next == '.');
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds);
        whole = whole.checked_add(part.ok()?)?;
        rest = after;
    }
    let number = nanoseconds(whole);
    Some(if is_negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_in_units() {
        for (text, expected) in [
            ("1s", Some(1_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("250ms", Some(250_000_000)),
            ("-3us", Some(-3000)),
            ("7ns", Some(7)),
            ("", None),
            ("-", None),
            ("1", None),
            ("s", None),
            ("1 s", None),
            ("1d", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
