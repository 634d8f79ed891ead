//! What belongs to a server name: exact names before wildcards, the longest wildcard first.
//!
//! `*.shop.example` covers names of any depth below `shop.example`, as Envoy's filter chains have
//! it (and unlike the wildcards of certificates), and `*` every name and connections without one.
//! A lookup takes one hash of the name and one for each of its labels, however many names there
//! are. What is longer than [`MAX_NAME_LEN`] is no name, and only `*` covers it.
//!
//! # Example
//!
//! ```
//! use mesh_tls::server_names::ServerNames;
//!
//! let names = ServerNames::from_iter([("*.example", 1), ("*.shop.example", 2), ("a.shop.example", 3)]);
//! assert_eq!(names.get(Some("A.shop.example")), Some(&3));
//! assert_eq!(names.get(Some("b.a.shop.example")), Some(&2));
//! assert_eq!(names.get(Some("shop.example")), Some(&1));
//! assert_eq!(names.get(None), None);
//! ```

use std::borrow::Cow;
use std::collections::HashMap;

/// The longest name of a host, in bytes: that of DNS ([RFC 1035 section 2.3.4]), which is also what
/// BoringSSL accepts.
///
/// [RFC 1035 section 2.3.4]: https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4
pub const MAX_NAME_LEN: usize = 255;

/// Values by server name.
#[derive(Clone, Debug)]
pub struct ServerNames<T> {
    exact: HashMap<Box<str>, T>,
    /// By what follows `*.`.
    below: HashMap<Box<str>, T>,
    rest: Option<T>,
}

impl<T> ServerNames<T> {
    /// Gives a name its value, and returns the value that it had. Upper and lower case are the
    /// same.
    pub fn insert(&mut self, name: &str, value: T) -> Option<T> {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("*.") {
            _ if name == "*" => self.rest.replace(value),
            Some(suffix) => self.below.insert(suffix.into(), value),
            None => self.exact.insert(name.into(), value),
        }
    }

    /// The value of the most specific name that covers `name`; `None` stands for a connection
    /// without one.
    pub fn get(&self, name: Option<&str>) -> Option<&T> {
        // Each label is a hash of what follows it: of a name of any length that would be quadratic.
        let Some(name) = name.filter(|name| name.len() <= MAX_NAME_LEN) else {
            return self.rest.as_ref();
        };
        let name = lower_case(name);
        if let Some(value) = self.exact.get(&*name) {
            return Some(value);
        }
        let mut rest = &*name;
        while let Some((_, suffix)) = rest.split_once('.') {
            if let Some(value) = self.below.get(suffix) {
                return Some(value);
            }
            rest = suffix;
        }
        self.rest.as_ref()
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.exact.len() + self.below.len() + usize::from(self.rest.is_some())
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Default for ServerNames<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            below: HashMap::new(),
            rest: None,
        }
    }
}

impl<'a, T> FromIterator<(&'a str, T)> for ServerNames<T> {
    /// Collects names. Of several values of one name the last one counts.
    fn from_iter<I: IntoIterator<Item = (&'a str, T)>>(names: I) -> Self {
        let mut collected = Self::default();
        for (name, value) in names {
            collected.insert(name, value);
        }
        collected
    }
}

fn lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The index of the most specific of `patterns` that covers `name`, one after the other.
    fn naive(patterns: &[String], name: Option<&str>) -> Option<usize> {
        let covers = |pattern: &str| match (pattern.strip_prefix('*'), name) {
            (Some(""), _) => true,
            (Some(suffix), Some(name)) => name.len() > suffix.len() && name.ends_with(suffix),
            (None, name) => name == Some(pattern),
            (Some(_), None) => false,
        };
        let covering = (0..patterns.len()).filter(|index| covers(&patterns[*index]));
        covering.max_by_key(|index| {
            let pattern = &patterns[*index];
            (!pattern.starts_with('*'), pattern.len(), *index)
        })
    }

    proptest! {
        #[test]
        fn the_index_agrees_with_a_search(
            patterns in proptest::collection::vec("(\\*\\.)?[ab](\\.[ab]){0,2}|\\*", 0..8),
            name in proptest::option::of("[ab](\\.[ab]){0,3}"),
        ) {
            let names = patterns.iter().enumerate();
            let names: ServerNames<usize> = names.map(|(i, name)| (name.as_str(), i)).collect();
            prop_assert_eq!(names.get(name.as_deref()).copied(), naive(&patterns, name.as_deref()));
        }
    }

    #[test]
    fn what_is_longer_than_a_name_is_covered_by_what_covers_everything() {
        let mut names = ServerNames::from_iter([("*.b", 1)]);
        let longest = format!("{}.b", "a".repeat(MAX_NAME_LEN - 2));
        let longer = format!("a{longest}");
        assert_eq!(names.get(Some(&longest)), Some(&1));
        assert_eq!(names.get(Some(&longer)), None);
        names.insert("*", 2);
        assert_eq!(names.get(Some(&longer)), Some(&2));
    }

    #[test]
    fn a_wildcard_does_not_cover_its_own_suffix() {
        let names = ServerNames::from_iter([("*.a", 1)]);
        for name in ["a", ".", "", "a.", "ba"] {
            assert_eq!(names.get(Some(name)), None, "{name}");
        }
        assert_eq!((names.len(), names.is_empty()), (1, false));
    }
}
