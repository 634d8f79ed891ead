//! The walk over the fields of a resource.

use std::collections::BTreeMap;

use super::treatment::Support;
use crate::origin::FieldPath;

/// Says of each field of a value what it would take to act on it.
///
/// Implementations take the value apart without `..`, so that a new field does not compile until it
/// is classified.
pub(super) trait Classify {
    fn classify(&self, fields: &mut Fields<'_>);
}

/// Which fields are reported.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reach {
    /// Those that have a value.
    Set,
    /// All that there are.
    All,
}

/// The fields of the value at a path.
pub(super) struct Fields<'a> {
    path: FieldPath<'a>,
    walk: Walk<'a>,
}

struct Walk<'a> {
    reach: Reach,
    // Takes the place of what the fields say of themselves.
    instead: Option<Support>,
    found: &'a mut dyn FnMut(&FieldPath<'_>, Support),
}

impl Walk<'_> {
    fn below(&mut self, instead: Option<Support>) -> Walk<'_> {
        Walk {
            reach: self.reach,
            instead: self.instead.or(instead),
            found: &mut *self.found,
        }
    }
}

impl<'a> Fields<'a> {
    /// Walks the fields of `value`, which is at `path`, and tells `found` of each.
    pub(super) fn walk<T: Classify>(
        value: &T,
        path: FieldPath<'a>,
        reach: Reach,
        found: &'a mut dyn FnMut(&FieldPath<'_>, Support),
    ) {
        let instead = None;
        let walk = Walk {
            reach,
            instead,
            found,
        };
        value.classify(&mut Fields { path, walk });
    }

    /// The field `name`, which is acted on as a whole. It is set if it differs from its default.
    pub(super) fn leaf<T>(&mut self, name: &str, value: &T, support: impl Into<Support>)
    where
        T: Default + PartialEq,
    {
        if self.walk.reach == Reach::All || *value != T::default() {
            self.always(name, support);
        }
    }

    /// The same of a field that has this `support` whatever those around it have.
    pub(super) fn exactly<T>(&mut self, name: &str, value: &T, support: Support)
    where
        T: Default + PartialEq,
    {
        if self.walk.reach == Reach::All || *value != T::default() {
            (self.walk.found)(&self.path.field(name), support);
        }
    }

    /// The field `name`, whose default says something too.
    pub(super) fn always(&mut self, name: &str, support: impl Into<Support>) {
        let support = self.walk.instead.unwrap_or_else(|| support.into());
        (self.walk.found)(&self.path.field(name), support);
    }

    /// The fields of the field `name`.
    pub(super) fn nest<T: Classify>(&mut self, name: &str, value: &T) {
        let path = self.path.field(name);
        let walk = self.walk.below(None);
        value.classify(&mut Fields { path, walk });
    }

    /// The fields of the field `name`, all of which have the same `support` here.
    pub(super) fn nest_as<T>(&mut self, name: &str, value: &T, support: impl Into<Support>)
    where
        T: Classify,
    {
        let path = self.path.field(name);
        let walk = self.walk.below(Some(support.into()));
        value.classify(&mut Fields { path, walk });
    }

    fn item<T: Classify>(&mut self, index: usize, value: &T) {
        let path = self.path.index(index);
        let walk = self.walk.below(None);
        value.classify(&mut Fields { path, walk });
    }

    fn entry<T: Classify>(&mut self, key: &str, value: &T) {
        let path = self.path.key(key);
        let walk = self.walk.below(None);
        value.classify(&mut Fields { path, walk });
    }

    fn is_of_all(&self) -> bool {
        self.walk.reach == Reach::All
    }
}

impl<T: Classify + Default> Classify for Option<T> {
    fn classify(&self, fields: &mut Fields<'_>) {
        match self {
            Some(value) => value.classify(fields),
            None if fields.is_of_all() => T::default().classify(fields),
            None => {}
        }
    }
}

impl<T: Classify + Default> Classify for Vec<T> {
    fn classify(&self, fields: &mut Fields<'_>) {
        if fields.is_of_all() {
            fields.item(0, &T::default());
            return;
        }
        for (index, value) in self.iter().enumerate() {
            fields.item(index, value);
        }
    }
}

impl<T: Classify + Default> Classify for BTreeMap<String, T> {
    fn classify(&self, fields: &mut Fields<'_>) {
        if fields.is_of_all() {
            fields.entry("*", &T::default());
            return;
        }
        for (key, value) in self {
            fields.entry(key, value);
        }
    }
}
