//! Which routes of a virtual host can take a path, without trying each.
//!
//! Exact paths and prefixes are the keys of a radix tree; at each key lie the routes that name it,
//! in order. Walking the request's path through the tree meets every key that the path begins
//! with. The lists that apply are merged, so that candidates come out in the order of the routes
//! and the first that meets its other conditions is the first match.
//!
//! Conditions that ignore case have a tree of their own. An expression or a template is a candidate
//! for the paths that begin as it demands, `/users/` for `/users/[0-9]+`.

use mesh_core::model::route::{PathMatch, RouteMatch};

use crate::radix::{Radix, offset};

/// Index of the routes of a virtual host by their conditions on the path.
#[derive(Clone, Debug)]
pub(crate) struct PathIndex {
    as_written: Radix<Rules>,
    lower_case: Radix<Rules>,
    // Routes by key and kind of condition; `Rules` are sections of it.
    routes: Box<[u32]>,
}

/// The routes that name one key: sections of `PathIndex::routes`.
#[derive(Clone, Copy, Debug)]
struct Rules {
    exact: u32,
    separated: u32,
    prefix: u32,
    end: u32,
}

/// How a key is compared, in the order in which [`Rules`] lists them.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Kind {
    Exact,
    Separated,
    Prefix,
}

impl PathIndex {
    /// Indexes routes with these conditions, in order.
    pub(crate) fn build<'a>(conditions: impl Iterator<Item = &'a RouteMatch>) -> Self {
        let (mut as_written, mut lower_case) = (Vec::new(), Vec::new());
        for (route, condition) in (0..).zip(conditions) {
            let (kind, key) = match &condition.path {
                PathMatch::Exact(path) => (Kind::Exact, path.as_str()),
                PathMatch::PathSeparatedPrefix(prefix) => (Kind::Separated, prefix.as_str()),
                PathMatch::Prefix(prefix) => (Kind::Prefix, prefix.as_str()),
                PathMatch::Regex(regex) => (Kind::Prefix, literal_prefix(regex.as_str())),
                PathMatch::Template(template) => (Kind::Prefix, fixed_prefix(template.as_str())),
            };
            let has_case = matches!(condition.path, PathMatch::Regex(_) | PathMatch::Template(_));
            let fold = condition.ignore_path_case && !has_case;
            if fold {
                lower_case.push((key.to_ascii_lowercase().into_bytes(), kind, route));
            } else {
                as_written.push((key.as_bytes().to_vec(), kind, route));
            }
        }
        let mut routes = Vec::with_capacity(as_written.len() + lower_case.len());
        Self {
            as_written: group(as_written, &mut routes),
            lower_case: group(lower_case, &mut routes),
            routes: routes.into(),
        }
    }

    /// The routes that can take `path`, in order. Whether the path meets an expression is left to
    /// the caller; all other conditions on the path are met.
    pub(crate) fn candidates<'a>(&'a self, path: &str) -> Candidates<'a> {
        let path = path.as_bytes();
        let mut candidates = Candidates::default();
        for (depth, rules) in self.as_written.walk(|at| path.get(at).copied()) {
            self.add(&mut candidates, rules, &path[depth..]);
        }
        for (depth, rules) in self
            .lower_case
            .walk(|at| path.get(at).map(u8::to_ascii_lowercase))
        {
            self.add(&mut candidates, rules, &path[depth..]);
        }
        candidates
    }

    /// Adds the routes of a key that is followed by `rest` in the request's path.
    fn add<'a>(&'a self, candidates: &mut Candidates<'a>, rules: &Rules, rest: &[u8]) {
        let section = |start: u32, end: u32| &self.routes[start as usize..end as usize];
        if rest.is_empty() {
            candidates.add(section(rules.exact, rules.separated));
        }
        if rest.first().is_none_or(|byte| *byte == b'/') {
            candidates.add(section(rules.separated, rules.prefix));
        }
        candidates.add(section(rules.prefix, rules.end));
    }
}

/// Text that whatever matches `pattern`, as a whole, begins with. Shorter than it could be where
/// the pattern is not plain.
fn literal_prefix(pattern: &str) -> &str {
    // Alternatives need not begin alike.
    if pattern.contains('|') {
        return "";
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_~%:@,;=!&".contains(byte);
    let length = pattern.bytes().take_while(plain).count();
    // A quantifier makes the character before it optional.
    match pattern.as_bytes().get(length) {
        Some(b'?' | b'*' | b'{') => &pattern[..length.saturating_sub(1)],
        _ => &pattern[..length],
    }
}

/// The text of a URI template before its first wildcard or variable.
fn fixed_prefix(template: &str) -> &str {
    let end = template.find(['*', '{']).unwrap_or(template.len());
    &template[..end]
}

/// A tree of the keys of `rules`. Their routes are appended to `routes`, section by section.
fn group(mut rules: Vec<(Vec<u8>, Kind, u32)>, routes: &mut Vec<u32>) -> Radix<Rules> {
    rules.sort_unstable();
    let mut entries = Vec::new();
    for same_key in rules.chunk_by_mut(|a, b| a.0 == b.0) {
        let start = routes.len();
        routes.extend(same_key.iter().map(|(_, _, route)| *route));
        let section = |kind| {
            let position = same_key.partition_point(|(_, other, _)| *other < kind);
            offset(start + position)
        };
        let rules = Rules {
            exact: section(Kind::Exact),
            separated: section(Kind::Separated),
            prefix: section(Kind::Prefix),
            end: offset(routes.len()),
        };
        entries.push((std::mem::take(&mut same_key[0].0), rules));
    }
    Radix::build(entries)
}

/// Lists beyond this number, for one path, are kept in a vector.
const INLINE: usize = 16;

/// Ordered lists of routes, merged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates<'a> {
    lists: [&'a [u32]; INLINE],
    used: usize,
    further: Vec<&'a [u32]>,
}

impl<'a> Candidates<'a> {
    fn add(&mut self, list: &'a [u32]) {
        if list.is_empty() {
            return;
        }
        match self.lists.get_mut(self.used) {
            Some(free) => {
                *free = list;
                self.used += 1;
            }
            None => self.further.push(list),
        }
    }
}

impl Iterator for Candidates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let lists = self.lists[..self.used].iter_mut().chain(&mut self.further);
        let list = lists
            .filter(|list| !list.is_empty())
            .min_by_key(|list| list[0])?;
        let (route, rest) = list.split_first()?;
        *list = rest;
        Some(*route as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_come_in_the_order_of_the_routes() {
        let conditions = [
            RouteMatch::prefix("/"),
            RouteMatch::exact("/cart/7"),
            RouteMatch::prefix("/cart"),
            RouteMatch::exact("/cart/8"),
            RouteMatch::path(PathMatch::PathSeparatedPrefix("/cart".into())),
            RouteMatch::prefix(""),
        ];
        let index = PathIndex::build(conditions.iter());
        let candidates = |path| index.candidates(path).collect::<Vec<_>>();
        assert_eq!(candidates("/cart/7"), [0, 1, 2, 4, 5]);
        assert_eq!(candidates("/carton"), [0, 2, 5]);
        assert_eq!(candidates("/cart"), [0, 2, 4, 5]);
        assert_eq!(candidates(""), [5]);
    }

    #[test]
    fn case_is_ignored_only_where_the_condition_says_so() {
        let folded = RouteMatch {
            ignore_path_case: true,
            ..RouteMatch::prefix("/Cart")
        };
        let conditions = [RouteMatch::prefix("/Cart"), folded];
        let index = PathIndex::build(conditions.iter());
        assert_eq!(index.candidates("/cART/7").collect::<Vec<_>>(), [1]);
        assert_eq!(index.candidates("/Cart/7").collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn an_expression_is_indexed_by_the_text_that_it_begins_with() {
        let cases = [
            ("/users/[0-9]+", "/users/"),
            ("/users?/7", "/user"),
            ("/a{0,2}", "/"),
            ("/a+b", "/a"),
            ("/a|/b", ""),
            ("(?i)/a", ""),
            (".*", ""),
            ("/a\\.b", "/a"),
            ("*", ""),
            ("/plain", "/plain"),
        ];
        for (pattern, prefix) in cases {
            assert_eq!(literal_prefix(pattern), prefix, "{pattern}");
        }
    }

    #[test]
    fn more_lists_than_fit_inline_are_merged_too() {
        let path = "/".repeat(3 * INLINE);
        let prefixes = (1..=path.len())
            .rev()
            .map(|length| RouteMatch::prefix(&path[..length]));
        let conditions: Vec<_> = prefixes.collect();
        let index = PathIndex::build(conditions.iter());
        let expected: Vec<_> = (0..path.len()).collect();
        assert_eq!(index.candidates(&path).collect::<Vec<_>>(), expected);
    }
}
