//! Names of fields, which are the same in any case.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};

use super::tree;

/// Writes the names by which `expression` looks fields up as the maps of fields have them: in lower
/// case, and `:authority` for the `host` of a request.
pub(super) fn fold(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => fold_call(call),
        Expr::Select(select) => {
            if let Some(of) = fields_of(&select.operand.expr) {
                select.field = canonical(of, &select.field);
            }
        }
        _ => {}
    }
    let _ = tree::visit(&mut expression.expr, |part| {
        fold(part);
        Some(())
    });
}

fn fold_call(call: &mut CallExpr) {
    let [first, second] = call.args.as_mut_slice() else {
        return;
    };
    let (fields, name) = match call.func_name.as_str() {
        operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT => (first, second),
        operators::IN => (second, first),
        _ => return,
    };
    if let Some(of) = fields_of(&fields.expr)
        && let Expr::Literal(LiteralValue::String(written)) = &name.expr
    {
        let canonical = canonical(of, written.inner());
        name.expr = Expr::Literal(LiteralValue::String(canonical.into()));
    }
}

/// Whose fields `expression` is, if it is all fields of a head or of trailers.
fn fields_of(expression: &Expr) -> Option<&str> {
    let (of, member) = match expression {
        Expr::Select(select) if !select.test => (&select.operand.expr, select.field.as_str()),
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [of, key] => match &key.expr {
                Expr::Literal(LiteralValue::String(key)) => (&of.expr, key.inner()),
                _ => return None,
            },
            _ => return None,
        },
        _ => return None,
    };
    match of {
        Expr::Ident(of) if ["headers", "trailers"].contains(&member) => Some(of),
        _ => None,
    }
}

fn canonical(of: &str, name: &str) -> String {
    match name.to_ascii_lowercase() {
        name if of == "request" && name == "host" => ":authority".to_owned(),
        name => name,
    }
}
