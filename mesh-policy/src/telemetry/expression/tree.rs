//! The parts of an expression.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr};

/// Visits the expressions right below `expression`, until a visit returns `None`.
pub(super) fn visit(
    expression: &mut Expr,
    mut visit: impl FnMut(&mut IdedExpr) -> Option<()>,
) -> Option<()> {
    match expression {
        Expr::Call(call) => {
            let target = call.target.as_deref_mut();
            target.into_iter().chain(&mut call.args).try_for_each(visit)
        }
        Expr::Comprehension(comprehension) => {
            visit(&mut comprehension.iter_range)?;
            visit(&mut comprehension.accu_init)?;
            visit(&mut comprehension.loop_cond)?;
            visit(&mut comprehension.loop_step)?;
            visit(&mut comprehension.result)
        }
        Expr::List(list) => list.elements.iter_mut().try_for_each(visit),
        Expr::Map(map) => entries(map.entries.iter_mut().map(|entry| &mut entry.expr), visit),
        Expr::Struct(value) => {
            let members = value.entries.iter_mut();
            entries(members.map(|entry| &mut entry.expr), visit)
        }
        Expr::Select(select) => visit(&mut select.operand),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Some(()),
    }
}

fn entries<'e>(
    mut entries: impl Iterator<Item = &'e mut EntryExpr>,
    mut visit: impl FnMut(&mut IdedExpr) -> Option<()>,
) -> Option<()> {
    entries.try_for_each(|entry| match entry {
        EntryExpr::MapEntry(entry) => {
            visit(&mut entry.key)?;
            visit(&mut entry.value)
        }
        EntryExpr::StructField(field) => visit(&mut field.value),
    })
}
