//! The variables that an expression reads, without those that it binds itself (`x` in `all(x, …)`).

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr, IdedEntryExpr};

/// The variables that are free in `expression`.
pub(super) fn free(expression: &IdedExpr) -> BTreeSet<&str> {
    let mut walk = Walk::default();
    walk.expression(expression);
    walk.free
}

#[derive(Default)]
struct Walk<'e> {
    bound: Vec<&'e str>,
    free: BTreeSet<&'e str>,
}

impl<'e> Walk<'e> {
    fn expression(&mut self, expression: &'e IdedExpr) {
        match &expression.expr {
            Expr::Call(call) => {
                call.target
                    .iter()
                    .for_each(|target| self.expression(target));
                call.args
                    .iter()
                    .for_each(|argument| self.expression(argument));
            }
            Expr::Comprehension(comprehension) => {
                self.expression(&comprehension.iter_range);
                self.expression(&comprehension.accu_init);
                let outer = self.bound.len();
                self.bound.push(&comprehension.iter_var);
                self.bound.extend(comprehension.iter_var2.as_deref());
                self.expression(&comprehension.loop_cond);
                self.expression(&comprehension.loop_step);
                self.expression(&comprehension.result);
                self.bound.truncate(outer);
            }
            Expr::Ident(name) => {
                // The parser's own begin with this.
                if !name.starts_with('@') && !self.bound.contains(&name.as_str()) {
                    self.free.insert(name);
                }
            }
            Expr::List(list) => list.elements.iter().for_each(|one| self.expression(one)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(entry)),
            Expr::Select(select) => self.expression(&select.operand),
            Expr::Struct(value) => value.entries.iter().for_each(|entry| self.entry(entry)),
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn entry(&mut self, entry: &'e IdedEntryExpr) {
        match &entry.expr {
            EntryExpr::MapEntry(entry) => {
                self.expression(&entry.key);
                self.expression(&entry.value);
            }
            EntryExpr::StructField(field) => self.expression(&field.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use cel::Program;

    use super::*;

    #[test]
    fn what_an_expression_binds_is_not_free() {
        for (text, expected) in [
            ("a.b == c[d]", &["a", "c", "d"][..]),
            ("[x].all(y, y == x)", &["x"]),
            ("a.map(x, x + 1).exists(x, x > b) && x", &["a", "b", "x"]),
            ("{a: b}.size() > f(c)", &["a", "b", "c"]),
            ("has(a.b) ? 'c' : \"d\"", &["a"]),
        ] {
            let program = Program::compile(text).unwrap();
            let found: Vec<_> = free(program.expression()).into_iter().collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
