//! The variables that an expression reads, without those that it binds itself (`x` in `all(x, …)`).

use std::collections::BTreeSet;

use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedEntryExpr, LiteralValue, operators};

/// What `expression` reads.
pub(super) fn read(expression: &IdedExpr) -> Read<'_> {
    let mut walk = Walk::default();
    walk.expression(expression);
    walk.read
}

/// What an expression reads.
#[derive(Debug, Default)]
pub(super) struct Read<'e> {
    /// The variables that are free in it.
    pub(super) variables: BTreeSet<&'e str>,
    /// The members of these that it names.
    pub(super) members: BTreeSet<(&'e str, &'e str)>,
}

#[derive(Default)]
struct Walk<'e> {
    bound: Vec<&'e str>,
    read: Read<'e>,
}

impl<'e> Walk<'e> {
    fn expression(&mut self, expression: &'e IdedExpr) {
        match &expression.expr {
            Expr::Call(call) => {
                if let Some((of, member)) = indexed(call) {
                    self.member(of, member);
                }
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
                    self.read.variables.insert(name);
                }
            }
            Expr::List(list) => list.elements.iter().for_each(|one| self.expression(one)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(entry)),
            Expr::Select(select) => {
                self.member(&select.operand, &select.field);
                self.expression(&select.operand);
            }
            Expr::Struct(value) => value.entries.iter().for_each(|entry| self.entry(entry)),
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn member(&mut self, of: &'e IdedExpr, member: &'e str) {
        if let Expr::Ident(name) = &of.expr
            && !self.bound.contains(&name.as_str())
        {
            self.read.members.insert((name, member));
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

/// What `call` looks up in which value, if it does, and says what.
fn indexed(call: &CallExpr) -> Option<(&IdedExpr, &str)> {
    let by = [
        operators::INDEX,
        operators::OPT_INDEX,
        operators::OPT_SELECT,
    ];
    let [of, key] = call.args.as_slice() else {
        return None;
    };
    match &key.expr {
        Expr::Literal(LiteralValue::String(key)) if by.contains(&&*call.func_name) => {
            Some((of, key.inner()))
        }
        _ => None,
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
            let read = read(program.expression());
            let found: Vec<_> = read.variables.into_iter().collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn members_are_named_in_several_ways() {
        for (text, expected) in [
            ("a.b.c == a['d']", &[("a", "b"), ("a", "d")][..]),
            ("has(a.b) || 'c' in a || a[b]", &[("a", "b")]),
            ("[x].all(y, y.z == x.z)", &[("x", "z")]),
        ] {
            let program = Program::compile(text).unwrap();
            let read = read(program.expression());
            let found: Vec<_> = read.members.into_iter().collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
